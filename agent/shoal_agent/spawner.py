"""The parent of a node's task processes: one small process that outlives the agent.

It keeps the node's slots (`core/slots.py`), starts what is due (`starting.py`), ends whole process
trees (`sweeping.py`) and keeps every run's terminal event until it was acknowledged. The agent
speaks to it over a Unix socket; `docs/decisions/0007-one-spawner-per-node.md` has the commands. One
thread, one epoll, standard library only, started with `python -I -S` on this very file.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import math
import os
import select
import signal
import sys
import time
from typing import Final

if not __package__:  # run by its path, without site-packages; behind the standard library
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from shoal_agent import launching, processtree
from shoal_agent.core.slots import RunState, SlotKeeper
from shoal_agent.launching import Launch, LaunchFailed
from shoal_agent.spawnerpeers import FLUSH_INTERVAL_S, Peers
from shoal_agent.spawnersocket import BadPeer, Connection, Door, key_from
from shoal_agent.starting import Event, NodeRun, Starter
from shoal_agent.sweeping import Process, Sweeper

PROTOCOL: Final = 1
RUNS_MAX: Final = 50_000
"""Known runs, ended ones included; more are refused, so that an agent gone mad costs no memory."""
LIST_CHUNK: Final = 500
TURNS_MAX: Final = 16
"""So many things are done before peers and clocks are looked at."""
AHEAD_MAX: Final = 4
"""For so many of the next runs directories and files are made before their turn."""
EXIT_ALREADY_RUNNING: Final = 3


class Spawner:
    """One node's spawner: commands and ended processes in, processes and events out."""

    def __init__(self, door: Door, node: str, wake_fd: int) -> None:
        """wake_fd  becomes readable when a signal arrived"""
        self._wake_fd = wake_fd
        self._keeper: SlotKeeper[Launch, Event] = SlotKeeper()
        self._starter = Starter(node)
        self._sweeper = Sweeper(node)
        self._poll = select.epoll()
        self._peers = Peers(door, self._poll, ["hello", PROTOCOL, os.getpid(), node], self._obey)
        self._reports: dict[int, Process] = {}
        self._next_limit_s = math.inf
        self.is_stopping = False

    def serve(self) -> None:
        """Work until told to stop, then kill everything that runs."""
        self._poll.register(self._wake_fd, select.EPOLLIN)
        while not self.is_stopping:
            for fd, happened in self._poll.poll(self._timeout_s()):
                if fd == self._wake_fd:
                    os.read(fd, 4096)
                elif (process := self._reports.get(fd)) is not None:
                    self._hear(process)
                else:
                    self._peers.attend(fd, happened)
            if time.monotonic() >= self._sweeper.due_s:
                for process in self._sweeper.work():
                    self._finish(process)
            for _ in range(TURNS_MAX):
                if not self._take_turn():
                    break
            now_s = time.monotonic()
            if now_s >= self._next_limit_s:
                self._enforce_limits(now_s)
            if now_s >= self._peers.due_s:
                self._peers.work(now_s)
            self.is_stopping |= self._peers.is_abandoned
        self._sweeper.kill_all()

    def _take_turn(self) -> bool:
        """Do the most pressing thing; False when there is nothing to do.

        A free slot comes first, then what would keep the next one waiting. Commands come a line at
        a time, so that an agent that has a thousand to give does not keep slots waiting either.
        """
        process = self._sweeper.reap()
        if process is not None:
            self._finish(process)
        if self._start_due() or process is not None:
            return True
        for run in self._keeper.heads(min(self._keeper.capacity, AHEAD_MAX)):
            if self._starter.prepare_ahead(run):
                return True
        return self._peers.obey_line()

    # --- time -------------------------------------------------------------------------------------

    def _timeout_s(self) -> float:
        due_s = min(self._next_limit_s, self._sweeper.due_s, self._peers.due_s)
        return -1 if due_s == math.inf else max(0.0, due_s - time.monotonic())

    def _enforce_limits(self, now_s: float) -> None:
        for process in self._sweeper.running():
            if process.limit_at_s <= now_s and not process.is_doomed:
                process.timed_out = True
                self._sweeper.doom(process)
        self._next_limit_s = min(
            (p.limit_at_s for p in self._sweeper.running() if not p.is_doomed), default=math.inf
        )

    # --- processes --------------------------------------------------------------------------------

    def _start_due(self) -> bool:
        """Grant and start what may; return whether a process was started."""
        is_started = False
        while (run := self._keeper.grant()) is not None:
            if run.launch is None:
                self._peers.tell(["granted", run.key], 0.0)
            else:
                self._start(run, run.launch)
                is_started = True
        return is_started

    def _start(self, run: NodeRun, launch: Launch) -> None:
        try:
            process = self._starter.start(run, launch)
        except LaunchFailed as failed:
            self._end(run, ["failed", run.key, failed.errno, failed.stage], launch.hold)
            return
        self._keeper.started(run)
        self._sweeper.add(process)
        if launch.limit_s is not None:
            self._limit(process, launch.limit_s, launch.used_s)
        if process.report_fd == -1:
            self._tell_started(process)
        else:
            self._reports[process.report_fd] = process
            self._poll.register(process.report_fd, select.EPOLLIN)

    def _tell_started(self, process: Process) -> None:
        started = ["started", process.key, process.pid, process.started_at]
        self._peers.tell(started, process.start_s + FLUSH_INTERVAL_S)

    def _hear(self, process: Process) -> None:
        """Take in what a forked child says of its exec; it ends with the exec, or with the child.

        The child that failed ends by itself, and its run when it is reaped.
        """
        try:
            while part := os.read(process.report_fd, 4096):
                process.report += part
        except BlockingIOError:
            return
        self._poll.unregister(process.report_fd)
        del self._reports[process.report_fd]
        os.close(process.report_fd)
        process.report_fd = -1
        if process.report:
            process.failure = launching.failure(process.report)
        else:
            self._tell_started(process)

    def _limit(self, process: Process, limit_s: float | None, used_s: float) -> None:
        process.used_s = used_s
        process.limit_at_s = math.inf if limit_s is None else process.start_s + limit_s - used_s
        self._next_limit_s = min(self._next_limit_s, process.limit_at_s)

    def _finish(self, process: Process) -> None:
        run = self._keeper.runs[process.key]
        usage = process.usage
        assert usage is not None
        assert run.launch is not None
        if process.report_fd != -1:
            self._hear(process)
        if process.failure is not None:
            failed = process.failure
            self._end(run, ["failed", run.key, failed.errno, failed.stage], run.launch.hold)
            return
        self._end(
            run,
            [
                "exited", run.key, process.exit_code, process.started_at, process.ended_at,
                process.end_s - process.start_s, process.timed_out, process.killed,
                usage.ru_utime, usage.ru_stime, usage.ru_maxrss * 1024,
            ],
            run.launch.hold,
        )  # fmt: skip

    def _end(self, run: NodeRun, record: Event, hold: bool) -> None:
        self._keeper.finished(run, record, hold)
        self._peers.tell_end(record)

    # --- the agent --------------------------------------------------------------------------------

    def _obey(self, connection: Connection, command: object) -> None:
        if type(command) is not list or not command:
            raise BadPeer("a command is a list")
        match command:
            case ["enqueue", key, slots, launch]:
                self._enqueue(key_from(key), slots, launch)
            case ["launch", key, launch]:
                self._launch(key_from(key), Launch(launch))
            case ["ack", list(keys)]:
                self._keeper.ack([key_from(key) for key in keys])
            case ["release", key]:
                self._drop(key_from(key))
                self._keeper.release(key)
            case ["limit", key, limit_s]:
                self._change_limit(key_from(key), launching.seconds_or_none(limit_s))
            case ["kill", key]:
                self._kill(key_from(key))
            case ["env", str(name), variables]:
                self._starter.bases[name] = launching.environment(variables)
            case ["capacity", int(slots)] if 0 <= slots < 1 << 20:
                self._keeper.capacity = slots
            case ["list"]:
                self._list(connection)
            case ["ping", token]:
                connection.queue([["pong", token]])
            case ["stop"]:
                self.is_stopping = True
            case _:
                raise BadPeer(f"unknown command {str(command[0])[:40]!r}")

    def _enqueue(self, key: str, slots: object, launch: object) -> None:
        if type(slots) is not int or not 0 <= slots < 1 << 20:
            raise BadPeer("slots are a whole number")
        parsed = None if launch is None else Launch(launch)
        if len(self._keeper.runs) >= RUNS_MAX and key not in self._keeper.runs:
            self._peers.tell(["refused", key], 0.0)
        else:
            self._keeper.enqueue(key, slots, parsed)

    def _launch(self, key: str, launch: Launch) -> None:
        if key not in self._keeper.runs:
            self._peers.tell(["unknown", key], 0.0)
        elif (run := self._keeper.launch(key, launch)) is not None:
            self._start(run, launch)

    def _change_limit(self, key: str, limit_s: float | None) -> None:
        process = self._sweeper.get(key)
        run = self._keeper.runs.get(key)
        if process is not None:
            self._limit(process, limit_s, process.used_s)
        elif run is not None and run.launch is not None:
            run.launch.limit_s = limit_s

    def _kill(self, key: str) -> None:
        process = self._sweeper.get(key)
        if process is not None:
            process.killed |= process.usage is None
            self._sweeper.doom(process)
        elif key not in self._keeper.runs:
            self._peers.tell(["unknown", key], 0.0)
        else:
            self._drop(key)

    def _drop(self, key: str) -> None:
        record: Event = ["dropped", key]
        self._starter.forget(key)
        if self._keeper.drop(key, record):
            self._peers.tell_end(record)

    def _list(self, connection: Connection) -> None:
        """Answer with everything held; what was told before belongs to the time before."""
        self._peers.flush()
        rows: list[Event] = []
        for run in self._keeper.runs.values():
            rows.append([run.key, run.state, run.slots, run.held, self._detail(run)])
            if len(rows) == LIST_CHUNK:
                connection.queue([["held", rows]])
                rows = []
        connection.queue([["held", rows], ["listed", self._keeper.capacity]])

    def _detail(self, run: NodeRun) -> object:
        """What `list` adds to a run: its terminal event, or its pid and start."""
        process = self._sweeper.get(run.key)
        if run.state is RunState.FINISHED or process is None:
            return run.record
        return [process.pid, process.started_at]


