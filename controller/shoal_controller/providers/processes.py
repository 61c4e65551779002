"""Processes of this machine that nobody holds a handle of: who is alive, whose they are, their end.

A process is named by its number and its start time, so that a number which was given out again is
never mistaken for its earlier owner.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

FREEZE_ROUNDS_MAX: Final = 200
END_S_MAX: Final = 10.0
"""What SIGKILL has not ended by then is stuck in the kernel."""
_PROC: Final = Path("/proc")


class Process(NamedTuple):
    """A process that was seen. start: clock ticks from the boot of the machine."""

    pid: int
    start: int


class Seen(NamedTuple):
    """A process as /proc shows it; zombies are left out."""

    process: Process
    parent: int


def find(pid: int) -> Process | None:
    """Return the living process of that number, if there is one."""
    seen = _stat(pid)
    return None if seen is None else seen.process


def is_alive(process: Process) -> bool:
    """Whether this very process lives; a zombie does not."""
    return find(process.pid) == process


def send(process: Process, number: signal.Signals) -> None:
    """Signal this very process and no other; nothing happens when it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        try:
            fd = os.pidfd_open(process.pid)
        except OSError as err:
            if err.errno != errno.ENOSYS:
                return
            if is_alive(process):  # an old kernel: checked as late as can be
                os.kill(process.pid, number)
            return
        try:
            if is_alive(process):
                signal.pidfd_send_signal(fd, number)
        finally:
            os.close(fd)


def start(command: list[str], env: dict[str, str], log: Path) -> Process:
    """Start a program in a session of its own, output appended to `log`; OSError when it cannot.

    It stays our child: `ended` buries it.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        command[0],
        command,
        env,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        # A handler of ours that ignores would be inherited; the rest is reset by exec.
        setsigdef=[signal.SIGINT, signal.SIGPIPE, signal.SIGHUP],
        setsigmask=[],
    )
    return find(pid) or Process(pid, 0)  # 0: it ended already


async def ended(process: Process) -> None:
    """Return when the process has ended, and bury it if it was our child."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError as err:
        # An old kernel tells nobody.
        while err.errno == errno.ENOSYS and is_alive(process):  # noqa: ASYNC110
            await asyncio.sleep(0.25)
    else:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(fd, over.set)
        try:
            if is_alive(process):
                await over.wait()
        finally:
            loop.remove_reader(fd)
            os.close(fd)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)  # noqa: ASYNC222  (does not wait)


def marked(marks: Iterable[str], folder: Path) -> list[Process]:
    """Return the processes whose environment names `folder`, or a place in it, under a mark.

    Looks at every process of the machine: some ten microseconds for each.
    """
    wanted = [f"\0{mark}={folder}".encode() for mark in marks]
    found: list[Process] = []
    for seen in scan().values():
        try:
            environ = b"\0" + (_PROC / str(seen.process.pid) / "environ").read_bytes() + b"\0"
        except OSError:  # gone, or another user's
            continue
        if any(one + b"\0" in environ or one + b"/" in environ for one in wanted):
            found.append(seen.process)
    return found


def end_families(marks: Iterable[str], folder: Path) -> None:
    """End every process that carries a mark of `folder`, with all descendants. Blocks.

    All are stopped first, so that none can fork or leave its parent while the others die; raises
    TimeoutError when something does not end.
    """
    marks = list(marks)
    give_up_s = time.monotonic() + END_S_MAX
    while True:
        family: set[Process] = set()
        for _ in range(FREEZE_ROUNDS_MAX):
            now = _family(marks, folder)
            if now <= family:
                break
            for process in now - family:
                send(process, signal.SIGSTOP)
            family |= now
        if not family:
            return
        for process in family:
            send(process, signal.SIGKILL)
        while any(is_alive(process) for process in family):
            if time.monotonic() > give_up_s:
                raise TimeoutError(f"{len(family)} processes of {folder} do not end")
            time.sleep(0.002)


def _family(marks: list[str], folder: Path) -> set[Process]:
    seen = scan()
    children: dict[int, list[Process]] = {}
    for one in seen.values():
        children.setdefault(one.parent, []).append(one.process)
    found = set(marked(marks, folder))
    waiting = [process.pid for process in found]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child.pid)
    return {process for process in found if process.pid != os.getpid()}


def scan() -> dict[int, Seen]:
    """Return all living processes of the machine by number."""
    found: dict[int, Seen] = {}
    for entry in os.scandir(_PROC):
        if entry.name.isdecimal() and (seen := _stat(int(entry.name))) is not None:
            found[seen.process.pid] = seen
    return found


def _stat(pid: int) -> Seen | None:
    try:
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    # proc(5): after the name come state, ppid, ...; starttime is field 22 of all.
    if len(fields) < 20 or fields[0] in (b"Z", b"X", b"x"):
        return None
    return Seen(Process(pid, int(fields[19])), int(fields[1]))
