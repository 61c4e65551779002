"""shoal dev as people and CI jobs run it: real processes, and nothing left of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from shoal_controller.providers import local
from tests.e2e.processes import processes_naming
from tests.raw_client import RawClient

FREE = ("--port", "0", "--storage-port", "0")
WAIT_S_MAX = 60


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    local.end_all(tmp_path)


@contextlib.contextmanager
def start(
    folder: Path, *options: str, command: Sequence[str] = (), ports: Sequence[str] = FREE
) -> Iterator[subprocess.Popen[str]]:
    """Start shoal dev with its data, and all that is temporary, below `folder`."""
    arguments = [*ports, *options, *(("--", *command) if command else ())]
    if "--ephemeral" not in options:
        arguments = ["--data", str(folder / "data"), *arguments]
    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-m", "shoal_controller.dev", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(folder)},
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()  # does nothing where the test went well


def run(folder: Path, *options: str, command: Sequence[str]) -> tuple[int, str, str]:
    """Run a command in shoal dev; return its code, output and errors, once nothing is left."""
    with start(folder, *options, command=command) as process:
        output, errors = process.communicate(timeout=WAIT_S_MAX)
    assert processes_naming(folder) == []
    return process.returncode, output, without_slow_steps(errors)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def end(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    """Signal a running dev; return its code and what it complained of."""
    process.send_signal(number)
    _, errors = process.communicate(timeout=WAIT_S_MAX)
    return process.returncode, without_slow_steps(errors)


def without_slow_steps(errors: str) -> str:
    """Leave out what asyncio's debug mode says of steps that took long: the machine may be busy."""
    lines = errors.splitlines(keepends=True)
    return "".join(line for line in lines if " WARNING asyncio: Executing <" not in line)


def settings(folder: Path) -> dict[str, str]:
    found = json.loads((folder / "data" / "connection.json").read_text())
    return {
        "AZURE_BATCH_ENDPOINT": found["endpoint"],
        "AZURE_BATCH_ACCOUNT": found["account"],
        "AZURE_BATCH_ACCESS_KEY": found["key"],
    }


def free_ports() -> list[str]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as two:
        return [
            *("--port", str(one.getsockname()[1])),
            *("--storage-port", str(two.getsockname()[1])),
        ]


def agent_pids(folder: Path) -> set[int]:
    return {json.loads(note.read_text())["pid"] for note in folder.glob("data/nodes/*/*/agent.pid")}


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("true",), 0),
        (("sh", "-c", "exit 7"), 7),
        (("sh", "-c", "kill -9 $$"), 137),
        (("no-such-command",), 127),
        (("/",), 126),
    ],
)
def test_the_commands_code_is_the_exit_code(folder: Path, command: tuple[str, ...], code: int):
    found, output, errors = run(folder, command=command)
    assert (found, output) == (code, "")
    assert errors == "" or code in (126, 127)


def test_the_command_finds_the_service_in_its_environment(folder: Path):
    script = (
        "import json, os, urllib.request as r, urllib.error as e\n"
        "v = {k: x for k, x in os.environ.items() if k.startswith('AZURE_')}\n"
        "try: r.urlopen(v['AZURE_BATCH_ENDPOINT'] + '/pools')\n"
        "except e.HTTPError as err: v['status'] = err.code\n"
        "try: r.urlopen(v['AZURE_STORAGE_BLOB_ENDPOINT'] + '/c/b')\n"
        "except e.HTTPError as err: v['storage status'] = err.code\n"
        "print(json.dumps(v))"
    )
    code, output, errors = run(folder, command=(sys.executable, "-c", script))
    found = json.loads(output)
    assert (code, errors) == (0, "")
    assert found["AZURE_BATCH_ACCOUNT"] == "devaccount"
    assert found["status"] == 400  # it answers: who are you?
    assert found["storage status"] == 401
    assert (
        f"BlobEndpoint={found['AZURE_STORAGE_BLOB_ENDPOINT']};"
        in (found["AZURE_STORAGE_CONNECTION_STRING"])
    )
    assert found["AZURE_BATCH_ACCESS_KEY"] not in found["AZURE_STORAGE_CONNECTION_STRING"]
    assert not (folder / "data" / "connection.json").exists()


def test_a_signal_is_passed_on_and_the_command_decides(folder: Path):
    command = ("sh", "-c", 'trap "echo told; exit 5" TERM; echo ready; while :; do sleep 0.1; done')
    with start(folder, command=command) as process:
        assert first_line(process) == "ready\n"
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=WAIT_S_MAX)
    assert (process.returncode, output, errors) == (5, "told\n", "")
    assert processes_naming(folder) == []


def test_ctrl_c_in_a_terminal_reaches_the_command_once(folder: Path):
    script = 'trap "echo int" INT; echo ready; until read line; do :; done; echo got $line; exit 4'
    command = ("sh", "-c", script)
    take_terminal = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY);"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    dev = ["-m", "shoal_controller.dev", "--data", str(folder / "data"), *FREE, "--", *command]
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", take_terminal, *dev],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)  # so that reading fails when nobody is left to write
        try:
            read_until(ours, "ready")
            os.write(ours, b"\x03")
            told = read_until(ours, "int")
            os.write(ours, b"word\n")  # it has the terminal's input too
            told += read_until(ours, "got word")
            assert process.wait(WAIT_S_MAX) == 4
        finally:
            process.kill()
            os.close(ours)
    assert told.count("int") == 1
    assert processes_naming(folder) == []


def read_until(terminal: int, words: str) -> str:
    told = ""
    while words not in told:
        told += os.read(terminal, 4096).decode()
    return told


