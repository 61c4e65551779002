"""Which processes belong to a run, read from /proc: by parents, sessions and a mark they carry.

Everything a run starts stays a descendant of the spawner, which is a child subreaper: a daemon that
leaves its parent becomes the spawner's own child. Among those, a run's processes are known by their
session or process group, by SHOAL_RUN in their environment, and by their parents. Where control
groups can be had, `members` is the one place to ask them instead.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

RUN_MARK: Final = "SHOAL_RUN"
NODE_MARK: Final = "SHOAL_NODE"
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PR_SET_CHILD_SUBREAPER: Final = 36


class Process(NamedTuple):
    """One living process; zombies are left out. start_s counts from the boot of the machine."""

    pid: int
    parent: int
    group: int
    session: int
    start_s: float


class Family:
    """A run as seen from /proc: its first process, and orphans that can only be its own."""

    __slots__ = ("key", "orphans", "pid")

    def __init__(self, key: str, pid: int, orphans: Iterable[int] = ()) -> None:
        self.key = key
        self.pid = pid
        self.orphans = frozenset(orphans)


def become_subreaper() -> None:
    """Adopt the orphans of all descendants from now on; OSError where the kernel does not know."""
    import ctypes  # once at start; the spawner keeps only what it needs all the time

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def children_counter() -> Callable[[], int] | None:
    """Return a cheap function that counts this process's children, zombies included.

    None where the kernel does not tell (built without CONFIG_PROC_CHILDREN).
    """
    try:
        fd = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None

    def count() -> int:
        total = at = 0
        while text := os.pread(fd, 65536, at):
            total += text.count(b" ")  # proc(5): a space behind every number
            at += len(text)
            if len(text) < 4096:
                break
        return total

    return count


def group_is_alive(pid: int) -> bool:
    """Whether a process group still has a member. Cheaper than any look into /proc."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def scan() -> dict[int, Process]:
    """Read all living processes of the machine."""
    return {process.pid: process for process in _stats()}


def descendants(processes: dict[int, Process], roots: Iterable[int]) -> set[int]:
    """Return all that descend from `roots`, which are left out."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            if pid not in found:
                found.add(pid)
                waiting.append(pid)
    return found


def members(processes: dict[int, Process], ours: set[int], node: str, family: Family) -> set[int]:
    """Return the living processes of a run.

    ours  descendants of the spawner; nothing else is looked at
    A process that left session and parents and wiped its environment is only found through
    `family.orphans`.
    """
    first = {
        pid
        for pid in ours
        if pid == family.pid
        or pid in family.orphans
        or processes[pid].session == family.pid
        or processes[pid].group == family.pid
        or marks(pid) == (node, family.key)
    }
    return first | descendants(processes, first)


def owner(process: Process, node: str, families: dict[str, Family]) -> str | None:
    """Return the key of the run that a process belongs to by mark or session; None: not known."""
    for family in families.values():
        if family.pid in (process.session, process.group):
            return family.key
    its_node, key = marks(process.pid)
    return key if its_node == node else None


def marks(pid: int) -> tuple[str | None, str | None]:
    """Return the node and the run that a process's environment names."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            text = b"\0" + file.read()
    except OSError:  # gone, or another user's
        return None, None
    return _value(text, NODE_MARK), _value(text, RUN_MARK)


def strays(node: str) -> set[int]:
    """Return the processes that an earlier spawner of this node left: all that carry its mark, the
    rest of the sessions that they led, and their descendants; never an ancestor of this process.
    """
    processes = scan()
    marked = {pid for pid in processes if marks(pid)[0] == node}
    sessions = {processes[pid].session for pid in marked}
    led = {session for session in sessions if session in marked or session not in processes}
    found = marked | {pid for pid, process in processes.items() if process.session in led}
    found |= descendants(processes, found)
    pid = os.getpid()
    while pid in processes:
        found.discard(pid)
        pid = processes[pid].parent
    return found


def kill(pids: Iterable[int]) -> int:
    """Send SIGKILL to each; return how many were there and could be killed.

    A number that was read from /proc milliseconds ago names the same process still: numbers are
    given out in turn, tens of thousands before one comes again.
    """
    count = 0
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
            count += 1
    return count


def _value(text: bytes, name: str) -> str | None:
    _, found, rest = text.partition(b"\0" + name.encode() + b"=")
    return os.fsdecode(rest.partition(b"\0")[0]) if found else None


def _stats() -> Iterable[Process]:
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        # proc(5): after the name come state, ppid, pgrp, session; starttime is field 22.
        if fields[0] not in (b"Z", b"X", b"x"):
            start_s = int(fields[19]) / TICKS_PER_S
            yield Process(int(name), int(fields[1]), int(fields[2]), int(fields[3]), start_s)