def run(socket_path: str, node: str) -> int:
    """Be the spawner of `node`, listening at `socket_path`; return the exit code.

    3 when another one lives already. Strays of a dead one are killed first.
    """
    os.umask(0)  # modes are given exactly; tasks get 022
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own
            os.set_inheritable(int(fd), False)
    folder, name = os.path.split(os.path.abspath(socket_path))
    os.chdir(folder)  # a socket's path is limited to 107 bytes, a node's folder is not
    lock_fd = os.open(f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return EXIT_ALREADY_RUNNING
    processtree.become_subreaper()
    Sweeper(node).kill_strays()
    wake_fd, signal_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(signal_fd, warn_on_full_buffer=False)
    door = Door(folder, name)
    os.chdir("/")
    spawner = Spawner(door, node, wake_fd)

    def stop(*_: object) -> None:
        spawner.is_stopping = True

    # Handlers, not SIG_IGN: what is ignored here would be ignored in every task.
    for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGTERM, stop)
    gc.collect()
    gc.freeze()
    try:
        spawner.serve()
    finally:
        door.close()
    return 0


def main() -> None:
    """shoal-spawner [--detach] SOCKET NODE: what the agent starts; NODE is the node's folder.

    --detach   go on as nobody's child, in a session of its own
    """
    arguments = sys.argv[1:]
    detach = arguments[:1] == ["--detach"]
    arguments = arguments[detach:]
    if len(arguments) != 2 or arguments[0].startswith("-"):
        print("usage: shoal-spawner [--detach] SOCKET NODE", file=sys.stderr)
        sys.exit(0 if {"-h", "--help"} & set(arguments) else 2)
    if detach:
        if os.fork():
            os._exit(0)
        os.setsid()
    sys.exit(run(arguments[0], arguments[1]))


if __name__ == "__main__":
    main()
