"""What an agent writes down before it acts (pure values); `journal.py` keeps them.

Replaying all records, or a snapshot and the records after it, gives back the agent's state.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from shoal_protocol.specs import ExitInfo, NodeConfig, RunId, TaskSpec

Outcome = Literal["returned", "gone", "lost"]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A run was taken on."""

    run: RunId
    spec: TaskSpec


@dataclass(frozen=True, slots=True)
class Began:
    """A run took its slots and prepares. at_s: the machine's monotonic clock, for its limit."""

    run: RunId
    at: datetime
    at_s: float


@dataclass(frozen=True, slots=True)
class Exited:
    """A run's process has ended; its outputs are still to be uploaded."""

    run: RunId
    exit: ExitInfo


@dataclass(frozen=True, slots=True)
class Ended:
    """A run has its result, which the controller does not know yet."""

    run: RunId
    exit: ExitInfo
    at_s: float


@dataclass(frozen=True, slots=True)
class Killing:
    """The controller decided a run's outcome; its processes may still be there."""

    run: RunId


@dataclass(frozen=True, slots=True)
class Closed:
    """A run is over without a result, which the controller does not know yet."""

    run: RunId
    outcome: Outcome
    at: datetime
    at_s: float


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The controller knows how these runs ended."""

    runs: tuple[RunId, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """A run's limits changed."""

    run: RunId
    wall_clock_limit_s: float | None
    retention_s: float


@dataclass(frozen=True, slots=True)
class Directory:
    """A task directory that is on the disk.

    serial      of the task that made it; 0 when nobody knows any more
    since       its run ended then, None while one uses it; since_s: the same by the monotonic clock
                of the machine's boot `machine`
    """

    job_id: str
    task_id: str
    serial: int
    retention_s: float
    since: datetime | None = None
    since_s: float = 0.0
    machine: str = ""


@dataclass(frozen=True, slots=True)
class Removed:
    """A task directory is to be gone from the tree."""

    job_id: str
    task_id: str


@dataclass(frozen=True, slots=True)
class Boot:
    """A new start of the node: all processes of earlier ones are gone, or are to be killed.

    wipes  it begins with an empty tree; done by the time that a spawner serves it
    """

    boot_id: str
    at: datetime
    wipes: bool = False


@dataclass(frozen=True, slots=True)
class SpawnerLife:
    """The spawner that serves the present boot of the node, in that boot of the machine.

    Monotonic readings in the records that follow are this machine boot's.
    """

    life: str
    machine: str


@dataclass(frozen=True, slots=True)
class Configured:
    """The configuration that the controller gave."""

    config: NodeConfig


@dataclass(frozen=True, slots=True)
class StartTaskBegan:
    """Run `number` of this boot's start task begins."""

    number: int
    retry_count: int
    at: datetime
    last_retry_at: datetime | None


@dataclass(frozen=True, slots=True)
class StartTaskEnded:
    """Run `number` of the start task is over; final: no other will follow."""

    number: int
    exit: ExitInfo
    final: bool


@dataclass(frozen=True, slots=True)
class Ready:
    """The node may run tasks in this boot."""


Record = (
    Accepted
    | Began
    | Exited
    | Ended
    | Killing
    | Closed
    | Forgotten
    | Limits
    | Directory
    | Removed
    | Boot
    | SpawnerLife
    | Configured
    | StartTaskBegan
    | StartTaskEnded
    | Ready
)
KINDS: Final[tuple[type[Record], ...]] = (
    Accepted,
    Began,
    Exited,
    Ended,
    Killing,
    Closed,
    Forgotten,
    Limits,
    Directory,
    Removed,
    Boot,
    SpawnerLife,
    Configured,
    StartTaskBegan,
    StartTaskEnded,
    Ready,
)
