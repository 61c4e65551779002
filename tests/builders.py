"""Records with defaults for all that is not under test."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shoal_controller.core.job import Job, JobDefinition, JobState
from shoal_controller.core.node import Node, NodeState
from shoal_controller.core.pool import AllocationState, Pool, PoolDefinition, PoolState
from shoal_controller.core.task import Task, TaskDefinition, TaskState
from shoal_protocol.specs import ErrorCategory, ExitInfo, FailureInfo

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def a_pool(**changes: Any) -> Pool:
    """An active, steady pool of no nodes."""
    definition = PoolDefinition(vm_size="standard_d2_v2")
    pool = Pool(
        1, "p", definition, NOON, NOON, PoolState.ACTIVE, NOON, AllocationState.STEADY, NOON
    )
    return replace(pool, **changes)


def a_node(**changes: Any) -> Node:
    """A dedicated node of one slot, ready for tasks."""
    node = Node(1, "n1", "p", NodeState.IDLE, NOON, NOON, slots=1, vm_size="standard_d2_v2")
    return replace(node, **changes)


def a_job(**changes: Any) -> Job:
    """An active job on pool `p`."""
    job = Job(1, "j", JobDefinition("p"), NOON, NOON, JobState.ACTIVE, NOON, started_at=NOON)
    return replace(job, **changes)


def a_task(**changes: Any) -> Task:
    """An active task of job 1, placed nowhere."""
    task = Task(1, 1, "t", TaskDefinition("/bin/true"), NOON, NOON, TaskState.ACTIVE, NOON)
    return replace(task, **changes)


def an_exit(code: int | None = 0, code_name: str = "FailureExitCode", **changes: Any) -> ExitInfo:
    """A run of one second from NOON; failed when `code` is not 0."""
    failure = None
    if code != 0:
        failure = FailureInfo(ErrorCategory.USER_ERROR, code_name, "It failed")
    ended = ExitInfo(NOON + SECOND, NOON, code, failure)
    return replace(ended, **changes)
