"""Jobs: create, read, change, end. What takes time is worked off by loops/jobs.py."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shoal_controller.core.changes import JobPut
from shoal_controller.core.conditions import ANY, Conditions
from shoal_controller.core.errors import Refused, invalid_property
from shoal_controller.core.job import (
    AllTasksComplete,
    Delete,
    Disable,
    DisableOption,
    Enable,
    Job,
    JobDefinition,
    JobEvent,
    JobState,
    Terminate,
    TerminateReason,
    advance,
    check_changeable,
)
from shoal_controller.core.listing import Listing, ListQuery
from shoal_controller.operations.context import JOB_SCHEDULES, JOBS, SCHEDULING, Context
from shoal_controller.store import jobs, jobschedules, pages
from shoal_controller.store.database import Tx


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """How many tasks of a job stand where, and how many slots they need."""

    active: int
    running: int
    succeeded: int
    failed: int
    active_slots: int
    running_slots: int
    succeeded_slots: int
    failed_slots: int

    @property
    def completed(self) -> int:
        return self.succeeded + self.failed

    @property
    def completed_slots(self) -> int:
        return self.succeeded_slots + self.failed_slots


async def create_job(ctx: Context, job_id: str, definition: JobDefinition) -> Job:
    """Create an active job, or raise Refused("JobExists") and friends."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> Job:
        check_quota(ctx, tx)
        if jobschedules.get(tx, job_id) is not None:
            raise Refused("JobScheduleWithSameIdExists")
        return insert_job(tx, job_id, definition, now)

    return await ctx.settle(decide)


def check_quota(ctx: Context, tx: Tx) -> None:
    """Raise Refused when the account has as many jobs and schedules as it may."""
    quota = ctx.account.quotas.active_job_count
    (job_count,) = tx.rows(jobs.COUNT_ACTIVE)[0]
    (schedule_count,) = tx.rows(jobschedules.COUNT_ACTIVE)[0]
    if job_count + schedule_count >= quota:
        raise Refused(
            "ActiveJobAndScheduleQuotaReached",
            Reason=f"The account has {job_count} jobs and {schedule_count} job schedules that are "
            f"not completed; the quota is {quota}. Terminate or delete some.",
        )


def insert_job(
    tx: Tx,
    job_id: str,
    definition: JobDefinition,
    now: datetime,
    schedule_serial: int | None = None,
) -> Job:
    """Store a new active job within a write and return it, or raise Refused("JobExists")."""
    job = Job(
        0,
        job_id,
        definition,
        now,
        now,
        JobState.ACTIVE,
        now,
        started_at=now,
        schedule_serial=schedule_serial,
    )
    try:
        job = replace(job, serial=jobs.insert(tx, job))
    except sqlite3.IntegrityError:
        raise Refused("JobExists") from None
    _put(tx, job)
    return job


async def get_job(ctx: Context, job_id: str, conditions: Conditions = ANY) -> Job:
    """Return a job."""
    job = await read_job(ctx, job_id)
    conditions.check(job.modified_at, is_read=True)
    return job


async def list_jobs(ctx: Context, query: ListQuery) -> Listing[Job]:
    """Return a page of the account's jobs, oldest first."""
    rows, next_after = await pages.page(ctx.store, pages.JOBS, (), query)
    return Listing([jobs.job(row) for row in rows], next_after)


async def patch_job(
    ctx: Context, job_id: str, changes: Mapping[str, Any], conditions: Conditions = ANY
) -> Job:
    """Replace the given attributes of a job's definition, each as a whole."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> Job:
        job = find_job(tx, job_id)
        conditions.check(job.modified_at)
        check_changeable(job)
        definition = replace(job.definition, **changes)
        _check_change(job, definition)
        after = replace(job, definition=definition, modified_at=now)
        jobs.update(tx, after)
        _put(tx, after)
        return after

    return await ctx.settle(decide)


async def terminate_job(
    ctx: Context, job_id: str, reason: str | None = None, conditions: Conditions = ANY
) -> Job:
    """Begin to end a job: its running tasks are ended, its active ones stay active for ever."""
    return await _change(ctx, job_id, Terminate(reason or TerminateReason.USER), conditions)


async def disable_job(
    ctx: Context, job_id: str, option: DisableOption, conditions: Conditions = ANY
) -> Job:
    """Begin to disable a job: no task of it starts, running ones are treated as `option` says."""
    return await _change(ctx, job_id, Disable(option), conditions)


async def enable_job(ctx: Context, job_id: str, conditions: Conditions = ANY) -> Job:
    """Let a disabled job go on."""
    return await _change(ctx, job_id, Enable(), conditions)


async def delete_job(ctx: Context, job_id: str, conditions: Conditions = ANY) -> None:
    """Begin to delete a job with all its tasks and their files."""
    await _change(ctx, job_id, Delete(), conditions)


async def count_tasks(ctx: Context, job_id: str) -> TaskCounts:
    """Return a job's counters."""
    job = await read_job(ctx, job_id)
    view = ctx.index.jobs.get(job.serial)
    if view is None:
        raise Refused("JobNotFound")
    return TaskCounts(
        view.tasks.active,
        view.tasks.running,
        view.tasks.succeeded,
        view.tasks.failed,
        view.slots.active,
        view.slots.running,
        view.slots.succeeded,
        view.slots.failed,
    )


async def read_job(ctx: Context, job_id: str) -> Job:
    """Return a job as of a snapshot, or raise Refused."""
    rows = await ctx.store.read(jobs.GET, (job_id,))
    if not rows:
        raise Refused("JobNotFound")
    return jobs.job(rows[0])


def find_job(tx: Tx, job_id: str) -> Job:
    """Return a job within a write, or raise Refused."""
    job = jobs.get(tx, job_id)
    if job is None:
        raise Refused("JobNotFound")
    return job


def move_job(tx: Tx, job: Job, event: JobEvent, now: Any) -> Job:
    """Apply an event to a job within a write and return the job after it."""
    after = advance(job, event, now)
    jobs.update(tx, after)
    _put(tx, after)
    return after


async def _change(ctx: Context, job_id: str, event: JobEvent, conditions: Conditions) -> Job:
    now = ctx.clock.now()

    def decide(tx: Tx) -> Job:
        job = find_job(tx, job_id)
        conditions.check(job.modified_at)
        return move_job(tx, job, event, now)

    return await ctx.settle(decide)


def _put(tx: Tx, job: Job) -> None:
    tx.changes.append(JobPut(job))
    tx.wakes |= {JOBS, SCHEDULING}
    if job.schedule_serial is not None:
        tx.wakes.add(JOB_SCHEDULES)


def _check_change(job: Job, new: JobDefinition) -> None:
    old = job.definition
    if new.pool_id.lower() != old.pool_id.lower() and job.state != JobState.DISABLED:
        raise Refused(
            "OperationInvalidForCurrentState",
            Reason=f"Job '{job.id}' is {job.state}: its pool can be changed only while it is "
            "disabled.",
        )
    if (
        old.on_all_tasks_complete == AllTasksComplete.TERMINATE_JOB
        and new.on_all_tasks_complete == AllTasksComplete.NO_ACTION
    ):
        raise invalid_property(
            "onAllTasksComplete", "noaction", "It cannot be set back once it is 'terminatejob'."
        )
