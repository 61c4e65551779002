"""What the scheduler sees: what is in motion, and a bounded window of what waits.

The index is derived. It is built from the store at start and kept true by `apply`, which is called
with every change after its commit, in commit order; `check` proves it consistent. It is the one
mutable structure of core/ and belongs to the event loop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from shoal_controller.core.ids import fold
from shoal_controller.core.job import LIVE, AllTasksComplete, Job, JobState
from shoal_controller.core.node import Node, NodeState, takes_tasks
from shoal_controller.core.pool import NodeFillType, Pool
from shoal_controller.core.task import TaskResult, TaskState
from shoal_protocol.specs import RunId

WINDOW_TASKS_MAX: Final = 1000
"""So many waiting tasks of a job are held in memory; the rest waits on disk."""
RUN_S_MIN: Final = 0.0005
"""No run is expected to be shorter than the fork and exec it takes."""
_MEAN_WEIGHT: Final = 0.1
RECENT_TASKS_MAX: Final = 10


class Standing(NamedTuple):
    """Where a task stands, as far as counting and scheduling care."""

    state: TaskState
    result: TaskResult | None
    is_placed: bool


NEW: Final = Standing(TaskState.ACTIVE, None, False)


class Ready(NamedTuple):
    """A waiting task in a job's window."""

    serial: int
    slots: int
    attempt: int
    affinity_id: str | None


# --- changes --------------------------------------------------------------------------------------


class PoolPut(NamedTuple):
    """A pool was created or changed."""

    pool: Pool


class PoolGone(NamedTuple):
    """A pool is no more."""

    pool_id: str


class NodePut(NamedTuple):
    """A node was created or changed."""

    node: Node


class NodeGone(NamedTuple):
    """A node is no more."""

    serial: int


class JobPut(NamedTuple):
    """A job was created or changed."""

    job: Job


class JobGone(NamedTuple):
    """A job is no more; its tasks went before."""

    serial: int


class TasksAdded(NamedTuple):
    """New waiting tasks, serials rising."""

    job_serial: int
    tasks: list[Ready]


class TaskMoved(NamedTuple):
    """A task stands elsewhere now.

    attempt    of the task after the change
    node       serial of the node that holds it now, or held it until now
    after      None: the task was deleted
    is_killed  its run is being killed: its slots are free only once the node says that it is gone
    run_s      how long the run took that ended with this change
    """

    serial: int
    job_serial: int
    slots: int
    attempt: int
    affinity_id: str | None
    before: Standing
    after: Standing | None
    node: int | None = None
    is_killed: bool = False
    run_s: float | None = None


Change = PoolPut | PoolGone | NodePut | NodeGone | JobPut | JobGone | TasksAdded | TaskMoved


