"""The real `shoal` against a real `shoal dev`: one service for all tests of this file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

SHOAL = Path(sys.executable).with_name("shoal")
TELL = (
    "import json, os, sys; "
    "told = {k: v for k, v in os.environ.items() if k.startswith('AZURE_')}; "
    "print(json.dumps(told), flush=True); "
    "sys.stdin.read()"
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A service with nothing in it, as the environment that leads to it."""
    folder = tmp_path_factory.mktemp("dev")
    command = [SHOAL, "dev", "--ephemeral", "--port", "0", "--storage-port", "0", "--"]
    service = subprocess.Popen(
        [*command, sys.executable, "-c", TELL],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder,
        text=True,
    )
    assert service.stdin is not None
    assert service.stdout is not None
    try:
        # What the service itself prints stands before or between; ours is the line of JSON.
        line = next(line for line in service.stdout if line.startswith("{"))
        yield {**os.environ, **json.loads(line), "NO_COLOR": "1"}
    finally:
        service.stdin.close()
        try:
            code = service.wait(60)
        finally:
            service.kill()
            service.stdout.close()
        assert code == 0


@pytest.fixture(scope="module")
def pool(environment: dict[str, str]) -> str:
    """A pool of two nodes, ready."""
    shoal(environment, "pool", "create", "fish", "--nodes", "2", "--slots", "2", "--wait")
    return "fish"