def test_what_a_command_leaves_behind_ends_with_it(folder: Path):
    code, output, _ = run(folder, command=("sh", "-c", f"sleep 1000 {folder} & echo done"))
    assert (code, output) == (0, "done\n")


def test_it_says_how_to_reach_it_and_ctrl_c_ends_it_cleanly(folder: Path):
    with start(folder) as process:
        assert "Ctrl-C ends it" in first_line(process)
        connection = folder / "data" / "connection.json"
        assert stat.S_IMODE(connection.stat().st_mode) == 0o600
        assert process.stdout is not None
        told = ""
        while "AZURE_STORAGE_BLOB_ENDPOINT" not in told:
            told += process.stdout.readline()
        assert f"export AZURE_BATCH_ENDPOINT={settings(folder)['AZURE_BATCH_ENDPOINT']}" in told
        assert end(process, signal.SIGINT) == (0, "")
    assert processes_naming(folder) == []


def test_one_instance_at_a_time_has_a_folder_and_ports(folder: Path):
    ports = free_ports()
    with start(folder, ports=ports) as first:
        first_line(first)
        with start(folder) as second:
            _, errors = second.communicate(timeout=WAIT_S_MAX)
        assert second.returncode == 1
        assert errors == f"shoal dev: data: {folder / 'data'} is in use by process {first.pid}\n"
        with start(folder, "--ephemeral", ports=ports) as third:
            _, errors = third.communicate(timeout=WAIT_S_MAX)
        assert third.returncode == 1
        assert "another program has it" in errors
        assert "--port 0" in errors
        assert end(first, signal.SIGTERM) == (0, "")


def test_an_ephemeral_folder_is_gone_at_the_end_also_one_that_a_killed_run_left(folder: Path):
    with start(folder, "--ephemeral") as killed:
        first_line(killed)
        killed.kill()
    assert len(list(folder.glob("shoal-dev-*"))) == 1
    with start(folder, "--ephemeral") as process:
        first_line(process)
        assert len(list(folder.glob("shoal-dev-*"))) == 1
        with start(folder, "--ephemeral") as beside:
            first_line(beside)
            assert len(list(folder.glob("shoal-dev-*"))) == 2
            assert end(beside, signal.SIGTERM) == (0, "")
        assert end(process, signal.SIGTERM) == (0, "")
    assert list(folder.glob("shoal-dev-*")) == []


async def test_nodes_and_their_tasks_end_with_it_and_come_back_with_the_next(folder: Path):
    with start(folder) as process:
        first_line(process)
        async with RawClient(settings(folder)) as client, asyncio.timeout(WAIT_S_MAX):
            await client.make_pool("p", 2)
            await client.make_job("j", "p")
            task = {"id": "t", "commandLine": "sh -c 'setsid sleep 1000 & sleep 1000'"}
            await client.call("POST", "/jobs/j/tasks", json.dumps(task).encode())
            while (await client.call("GET", "/jobs/j/tasks/t"))["state"] != "running":
                await asyncio.sleep(0.05)
        assert len(agent_pids(folder)) == 2
        assert end(process, signal.SIGTERM) == (0, "")
    assert processes_naming(folder) == []
    with start(folder) as process:
        first_line(process)
        async with RawClient(settings(folder)) as client, asyncio.timeout(WAIT_S_MAX):
            while (await client.call("GET", "/jobs/j/tasks/t"))["state"] != "running":
                await asyncio.sleep(0.05)
            await client.call("DELETE", "/jobs/j")
            await client.call("DELETE", "/pools/p")
            while any((folder / "data" / "nodes" / "devaccount").iterdir()):
                await asyncio.sleep(0.05)
        naming = [line for line in processes_naming(folder) if "shoal_controller.dev" not in line]
        assert naming == []
        assert end(process, signal.SIGTERM) == (0, "")
    assert processes_naming(folder) == []


@pytest.mark.parametrize("same_ports", [True, False])
async def test_after_a_kill_the_next_start_takes_up_what_still_runs(folder: Path, same_ports: bool):
    ports = free_ports()
    with start(folder, ports=ports) as process:
        first_line(process)
        async with RawClient(settings(folder)) as client, asyncio.timeout(WAIT_S_MAX):
            await client.make_pool("p", 1)
            await client.make_job("j", "p")
            gate = folder / "gate"
            os.mkfifo(gate)
            task = {"id": "t", "commandLine": f"sh -c 'read line < {gate}; exit 3'"}
            task["userIdentity"] = {"autoUser": {"scope": "pool", "elevationLevel": "admin"}}  # type: ignore
            await client.call("POST", "/jobs/j/tasks", json.dumps(task).encode())
            while (await client.call("GET", "/jobs/j/tasks/t"))["state"] != "running":
                await asyncio.sleep(0.05)
        agents = agent_pids(folder)
        process.kill()
    with start(folder, ports=ports if same_ports else FREE) as process:
        first_line(process)
        await asyncio.to_thread(gate.write_text, "go\n")  # the task ran on all the while
        async with RawClient(settings(folder)) as client, asyncio.timeout(WAIT_S_MAX):
            while (found := await client.call("GET", "/jobs/j/tasks/t"))["state"] != "completed":
                await asyncio.sleep(0.05)
        assert found["executionInfo"]["exitCode"] == 3
        assert found["executionInfo"]["requeueCount"] == 0
        if same_ports:
            assert agent_pids(folder) == agents
        assert end(process, signal.SIGTERM)[0] == 0
    assert processes_naming(folder) == []
