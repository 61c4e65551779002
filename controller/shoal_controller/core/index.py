"""What the scheduler sees: what is in motion, and a bounded window of what waits.

The index is derived. It is built from the store at start and kept true by `apply`, which is called
with every change after its commit, in commit order; `check` proves it consistent. It is the one
mutable structure of core/ and belongs to the event loop.
"""

from __future__ import annotations

from typing import Final

from shoal_controller.core.changes import (
    Change,
    JobGone,
    JobPut,
    NodeGone,
    NodePut,
    PoolGone,
    PoolPut,
    Ready,
    TaskMoved,
    TasksAdded,
)
from shoal_controller.core.ids import fold
from shoal_controller.core.job import AllTasksComplete, Job
from shoal_controller.core.node import Node, takes_tasks
from shoal_controller.core.pool import JobDefaultOrder, NodeFillType
from shoal_controller.core.task import TaskState
from shoal_controller.core.views import JobView, NodeView, PoolView, RunView
from shoal_protocol.specs import RunId

WINDOW_TASKS_MAX: Final = 1000
"""So many waiting tasks of a job are held in memory; the rest waits on disk."""
RUN_S_MIN: Final = 0.0005
"""No run is expected to be shorter than the fork and exec it takes."""
_MEAN_WEIGHT: Final = 0.1
RECENT_TASKS_MAX: Final = 10


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
                view.job_order = pool.definition.job_order
            case PoolGone(pool_id):
                view = self.pools.get(fold(pool_id))
                if view is not None:
                    # What jobs make by naming a pool that does not exist.
                    view.id, view.fill_type, view.exists = view.key, NodeFillType.SPREAD, False
                    view.job_order = JobDefaultOrder.NONE
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

    def recalls_forgotten(self, node_serial: int) -> None:
        """A node's agent has connected: what it was asked back before may have been lost."""
        for view in self.nodes[node_serial].runs.values():
            view.is_recalled = False

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
        view.is_pending = node.pending is not None
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
            node = self.nodes[change.node]
            self._set_started(node, node.runs[change.serial], after.state == TaskState.RUNNING)
            self._touch(node, change.serial)
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
            change.serial, change.attempt, job.serial, change.slots, False, expected_s
        )
        self._set_started(node, node.runs[change.serial], is_started)
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
        self._set_started(node, run, False)
        node.load_s = node.load_s - run.expected_s if node.runs else 0.0
        if change.is_killed:
            node.dying[run.run] = run.slots
        else:
            node.used -= run.slots
            node.progress_s = self.now_s
        self._touch(node, change.serial)

    def _set_started(self, node: NodeView, run: RunView, is_started: bool) -> None:
        if run.is_started == is_started:
            return
        was_running = node.running_count > 0
        run.is_started = is_started
        node.running_count += 1 if is_started else -1
        if was_running != (node.running_count > 0):
            node.switched_s = self.now_s

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
            started = [run for run in node.runs.values() if run.is_started]
            assert node.running_count == len(started), (node.id, node.running_count)
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
