"""Both ways to start a process keep the same promises: CPython's fork_exec, and subprocess."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from shoal_agent import launching
from shoal_agent.launching import Launch, Launcher, LaunchFailed


@pytest.fixture(params=["fork_exec", "popen"])
def launcher(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    if request.param == "popen":
        monkeypatch.setattr(launching, "_fork_exec", None)
    return Launcher()


def start(launcher: Launcher, env: list[bytes], **launch: object) -> int:
    """Start it and return its exit code."""
    prepared = launcher.prepare(Launch(launch), env)
    try:
        pid, report_fd = launcher.spawn(prepared)
    finally:
        launcher.discard(prepared)
    if report_fd != -1:
        os.close(report_fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_process_gets_its_arguments_environment_and_folder(
    launcher: Launcher, tmp_path: Path
) -> None:
    script = 'echo "$A $1 $PWD"; test $$ = $(ps -o sid= -p $$) || echo "no session" >&2'
    code = start(
        launcher,
        [b"A=value", b"PATH=/usr/bin:/bin"],
        argv=["sh", "-c", script, "sh", "argument"],
        cwd=str(tmp_path),
        stdout=f"{tmp_path}/both",
        stderr=f"{tmp_path}/both",
    )
    assert code == 0
    assert (tmp_path / "both").read_text() == f"value argument {tmp_path}\n"


@pytest.mark.parametrize(
    ("argv", "cwd", "number", "stage"),
    [
        (["/no/such/program"], "/", errno.ENOENT, "program"),
        (["/etc/passwd"], "/", errno.EACCES, "program"),
        (["/bin/true"], "/no/such/folder", errno.ENOENT, "cwd"),
        (["/bin/true", "\0"], "/", errno.EINVAL, "program"),
        (["/bin/true", "\ud800"], "/", errno.EINVAL, "program"),
    ],
)
def test_a_failure_is_told_by_number_and_stage(
    launcher: Launcher, argv: list[str], cwd: str, number: int, stage: str
) -> None:
    with pytest.raises(LaunchFailed) as failed:
        start(launcher, [], argv=argv, cwd=cwd)
    assert (failed.value.errno, failed.value.stage) == (number, stage)


@pytest.mark.skipif(os.geteuid() != 0, reason="another user needs root")
def test_a_process_of_another_user_keeps_none_of_our_groups(
    launcher: Launcher, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    start(
        launcher, [b"PATH=/usr/bin:/bin"], argv=["id", "-G"], cwd="/", stdout=str(out),
        uid=12345, gid=12345, groups=[],
    )  # fmt: skip
    assert out.read_text().split() == ["12345"]


@pytest.mark.parametrize(
    "value",
    [
        None, [], {}, {"argv": [], "cwd": "/"}, {"argv": ["a"]}, {"argv": [1], "cwd": "/"},
        {"argv": ["a"], "cwd": "/", "uid": -1}, {"argv": ["a"], "cwd": "/", "uid": 5},
        {"argv": ["a"], "cwd": "/", "groups": [5]}, {"argv": ["a"], "cwd": "/", "uid": True},
        {"argv": ["a"], "cwd": "/", "uid": 4294967295, "gid": 1},
        {"argv": ["a"], "cwd": "/", "uid": 1, "gid": 1, "groups": [None]},
        {"argv": ["a"], "cwd": "/", "limit_s": -1}, {"argv": ["a"], "cwd": "/", "env": {"": "x"}},
        {"argv": ["a"], "cwd": "/", "env": {"A": "\0"}},
        {"argv": ["a"], "cwd": "/", "directories": [["d", 0o10000, -1, -1]]},
        {"argv": ["a"], "cwd": "/", "directories": [["d", 0o755, -2, -1]]},
        {"argv": ["a"], "cwd": "/", "directories": ["d"]},
    ],
)  # fmt: skip
def test_what_is_no_launch_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        Launch(value)


def test_marks_of_run_and_node_are_not_a_launchs_to_set() -> None:
    launch = Launch({"argv": ["a"], "cwd": "/", "env": {"SHOAL_RUN": "x", "A": "b"}})
    assert launch.env == {"A": b"A=b"}
