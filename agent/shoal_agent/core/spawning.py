"""What an agent and its spawner tell each other (pure): launches, events, and all that is held.

The spawner itself speaks plain JSON arrays and does not import this: it stays small.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shoal_agent.core.slots import RunState


@dataclass(frozen=True, slots=True)
class Launch:
    """What a run's process shall be.

    argv         the program first: with a slash relative to cwd, else searched on env's PATH
    base         name of an environment registered with `register_environment`
    env          added to it; SHOAL_RUN and SHOAL_NODE are the spawner's own
    stdout, stderr   files made anew; None: /dev/null; may be the same
    directories  (path, mode, uid, gid) to make first; uid and gid -1: as created
    uid          None: the spawner's own user; else gid is needed too
    limit_s      wall clock limit of the run; None: no limit
    used_s       how much of it was used before the process starts (downloads)
    hold         the slots stay held after the end, however it came, until `release`
    """

    argv: Sequence[str]
    cwd: str
    base: str = ""
    env: Mapping[str, str] | None = field(default=None, repr=False)
    stdout: str | None = None
    stderr: str | None = None
    directories: Sequence[tuple[str, int, int, int]] = ()
    uid: int | None = None
    gid: int | None = None
    groups: Sequence[int] = ()
    limit_s: float | None = None
    used_s: float = 0.0
    hold: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the launch as the spawner reads it, defaults left out."""
        value: dict[str, Any] = {"argv": list(self.argv), "cwd": self.cwd}
        for name in ("base", "stdout", "stderr", "uid", "gid", "limit_s", "used_s", "hold"):
            chosen = getattr(self, name)
            if chosen is not None and chosen != "" and chosen is not False:
                value[name] = chosen
        if self.env:
            value["env"] = dict(self.env)
        if self.directories:
            value["directories"] = list(self.directories)
        if self.groups:
            value["groups"] = list(self.groups)
        return value


@dataclass(frozen=True, slots=True)
class Granted:
    """The run holds its slots; `launch` or `release` it."""

    key: str


@dataclass(frozen=True, slots=True)
class Started:
    """The process runs. started_at: seconds since the epoch, UTC."""

    key: str
    pid: int
    started_at: float


@dataclass(frozen=True, slots=True)
class Exited:
    """The run's process has ended and nothing of its tree is left. Acknowledge it.

    exit_code    minus the signal's number when a signal ended it
    duration_s   by the monotonic clock; the two times by the wall clock, seconds since the epoch
    killed       `kill` came before the end; timed_out: its limit was reached
    """

    key: str
    exit_code: int
    started_at: float
    ended_at: float
    duration_s: float
    timed_out: bool
    killed: bool
    user_cpu_s: float
    system_cpu_s: float
    rss_bytes_max: int


@dataclass(frozen=True, slots=True)
class Failed:
    """No process was started. Acknowledge it.

    stage  environment, directories, output, cwd, program, process (see launching.py)
    """

    key: str
    errno: int
    stage: str

    @property
    def is_program_missing(self) -> bool:
        """Whether the program was not found, rather than found and not executable."""
        return self.stage == "program" and self.errno in (errno.ENOENT, errno.ENOTDIR)


@dataclass(frozen=True, slots=True)
class Dropped:
    """The run ended before it had a process. Acknowledge it."""

    key: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A `launch` or `kill` named a run that the spawner does not know."""

    key: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The spawner holds too many runs to take this one; enqueue it again later."""

    key: str


Event = Granted | Started | Exited | Failed | Dropped | Unknown | Refused
End = Exited | Failed | Dropped

EVENTS: Final[Mapping[str, type[Event]]] = {
    "granted": Granted, "started": Started, "exited": Exited, "failed": Failed,
    "dropped": Dropped, "unknown": Unknown, "refused": Refused,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class HeldRun:
    """One run that the spawner knows. held: slots it holds; started or end where there is one."""

    key: str
    state: RunState
    slots: int
    held: int
    started: Started | None = None
    end: End | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a spawner holds; pid names its life: a new one knows nothing of the old one's."""

    pid: int
    capacity: int
    runs: Mapping[str, HeldRun]


def held_run(key: str, state: RunState, slots: int, held: int, detail: Any) -> HeldRun:
    """Read one row of the answer to `list`."""
    if state is RunState.FINISHED:
        end = EVENTS[detail[0]](*detail[1:])
        assert isinstance(end, (Exited, Failed, Dropped))
        return HeldRun(key, state, slots, held, end=end)
    started = None if detail is None else Started(key, *detail)
    return HeldRun(key, state, slots, held, started=started)
