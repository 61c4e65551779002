"""The spawner's running processes: how they are reaped, and how a whole tree of them is ended.

A run's record is only given out when nothing of the run is left. Most runs leave nothing, and
finding that out costs one read (the list of our children) or, where the kernel does not offer it,
one signal 0 to the run's process group and a look through /proc a second later for what hid from
that. Everything else is a sweep: kill all members, look again, in rounds, without ever blocking.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable
from typing import Final

from shoal_agent import processtree
from shoal_agent.launching import LaunchFailed
from shoal_agent.processtree import Family

ROUND_S_MIN: Final = 0.001
ROUND_S_MAX: Final = 0.05
GIVE_UP_S: Final = 5.0
"""A run whose remains cannot be killed (another user's, stuck in the kernel) is reported anyway."""
LOOK_AROUND_S: Final = 1.0
START_SLACK_S: Final = 0.05
"""Process start times are counted in ticks of 10 ms, our own in nanoseconds."""


class Process:
    """A run's first process, from just before its start until nothing of the run is left.

    usage      None until it has ended; its own and its waited-for children's
    report_fd  not -1 while it is not known whether the program could be executed
    failure    what came out, when it could not
    """

    pid = 0
    report_fd = -1
    report = b""
    failure: LaunchFailed | None = None
    exit_code = 0
    end_s = ended_at = 0.0
    usage: os.struct_rusage | None = None  # pyright: ignore[reportAttributeAccessIssue]
    used_s = 0.0
    limit_at_s = math.inf
    timed_out = killed = is_doomed = False

    def __init__(self, key: str) -> None:
        self.key = key
        self.boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.start_s = time.monotonic()
        self.started_at = time.time()


class Sweeper:
    """All processes of one spawner."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._count_children = processtree.children_counter()
        self._first: dict[int, Process] = {}  # by pid, not reaped yet
        self._runs: dict[str, Process] = {}  # by key, not reported yet
        self._doomed: dict[str, Process] = {}  # by key, being swept
        # Adopted daemons, and the runs that each may belong to; without any, it is to be killed.
        self._orphans: dict[int, set[str]] = {}
        self._round_s = ROUND_S_MIN
        self._sweep_due_s = math.inf
        self._look_due_s = math.inf

    @property
    def due_s(self) -> float:
        """When `work` wants to be called, by the monotonic clock; inf: not before a child ends."""
        sweep_s, look_s = self._sweep_due_s, self._look_due_s
        return sweep_s if sweep_s < look_s else look_s

    def add(self, process: Process) -> None:
        """Take in a process that was just started."""
        self._first[process.pid] = process
        self._runs[process.key] = process

    def get(self, key: str) -> Process | None:
        """Return the process of a run that is not reported yet."""
        return self._runs.get(key)

    def running(self) -> Iterable[Process]:
        """Return all that are not reported yet."""
        return self._runs.values()

    def doom(self, process: Process) -> None:
        """End a run with all its processes; a later `work` or `reap` returns it."""
        process.is_doomed = True
        self._doomed[process.key] = process
        self._round_s = ROUND_S_MIN
        self._sweep_due_s = 0.0

    def reap(self) -> Process | None:
        """Bury one run's ended first process and return it; None when no other has ended.

        A run of which something is left is doomed instead, and returned by a later `work`. One at
        a time, so that its slot has its next process before the next one is buried.
        """
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return None
            if pid == 0:
                return None
            process = self._first.pop(pid, None)
            if process is None:
                self._orphans.pop(pid, None)
                continue
            process.end_s = time.monotonic()
            process.ended_at = time.time()
            process.exit_code = os.waitstatus_to_exitcode(status)
            process.usage = usage
            if self._is_all_known():
                del self._runs[process.key]
                return process
            if self._has_remains(process):
                self.doom(process)
            if self._doomed:
                self._sweep_due_s = 0.0  # what was waited for may just have ended
            if not process.is_doomed:
                self._forget(process)
                return process

    def work(self) -> list[Process]:
        """Do the round of killing that is due; return the runs of which nothing is left."""
        now_s = time.monotonic()
        processes = processtree.scan()
        self._adopt(processes)
        self._look_due_s = math.inf
        me = os.getpid()
        ours = processtree.descendants(processes, [me])
        homeless = {pid for pid, runs in self._orphans.items() if not runs and pid in processes}
        victims = homeless | processtree.descendants(processes, homeless)
        gone: list[Process] = []
        for key, process in self._doomed.items():
            orphans = [pid for pid, runs in self._orphans.items() if runs == {key}]
            family = Family(key, process.pid, orphans)
            remains = processtree.members(processes, ours, self._node, family)
            victims |= remains
            has_ended = process.usage is not None
            if has_ended and (not remains or now_s > process.end_s + GIVE_UP_S):
                gone.append(process)
        processtree.kill(victims)
        for process in gone:
            del self._doomed[process.key]
            self._forget(process)
        if self._doomed or homeless:
            self._sweep_due_s = now_s + self._round_s
            self._round_s = min(self._round_s * 2, ROUND_S_MAX)
        else:
            self._sweep_due_s = math.inf
        return gone

    def kill_all(self) -> None:
        """Kill every descendant and wait until none is left, for GIVE_UP_S at most."""

        def left() -> set[int]:
            return processtree.descendants(processtree.scan(), [os.getpid()])

        self._kill_until_none(left)

    def kill_strays(self) -> None:
        """Kill what an earlier spawner of this node left running; waits as `kill_all` does."""
        self._kill_until_none(lambda: processtree.strays(self._node))

    def _kill_until_none(self, left: Callable[[], set[int]]) -> None:
        give_up_s = time.monotonic() + GIVE_UP_S
        while (pids := left()) and time.monotonic() < give_up_s:
            processtree.kill(pids)
            time.sleep(ROUND_S_MIN)  # nobody is served at a start and at an end
            while self.reap() is not None:
                pass

    def _is_all_known(self) -> bool:
        """Whether nothing is left of what has ended, for all that one cheap look can tell."""
        if self._orphans or self._doomed or self._count_children is None or not self._first:
            return False
        return self._count_children() == len(self._first)

    def _has_remains(self, process: Process) -> bool:
        """Whether a process may be left of a run whose first one was just buried."""
        if self._count_children is None:
            self._look_due_s = min(self._look_due_s, time.monotonic() + LOOK_AROUND_S)
            if processtree.group_is_alive(process.pid):
                return True
        else:
            if self._count_children() > len(self._first) + len(self._orphans):
                self._adopt(processtree.scan())
            if not self._first:  # the list may miss one while others end: proc(5)
                self._look_due_s = time.monotonic() + LOOK_AROUND_S
        return any(runs == {process.key} for runs in self._orphans.values())

    def _adopt(self, processes: dict[int, processtree.Process]) -> None:
        """Find out whose the new children of ours are: daemons that left their parents.

        One that wiped its environment and began a session may be any run's that ran when it
        started; it is killed with the last of them.
        """
        me = os.getpid()
        families = {key: Family(key, p.pid) for key, p in self._runs.items()}
        for process in processes.values():
            pid = process.pid
            if process.parent != me or pid in self._first or pid in self._orphans:
                continue
            key = processtree.owner(process, self._node, families)
            if key is not None:
                self._orphans[pid] = {key} & self._runs.keys()
            else:
                born_s = process.start_s + START_SLACK_S
                self._orphans[pid] = {p.key for p in self._runs.values() if p.boot_s <= born_s}
            if not self._orphans[pid]:
                self._sweep_due_s = 0.0

    def _forget(self, process: Process) -> None:
        del self._runs[process.key]
        for runs in self._orphans.values():
            runs.discard(process.key)
            if not runs:
                self._sweep_due_s = 0.0
