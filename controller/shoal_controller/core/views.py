"""What the index holds of pools, nodes, jobs and runs: what is in motion, and no more."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from shoal_controller.core.changes import Ready, Standing
from shoal_controller.core.job import LIVE, JobState
from shoal_controller.core.node import NodeState
from shoal_controller.core.pool import JobDefaultOrder, NodeFillType
from shoal_controller.core.task import TaskResult, TaskState
from shoal_protocol.specs import RunId


@dataclass(slots=True)
class Counts:
    """Tasks, or slots of tasks, by where they stand."""

    active: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0

    def add(self, standing: Standing, count: int) -> None:
        match standing.state:
            case TaskState.ACTIVE:
                self.active += count
            case TaskState.RUNNING | TaskState.PREPARING:
                self.running += count
            case TaskState.COMPLETED if standing.result == TaskResult.SUCCESS:
                self.succeeded += count
            case _:
                self.failed += count

    @property
    def completed(self) -> int:
        return self.succeeded + self.failed


@dataclass(slots=True)
class RunView:
    """A run that a node holds. `expected_s`: how long runs of its job took lately."""

    serial: int
    attempt: int
    job_serial: int
    slots: int
    is_started: bool
    expected_s: float
    is_recalled: bool = False

    @property
    def run(self) -> RunId:
        return RunId(self.serial, self.attempt)


@dataclass(slots=True)
class NodeView:
    """A node and what it holds.

    dying         runs that are being killed there, and their slots
    used          slots of all it holds, dying ones included; more than `slots` when tasks are
                  queued there ahead of their turn
    load_s        expected seconds of work it holds
    running_count runs that have their slots: what makes a node `running`
    switched_s    monotonic time at which running_count last rose from or fell to none
    progress_s    monotonic time of its last start or end of a run
    is_pending    a reboot or removal waits for what it holds
    is_connected  its agent's link is up; not stored, false after a start of the controller
    """

    serial: int
    id: str
    pool_key: str
    slots: int
    takes_tasks: bool
    state: NodeState
    is_dedicated: bool = True
    is_pending: bool = False
    is_connected: bool = False
    runs: dict[int, RunView] = field(default_factory=dict[int, RunView])
    dying: dict[RunId, int] = field(default_factory=dict[RunId, int])
    used: int = 0
    load_s: float = 0.0
    running_count: int = 0
    switched_s: float | None = None
    progress_s: float = 0.0
    heard_s: float = 0.0
    recent: dict[int, None] = field(default_factory=dict[int, None])

    @property
    def is_on_its_way(self) -> bool:
        """Whether something is to be done about it: made, emptied for a reboot, or removed."""
        return self.is_pending or self.state in (NodeState.CREATING, NodeState.LEAVING_POOL)

    @property
    def running_slots(self) -> int:
        return sum(run.slots for run in self.runs.values() if run.is_started)


@dataclass(slots=True)
class JobView:
    """A job's counters and the window of its waiting tasks.

    window      in order of submission; `again` holds requeued ones, which go first
    window_end  all waiting tasks up to this serial are in memory
    has_more    there may be waiting tasks beyond window_end, on disk
    epoch       rises when waiting tasks were added on disk only
    mean_run_s  how long its runs took lately; None before the first ended
    deadline    when its wall clock runs out
    """

    serial: int
    id: str
    pool_key: str
    priority: int
    state: JobState
    max_parallel_tasks: int
    ends_with_tasks: bool
    tasks: Counts = field(default_factory=Counts)
    slots: Counts = field(default_factory=Counts)
    window: dict[int, Ready] = field(default_factory=dict[int, Ready])
    again: dict[int, Ready] = field(default_factory=dict[int, Ready])
    window_end: int = 0
    has_more: bool = False
    epoch: int = 0
    placed_count: int = 0
    mean_run_s: float | None = None
    deadline: datetime | None = None

    @property
    def is_live(self) -> bool:
        """Whether it has neither ended nor begun to."""
        return self.state in LIVE

    @property
    def has_ready(self) -> bool:
        return bool(self.window or self.again)


@dataclass(slots=True)
class PoolView:
    """A pool: how it fills its nodes, in which order, and which it has.

    exists   False: only jobs name it, it was deleted or never was
    """

    id: str
    key: str
    fill_type: NodeFillType
    job_order: JobDefaultOrder = JobDefaultOrder.NONE
    exists: bool = False
    nodes: dict[int, NodeView] = field(default_factory=dict[int, NodeView])
    jobs: dict[int, JobView] = field(default_factory=dict[int, JobView])
    last_served: int = 0