# --- views ----------------------------------------------------------------------------------------


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
    progress_s    monotonic time of its last start or end of a run
    is_connected  its agent's link is up; not stored, false after a start of the controller
    """

    serial: int
    id: str
    pool_key: str
    slots: int
    takes_tasks: bool
    state: NodeState
    is_dedicated: bool = True
    is_connected: bool = False
    runs: dict[int, RunView] = field(default_factory=dict[int, RunView])
    dying: dict[RunId, int] = field(default_factory=dict[RunId, int])
    used: int = 0
    load_s: float = 0.0
    progress_s: float = 0.0
    heard_s: float = 0.0
    recent: dict[int, None] = field(default_factory=dict[int, None])

    @property
    def running_count(self) -> int:
        return sum(1 for run in self.runs.values() if run.is_started)

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
    """A pool: how it fills its nodes, and which it has.

    exists   False: only jobs name it, it was deleted or never was
    """

    id: str
    key: str
    fill_type: NodeFillType
    exists: bool = False
    nodes: dict[int, NodeView] = field(default_factory=dict[int, NodeView])
    jobs: dict[int, JobView] = field(default_factory=dict[int, JobView])
    last_served: int = 0


class Index:
    """Everything in motion in one account."""

    def __init__(self, window_tasks_max: int = WINDOW_TASKS_MAX) -> None:
        self.window_tasks_max = window_tasks_max
        self.pools: dict[str, PoolView] = {}
        self.nodes: dict[int, NodeView] = {}
        self.node_by_id: dict[str, NodeView] = {}
        self.jobs: dict[int, JobView] = {}
        self.now_s = 0.0

    # --- changes that were committed --------------------------------------------------------------

    def apply(self, change: Change, now_s: float) -> None:
        """Make the index true again after a committed change."""
        self.now_s = now_s
        match change:
            case TaskMoved():
                self._move_task(change)
            case TasksAdded(job_serial, tasks):
                self._add_tasks(self.jobs[job_serial], tasks)
            case JobPut(job):
                self._put_job(job)
            case JobGone(serial):
                job = self.jobs.pop(serial, None)
                if job is not None:
                    self._leave_pool(job)
            case NodePut(node):
                self._put_node(node)
            case NodeGone(serial):
                node = self.nodes.pop(serial, None)
                if node is not None:
                    del self.node_by_id[fold(node.id)]
                    self._pool(node.pool_key).nodes.pop(serial, None)
            case PoolPut(pool):
                view = self._pool(fold(pool.id))
                view.id, view.fill_type, view.exists = pool.id, pool.definition.fill_type, True
            case PoolGone(pool_id):
                view = self.pools.get(fold(pool_id))
                if view is not None:
                    # What jobs make by naming a pool that does not exist.
                    view.id, view.fill_type, view.exists = view.key, NodeFillType.SPREAD, False
                    self._drop_if_unused(view)

    # --- what is known of agents, and never stored ------------------------------------------------

    def run_gone(self, node_serial: int, run: RunId) -> None:
        """A killed run has left its node: its slots are free."""
        node = self.nodes.get(node_serial)
        if node is not None:
            node.used -= node.dying.pop(run, 0)
            node.progress_s = self.now_s

    def run_held(self, node_serial: int, run: RunId, slots: int) -> None:
        """A connecting node holds a run that is not its any more: it is being killed there."""
        node = self.nodes[node_serial]
        if run not in node.dying:
            node.dying[run] = slots
            node.used += slots

    def recalled(self, node_serial: int, run: RunId) -> None:
        """A queued run was asked back: it is not asked for again."""
        view = self.nodes[node_serial].runs.get(run.serial)
        if view is not None and view.attempt == run.attempt:
            view.is_recalled = True

    def refill(self, job: JobView, rows: list[Ready], *, asked: int, epoch: int) -> None:
        """Take waiting tasks from disk into the window: `asked` were asked for at `epoch`."""
        for row in rows:
            if row.serial > job.window_end:
                job.window_end = row.serial
                if row.serial not in job.again:
                    job.window[row.serial] = row
        job.has_more = len(rows) == asked or epoch != job.epoch

    # --- inside -----------------------------------------------------------------------------------

    def _pool(self, key: str) -> PoolView:
        # Jobs may name a pool that does not exist (yet), and outlive one.
        view = self.pools.get(key)
        if view is None:
            view = self.pools[key] = PoolView(key, key, NodeFillType.SPREAD)
        return view

    def _leave_pool(self, job: JobView) -> None:
        pool = self._pool(job.pool_key)
        pool.jobs.pop(job.serial, None)
        self._drop_if_unused(pool)

    def _drop_if_unused(self, pool: PoolView) -> None:
        if not pool.exists and not pool.jobs and not pool.nodes:
            del self.pools[pool.key]

    def _put_job(self, job: Job) -> None:
        key = fold(job.definition.pool_id)
        view = self.jobs.get(job.serial)
        if view is None:
            view = JobView(job.serial, job.id, key, 0, job.state, -1, False)
            self.jobs[job.serial] = view
        elif view.pool_key != key:
            self._leave_pool(view)
        view.pool_key = key
        self._pool(key).jobs[job.serial] = view
        view.priority = job.definition.priority
        view.state = job.state
        view.max_parallel_tasks = job.definition.max_parallel_tasks
        limit = job.definition.constraints.max_wall_clock_time
        view.deadline = None if limit is None else job.created_at + limit
        view.ends_with_tasks = (
            job.definition.on_all_tasks_complete == AllTasksComplete.TERMINATE_JOB
        )

    def _put_node(self, node: Node) -> None:
        view = self.nodes.get(node.serial)
        if view is None:
            key = fold(node.pool_id)
            view = NodeView(node.serial, node.id, key, node.slots, False, node.state)
            view.heard_s = self.now_s
            self.nodes[node.serial] = self.node_by_id[fold(node.id)] = view
            self._pool(key).nodes[node.serial] = view
        view.slots = node.slots
        view.state = node.state
        view.is_dedicated = node.is_dedicated
        view.takes_tasks = takes_tasks(node)

    def _add_tasks(self, job: JobView, tasks: list[Ready]) -> None:
        slots = sum(task.slots for task in tasks)
        job.tasks.active += len(tasks)
        job.slots.active += slots
        if not job.has_more and len(job.window) < self.window_tasks_max:
            for task in tasks:
                job.window[task.serial] = task
            if tasks:
                job.window_end = max(job.window_end, tasks[-1].serial)
        else:
            job.has_more = True
            job.epoch += 1

    def _move_task(self, change: TaskMoved) -> None:
        job = self.jobs[change.job_serial]
        before, after = change.before, change.after
        if after is None or before.state != after.state or before.result != after.result:
            job.tasks.add(before, -1)
            job.slots.add(before, -change.slots)
            if after is not None:
                job.tasks.add(after, 1)
                job.slots.add(after, change.slots)
        if change.run_s is not None:
            run_s = max(change.run_s, RUN_S_MIN)
            mean = job.mean_run_s
            job.mean_run_s = run_s if mean is None else mean + _MEAN_WEIGHT * (run_s - mean)
        was_placed, is_placed = before.is_placed, after is not None and after.is_placed
        if is_placed and not was_placed:
            self._place(job, change)
        elif was_placed and not is_placed:
            self._unplace(job, change)
        elif is_placed and change.node is not None and after is not None:
            run = self.nodes[change.node].runs[change.serial]
            run.is_started = after.state == TaskState.RUNNING
            self._touch(self.nodes[change.node], change.serial)
        if after is None or after.state != TaskState.ACTIVE or is_placed:
            job.window.pop(change.serial, None)
            job.again.pop(change.serial, None)
        elif was_placed or before.state != TaskState.ACTIVE:
            self._wait_again(job, change)

    def _wait_again(self, job: JobView, change: TaskMoved) -> None:
        ready = Ready(change.serial, change.slots, change.attempt, change.affinity_id)
        if change.serial <= job.window_end or not job.has_more:
            job.window_end = max(job.window_end, change.serial)
            job.again[change.serial] = ready
        else:
            job.epoch += 1

    def _place(self, job: JobView, change: TaskMoved) -> None:
        job.placed_count += 1
        self._pool(job.pool_key).last_served = job.serial
        node = None if change.node is None else self.nodes.get(change.node)
        if node is None:
            return
        expected_s = job.mean_run_s or 0.0
        is_started = change.after is not None and change.after.state == TaskState.RUNNING
        node.runs[change.serial] = RunView(
            change.serial, change.attempt, job.serial, change.slots, is_started, expected_s
        )
        node.used += change.slots
        node.load_s += expected_s
        if len(node.runs) == 1:
            node.progress_s = self.now_s

    def _unplace(self, job: JobView, change: TaskMoved) -> None:
        job.placed_count -= 1
        node = None if change.node is None else self.nodes.get(change.node)
        if node is None:
            return
        run = node.runs.pop(change.serial, None)
        if run is None:
            return
        node.load_s = node.load_s - run.expected_s if node.runs else 0.0
        if change.is_killed:
            node.dying[run.run] = run.slots
        else:
            node.used -= run.slots
            node.progress_s = self.now_s
        self._touch(node, change.serial)

    def _touch(self, node: NodeView, serial: int) -> None:
        node.recent.pop(serial, None)
        node.recent[serial] = None
        if len(node.recent) > RECENT_TASKS_MAX:
            del node.recent[next(iter(node.recent))]

    # --- proof ------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise AssertionError where the index contradicts itself; for tests and the simulation."""
        placed: dict[int, int] = {}
        for node in self.nodes.values():
            slots = sum(run.slots for run in node.runs.values()) + sum(node.dying.values())
            assert node.used == slots, (node.id, node.used, slots)
            for run in node.runs.values():
                placed[run.job_serial] = placed.get(run.job_serial, 0) + 1
        for job in self.jobs.values():
            assert job.placed_count >= placed.get(job.serial, 0), job.id
            for counts in (job.tasks, job.slots):
                numbers = (counts.active, counts.running, counts.succeeded, counts.failed)
                assert min(numbers) >= 0, (job.id, numbers)
            waiting = job.tasks.active + job.tasks.running - job.placed_count
            in_memory = len(job.window.keys() | job.again.keys())
            assert in_memory <= waiting, (job.id, in_memory, waiting)
            if not job.has_more:
                assert in_memory == waiting, (job.id, in_memory, waiting)
