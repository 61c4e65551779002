"""Tasks: add, read, change, end."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from shoal_controller.core.changes import Ready, TasksAdded
from shoal_controller.core.conditions import ANY, Conditions
from shoal_controller.core.errors import Refused
from shoal_controller.core.job import Job, check_takes_tasks
from shoal_controller.core.listing import Listing, ListQuery
from shoal_controller.core.statistics import usage
from shoal_controller.core.task import (
    Reactivated,
    Task,
    TaskConstraints,
    TaskDefinition,
    Terminated,
)
from shoal_controller.operations import runs
from shoal_controller.operations.context import JOBS, POOLS, SCHEDULING, Context
from shoal_controller.operations.jobs import find_job, read_job
from shoal_controller.operations.rounds import in_rounds
from shoal_controller.store import pages, statistics, tasks
from shoal_controller.store.columns import ticks, time
from shoal_controller.store.database import Tx
from shoal_protocol.messages import ChangeLimits, KillTask, RemoveTaskFiles
from shoal_protocol.specs import RunId


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to add."""

    id: str
    definition: TaskDefinition


class Added(NamedTuple):
    """What became of tasks to add.

    at       when those that were added were created
    refused  in the order of the tasks: why one was not added, or None
    """

    job: Job
    at: datetime
    refused: list[Refused | None]


async def add_tasks(ctx: Context, job_id: str, new: Sequence[NewTask]) -> Added:
    """Add tasks to a job.

    Raises Refused when the job is absent or takes no tasks: then none was added.
    """
    created = ticks(ctx.clock.now())

    def decide(tx: Tx) -> Added:
        job = find_job(tx, job_id)
        check_takes_tasks(job)
        retry_count_max = job.definition.constraints.max_task_retry_count
        completed: dict[TaskConstraints, TaskConstraints] = {}  # most tasks have the same
        refused: list[Refused | None] = []
        ready: list[Ready] = []
        for item in new:
            definition = item.definition
            given = definition.constraints
            if given.max_task_retry_count is None:
                constraints = completed.get(given)
                if constraints is None:
                    constraints = replace(given, max_task_retry_count=retry_count_max)
                    completed[given] = constraints
                definition = definition.constrained(constraints)
            try:
                serial = tasks.insert(tx, job.serial, item.id, definition, created)
            except sqlite3.IntegrityError:
                refused.append(Refused("TaskExists"))
                continue
            refused.append(None)
            ready.append(Ready(serial, definition.required_slots, 0, definition.affinity_id))
        tx.changes.append(TasksAdded(job.serial, ready))
        tx.wakes.add(SCHEDULING)
        return Added(job, time(created), refused)

    return await ctx.settle(decide, grows=True)


async def add_task(ctx: Context, job_id: str, new: NewTask) -> Added:
    """Add one task, or raise Refused."""
    added = await add_tasks(ctx, job_id, [new])
    if added.refused[0] is not None:
        raise added.refused[0]
    return added


async def get_task(
    ctx: Context, job_id: str, task_id: str, conditions: Conditions = ANY
) -> tuple[Job, Task]:
    """Return a task and its job."""
    job = await read_job(ctx, job_id)
    rows = await ctx.store.read(tasks.GET, (job.serial, task_id))
    if not rows:
        raise Refused("TaskNotFound")
    task = tasks.task(rows[0])
    conditions.check(task.modified_at, is_read=True)
    return job, task


async def list_tasks(ctx: Context, job_id: str, query: ListQuery) -> tuple[Job, Listing[Task]]:
    """Return a page of a job's tasks: in order of creation, or of what a filter asks for."""
    job = await read_job(ctx, job_id)
    rows, next_after = await pages.page(ctx.store, pages.TASKS, (job.serial,), query)
    return job, Listing(await in_rounds(rows, tasks.task), next_after)


async def update_task(
    ctx: Context, job_id: str, task_id: str, constraints: TaskConstraints, conditions: Conditions
) -> Task:
    """Replace a task's constraints; they apply to a running task at once, from the same origins."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> Task:
        job, task = find_task(tx, job_id, task_id)
        conditions.check(task.modified_at)
        check_takes_tasks(job)
        new = constraints
        if new.max_task_retry_count is None:
            default = job.definition.constraints.max_task_retry_count
            new = replace(new, max_task_retry_count=default)
        after = replace(task, definition=replace(task.definition, constraints=new), modified_at=now)
        tasks.update(tx, after)
        serial = runs.node_serial(ctx, task.node_id)
        if serial is not None and task.attempt:
            limit, retention = new.max_wall_clock_time, new.retention_time
            tx.messages.append(
                (
                    serial,
                    ChangeLimits(
                        task.run,
                        None if limit is None else limit.total_seconds(),
                        float("inf") if retention is None else retention.total_seconds(),
                    ),
                )
            )
        return after

    return await ctx.settle(decide)


async def terminate_task(
    ctx: Context, job_id: str, task_id: str, conditions: Conditions = ANY
) -> Task:
    """End a task for good: completed, with TaskEnded as its failure."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> Task:
        _, task = find_task(tx, job_id, task_id)
        conditions.check(task.modified_at)
        return runs.withdraw(ctx, tx, task, Terminated(), now)

    return await ctx.settle(decide)


async def reactivate_task(
    ctx: Context, job_id: str, task_id: str, conditions: Conditions = ANY
) -> Task:
    """Let a failed task of a living job run again, its retries counted from none."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> Task:
        job, task = find_task(tx, job_id, task_id)
        conditions.check(task.modified_at)
        check_takes_tasks(job)
        return runs.change(ctx, tx, task, Reactivated(), now)

    return await ctx.settle(decide)


async def delete_task(
    ctx: Context, job_id: str, task_id: str, conditions: Conditions = ANY
) -> None:
    """Remove a task in any state, its processes and its files."""

    def decide(tx: Tx) -> None:
        job, task = find_task(tx, job_id, task_id)
        conditions.check(task.modified_at)
        remove_task(ctx, tx, job, task)

    await ctx.settle(decide)


async def job_of_run(ctx: Context, run: RunId) -> str | None:
    """Return the id of the job whose task goes on in this run; None once task or job is over.

    A run that waits on its node counts: its process may begin before its node has told so.
    """
    rows = await ctx.store.read(tasks.JOB_OF_RUN, (run.serial, run.attempt))
    return rows[0]["id"] if rows else None


def remove_task(ctx: Context, tx: Tx, job: Job, task: Task) -> None:
    """Delete a task's row; tell the node that holds something of it."""
    statistics.add_past_task(tx, usage(task, ctx.clock.now()), task.created_at)
    tasks.delete(tx, task.serial)
    tx.changes.append(runs.moved(ctx, task, None, is_killed=task.is_placed))
    serial = runs.node_serial(ctx, task.node_id)
    if serial is not None:
        if task.is_placed:
            tx.messages.append((serial, KillTask(task.run)))
        if task.attempt:
            tx.messages.append((serial, RemoveTaskFiles(job.id, task.id, task.serial)))
    tx.wakes |= {SCHEDULING, JOBS, POOLS}


def find_task(tx: Tx, job_id: str, task_id: str) -> tuple[Job, Task]:
    """Return a task and its job, or raise Refused naming which of them is absent."""
    job = find_job(tx, job_id)
    task = tasks.get(tx, job.serial, task_id)
    if task is None:
        raise Refused("TaskNotFound")
    return job, task
