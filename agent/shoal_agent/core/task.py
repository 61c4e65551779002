"""The life of a run on its node (pure): its states, the legal moves, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum, StrEnum, auto
from typing import Final

from shoal_agent.core.environment import Account
from shoal_agent.core.paths import job_key
from shoal_protocol.messages import RunPhase
from shoal_protocol.specs import ExitInfo, RunId, TaskSpec, UploadCondition


class RunState(StrEnum):
    """Where a run stands."""

    HELD = "held"  # waits in the agent: node not ready, or its directory still in use
    QUEUED = "queued"  # with the spawner, in line for slots
    PREPARING = "preparing"  # has its slots: files are fetched
    STARTING = "starting"  # the spawner was told what to start
    RUNNING = "running"  # has a process
    UPLOADING = "uploading"  # its process has ended, outputs are uploaded
    KILLED = "killed"  # the controller decided its outcome; something of it may be left
    ENDED = "ended"  # has its result, kept until the controller acknowledged it


class RunEvent(Enum):
    """What moves a run."""

    ADMIT = auto()
    REFUSE = auto()  # the spawner has too many
    GRANT = auto()
    PREPARE = auto()
    START = auto()
    EXIT = auto()  # and outputs are to be uploaded
    END = auto()  # the result is known
    KILL = auto()


_S, _E = RunState, RunEvent
MOVES: Final[Mapping[tuple[RunState, RunEvent], RunState]] = {
    (_S.HELD, _E.ADMIT): _S.QUEUED,
    (_S.HELD, _E.END): _S.ENDED,  # its command line or environment is no good
    (_S.QUEUED, _E.REFUSE): _S.HELD,
    (_S.QUEUED, _E.GRANT): _S.PREPARING,
    (_S.QUEUED, _E.START): _S.RUNNING,  # was enqueued with its launch
    (_S.QUEUED, _E.EXIT): _S.UPLOADING,  # so quick that its start was not told
    (_S.QUEUED, _E.END): _S.ENDED,
    (_S.QUEUED, _E.KILL): _S.KILLED,
    (_S.PREPARING, _E.PREPARE): _S.STARTING,
    (_S.PREPARING, _E.END): _S.ENDED,
    (_S.PREPARING, _E.KILL): _S.KILLED,
    (_S.STARTING, _E.START): _S.RUNNING,
    (_S.STARTING, _E.EXIT): _S.UPLOADING,
    (_S.STARTING, _E.END): _S.ENDED,
    (_S.STARTING, _E.KILL): _S.KILLED,
    (_S.RUNNING, _E.EXIT): _S.UPLOADING,
    (_S.RUNNING, _E.END): _S.ENDED,
    (_S.RUNNING, _E.KILL): _S.KILLED,
    (_S.UPLOADING, _E.END): _S.ENDED,
    (_S.UPLOADING, _E.KILL): _S.KILLED,
}
"""A pair that is absent changes nothing: it is late news, or a repeat."""


class Run:
    """What the agent knows of one run; changed only through `advance` and by the agent core.

    in_spawner   the spawner holds a record of it that we have not acknowledged
    has_step     a step of it runs
    is_announced RunStarted was sent
    is_recalled  `release` was sent while it was queued; the spawner's answer decides
    is_expired   its wall clock ran out while it prepared
    """

    __slots__ = (
        "account",
        "exit",
        "granted_at",
        "granted_s",
        "has_step",
        "in_spawner",
        "is_announced",
        "is_expired",
        "is_recalled",
        "key",
        "run",
        "spec",
        "started_at",
        "state",
    )

    def __init__(self, run: RunId, spec: TaskSpec) -> None:
        self.run = run
        self.key = str(run)
        self.spec = spec
        self.state = RunState.HELD
        self.account: Account | None = None
        self.granted_at: datetime | None = None
        self.granted_s = 0.0
        self.started_at: datetime | None = None
        self.exit: ExitInfo | None = None
        self.in_spawner = self.has_step = False
        self.is_announced = self.is_recalled = self.is_expired = False

    @property
    def directory(self) -> tuple[str, str]:
        """Whose directory it uses: job, as directories know it, and task id."""
        return job_key(self.spec.job_id), self.spec.task_id

    @property
    def phase(self) -> RunPhase:
        """Its state in the controller's words."""
        if self.state in (RunState.HELD, RunState.QUEUED):
            return RunPhase.QUEUED
        return RunPhase.ENDED if self.state is RunState.ENDED else RunPhase.RUNNING

    def advance(self, event: RunEvent) -> bool:
        """Make the move that MOVES has for `event`; False when it has none."""
        state = MOVES.get((self.state, event))
        if state is None:
            return False
        self.state = state
        return True


def wants_upload(spec: TaskSpec, exit_code: int, is_timed_out: bool) -> UploadCondition | None:
    """Return the condition that this end fulfils beside completion, or None for no upload at all.

    A failure that will be retried uploads nothing; one for time never is retried.
    """
    if not spec.output_files:
        return None
    if exit_code == 0 and not is_timed_out:
        return UploadCondition.TASK_SUCCESS
    if not spec.last_try and not is_timed_out:
        return None
    return UploadCondition.TASK_FAILURE