def shoal(
    environment: dict[str, str], *arguments: str, code: int = 0, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command line to its end and check its exit code."""
    done = subprocess.run(
        [SHOAL, *arguments],
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def test_run_shows_both_streams_and_exits_with_the_commands_code(
    environment: dict[str, str],
) -> None:
    done = shoal(environment, "run", "--", "sh", "-c", "echo out; echo err >&2; exit 7", code=7)
    assert done.stdout == "out\n"
    assert done.stderr.endswith("err\n")
    assert shoal(environment, "job", "list", "-q", "--state", "active").stdout == ""


@pytest.mark.parametrize(
    ("words", "code"),
    [(["true"], 0), (["sh", "-c", "kill -9 $$"], 137), (["no-such-program"], 127)],
)
def test_run_exits_as_a_shell_would(
    environment: dict[str, str], words: list[str], code: int
) -> None:
    shoal(environment, "run", "--", *words, code=code)


def test_run_brings_files_and_environment(environment: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "hello.sh"
    script.write_text('#!/bin/sh\necho "$GREETING $*"\n')
    script.chmod(0o755)
    arguments = ["--env", "GREETING=good day", "--file", "hello.sh:bin/hello.sh", "--"]
    done = shoal(environment, "run", *arguments, "./bin/hello.sh", "a b", "c", cwd=tmp_path)
    assert done.stdout == "good day a b c\n"


def test_run_ends_the_task_when_it_is_interrupted(environment: dict[str, str]) -> None:
    command = ["run", "--keep", "--", "sh", "-c", "echo started; sleep 600"]
    running = subprocess.Popen(
        [SHOAL, *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stderr is not None
    assert running.stdout.readline() == "started\n"
    running.send_signal(signal.SIGINT)
    _, notes = running.communicate(timeout=60)
    assert running.returncode == 130
    job = notes.split("job '")[1].split("'")[0]
    task = json.loads(shoal(environment, "task", "show", job, "main", "-o", "json").stdout)
    assert task["state"] == "completed"
    assert task["executionInfo"]["result"] == "failure"
    shoal(environment, "job", "delete", job, "--wait")


def test_run_with_a_pool_of_its_own_leaves_nothing(environment: dict[str, str]) -> None:
    before = set(shoal(environment, "pool", "list", "-q", "--state", "active").stdout.split())
    assert shoal(environment, "run", "--rm", "--", "echo", "here").stdout == "here\n"
    after = set(shoal(environment, "pool", "list", "-q", "--state", "active").stdout.split())
    assert after == before


def test_a_jobs_whole_life(environment: dict[str, str], pool: str, tmp_path: Path) -> None:
    shoal(environment, "job", "create", "life", "--pool", pool, "--env", "WHO=shoal")
    tasks = [
        {"id": f"t{n}", "commandLine": f"sh -c 'echo $WHO {n}; mkdir d; echo {n} > d/out.txt'"}
        for n in range(8)
    ]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    done = shoal(environment, "task", "create", "life", "--body", "tasks.json", cwd=tmp_path)
    assert done.stdout == "8 tasks are added to job 'life'\n"

    watched = shoal(environment, "job", "watch", "life")
    assert watched.stdout.splitlines()[-1].startswith("8/8 (100%)")
    assert shoal(environment, "task", "logs", "life", "t3").stdout == "shoal 3\n"
    counts = shoal(environment, "job", "counts", "life", "-o", "tsv").stdout
    assert counts == "0\t0\t8\t8\t0\n"
    names = shoal(environment, "file", "list", "life/t3:wd", "-r", "-q").stdout.split()
    assert "wd/d/out.txt" in names
    shoal(environment, "file", "get", "life/t3:wd", "-r", "--to", "got", cwd=tmp_path)
    assert (tmp_path / "got" / "d" / "out.txt").read_text() == "3\n"
    shoal(environment, "file", "delete", "life/t3:wd/d/out.txt")
    shoal(environment, "file", "show", "life/t3:wd/d/out.txt", code=1)

    shoal(environment, "task", "create", "life", "bad", "--", "sh", "-c", "exit 3")
    shoal(environment, "job", "watch", "life", code=1)
    assert shoal(environment, "task", "list", "life", "--failed", "-q").stdout == "bad\n"
    shoal(environment, "task", "reactivate", "life", "bad")
    shoal(environment, "job", "watch", "life", code=1)
    shoal(environment, "task", "delete", "life", "bad")
    shoal(environment, "job", "terminate", "life", "--reason", "enough", "--wait")
    job = json.loads(shoal(environment, "job", "show", "life", "-o", "json").stdout)
    assert (job["state"], job["executionInfo"]["terminateReason"]) == ("completed", "enough")
    shoal(environment, "job", "delete", "life", "--wait")
    told = shoal(environment, "job", "show", "life", code=1).stderr
    assert "JobNotFound" in told
    assert "shoal job list" in told


def test_logs_follow_a_task_from_before_its_start_to_its_end(
    environment: dict[str, str], pool: str
) -> None:
    shoal(environment, "job", "create", "logs", "--pool", pool)
    shoal(environment, "job", "disable", "logs", "--wait")
    shoal(environment, "task", "create", "logs", "t", "--", "sh", "-c", "echo 1; sleep 1; echo 2")
    following = subprocess.Popen(
        [SHOAL, "task", "logs", "-f", "logs", "t"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    shoal(environment, "job", "enable", "logs")
    out, _ = following.communicate(timeout=60)
    assert (following.returncode, out) == (0, "1\n2\n")
    shoal(environment, "job", "delete", "logs", "--wait")


def test_nodes_are_listed_steered_and_removed(environment: dict[str, str]) -> None:
    shoal(environment, "pool", "create", "nodes", "--nodes", "1", "--wait")
    shoal(environment, "pool", "resize", "nodes", "2", "--wait")
    first, second = shoal(environment, "node", "list", "nodes", "-q").stdout.split()
    shoal(environment, "node", "disable", "nodes", first)
    shown = json.loads(shoal(environment, "node", "show", "nodes", first, "-o", "json").stdout)
    assert shown["schedulingState"] == "disabled"
    told = shoal(environment, "node", "disable", "nodes", first, code=1).stderr
    assert "NodeAlreadyInTargetSchedulingState" in told
    shoal(environment, "node", "enable", "nodes", first)
    shoal(environment, "node", "reboot", "nodes", second)
    names = shoal(environment, "file", "list", "--node", f"nodes/{first}", "-q").stdout.split()
    assert "shared/" in names
    shoal(environment, "node", "remove", "nodes", first)
    shoal(environment, "pool", "delete", "nodes", "--wait")


def test_an_applications_whole_life(environment: dict[str, str], tmp_path: Path) -> None:
    program = tmp_path / "prog"
    program.mkdir()
    (program / "run.sh").write_text("#!/bin/sh\necho hello\n")
    shutil.make_archive(str(program), "zip", program)
    for version in ("1.0", "1.1-beta"):
        shoal(environment, "app", "upload", "prog", version, "prog.zip", cwd=tmp_path)
    again = ["app", "upload", "prog", "1.0", "prog.zip", "--default", "--name", "A program"]
    shoal(environment, *again, cwd=tmp_path)
    line = shoal(environment, "app", "list", "-o", "tsv").stdout
    assert line == "prog\t1.0\t1.0, 1.1-beta\ttrue\tA program\n"
    shown = json.loads(shoal(environment, "app", "show", "prog", "1.0", "-o", "json").stdout)
    assert shown["properties"]["state"] == "Active"
    with urllib.request.urlopen(shown["properties"]["storageUrl"]) as content:
        assert content.read() == (tmp_path / "prog.zip").read_bytes()
    shoal(environment, "app", "delete", "prog", "1.0")
    assert shoal(environment, "app", "list", "-o", "tsv").stdout.startswith("prog\t\t1.1-beta\t")
    told = shoal(environment, "app", "set-default", "prog", "1.0", code=1).stderr
    assert "defaultVersion" in told
    shoal(environment, "app", "delete", "prog")
    assert shoal(environment, "app", "list", "-q").stdout == ""
    assert "shoal app list" in shoal(environment, "app", "show", "prog", code=1).stderr


def test_a_wrong_key_is_refused_and_explained(environment: dict[str, str]) -> None:
    wrong = {**environment, "AZURE_BATCH_ACCESS_KEY": "AAAA"}
    told = shoal(wrong, "pool", "list", code=1).stderr
    assert "AuthenticationFailed" in told
    assert "key from the environment" in told


def test_images_can_be_given_to_pool_create(environment: dict[str, str]) -> None:
    line = shoal(environment, "images", "-o", "tsv").stdout.splitlines()[0]
    shoal(environment, "pool", "create", "imaged", "--nodes", "0", "--image", line.split("\t")[0])
    shoal(environment, "pool", "delete", "imaged", "--wait")


def test_dev_ends_with_the_code_of_its_command(tmp_path: Path) -> None:
    arguments = ["dev", "--ephemeral", "--port", "0", "--storage-port", "0", "--"]
    shoal(dict(os.environ), *arguments, str(SHOAL), "run", "--", "sh", "-c", "exit 9", code=9,
          cwd=tmp_path)  # fmt: skip
