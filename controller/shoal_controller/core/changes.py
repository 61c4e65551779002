"""What was committed, as the index needs to know it: one small value per change."""

from __future__ import annotations

from typing import Final, NamedTuple

from shoal_controller.core.job import Job
from shoal_controller.core.node import Node
from shoal_controller.core.pool import Pool
from shoal_controller.core.task import TaskResult, TaskState


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
