"""Job schedules: create, read, change, end. loops/jobschedules.py works off what takes time."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from shoal_controller.core.conditions import ANY, Conditions
from shoal_controller.core.errors import Refused
from shoal_controller.core.job import LIVE, Job, TerminateReason
from shoal_controller.core.job import Delete as DeleteJob
from shoal_controller.core.job import Terminate as TerminateJob
from shoal_controller.core.jobschedule import (
    Delete,
    Disable,
    Enable,
    Finished,
    JobSchedule,
    JobScheduleDefinition,
    JobScheduleEvent,
    JobScheduleState,
    Terminate,
    advance,
    check_changeable,
)
from shoal_controller.core.listing import Listing, ListQuery
from shoal_controller.core.recurrence import Turn, turn
from shoal_controller.operations.context import JOB_SCHEDULES, Context
from shoal_controller.operations.jobs import check_quota, insert_job, move_job
from shoal_controller.store import jobs, jobschedules, pages
from shoal_controller.store.database import Tx

JOBS_PER_WRITE: Final = 200
"""So that one write of a schedule of many jobs stays a few milliseconds."""


@dataclass(frozen=True, slots=True)
class JobScheduleView:
    """A job schedule, and when its next job is due."""

    schedule: JobSchedule
    next_run_at: datetime | None


async def create_job_schedule(
    ctx: Context, schedule_id: str, definition: JobScheduleDefinition
) -> JobSchedule:
    """Create an active schedule; a job that is due at once is there when this returns."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> JobSchedule:
        check_quota(ctx, tx)
        if jobs.get(tx, schedule_id) is not None:
            raise Refused("JobWithSameIdExists")
        schedule = JobSchedule(0, schedule_id, definition, now, now, JobScheduleState.ACTIVE, now)
        try:
            schedule = replace(schedule, serial=jobschedules.insert(tx, schedule))
        except sqlite3.IntegrityError:
            raise Refused("JobScheduleExists") from None
        work_on(tx, schedule, now)
        return schedule

    return await ctx.settle(decide)


async def get_job_schedule(
    ctx: Context, schedule_id: str, conditions: Conditions = ANY
) -> JobScheduleView:
    """Return a job schedule."""
    schedule = await _read(ctx, schedule_id)
    conditions.check(schedule.modified_at, is_read=True)
    return _view(schedule, ctx.clock.now())


async def list_job_schedules(ctx: Context, query: ListQuery) -> Listing[JobScheduleView]:
    """Return a page of the account's job schedules, oldest first."""
    now = ctx.clock.now()
    rows, next_after = await pages.page(ctx.store, pages.JOB_SCHEDULES, (), query)
    return Listing([_view(jobschedules.job_schedule(row), now) for row in rows], next_after)


async def list_jobs(ctx: Context, schedule_id: str, query: ListQuery) -> Listing[Job]:
    """Return a page of the jobs that a schedule made, oldest first."""
    schedule = await _read(ctx, schedule_id)
    source, parameters = pages.JOBS_OF_SCHEDULE, (schedule.serial,)
    rows, next_after = await pages.page(ctx.store, source, parameters, query)
    return Listing([jobs.job(row) for row in rows], next_after)


async def change_job_schedule(
    ctx: Context, schedule_id: str, changes: Mapping[str, Any], conditions: Conditions
) -> JobSchedule:
    """Replace the given attributes of a schedule's definition; its jobs stay as they are."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> JobSchedule:
        schedule = _find(tx, schedule_id, conditions)
        check_changeable(schedule)
        definition = replace(schedule.definition, **changes)
        after = replace(schedule, definition=definition, modified_at=now)
        jobschedules.update(tx, after)
        work_on(tx, after, now)
        return after

    return await ctx.settle(decide)


async def disable_job_schedule(
    ctx: Context, schedule_id: str, conditions: Conditions
) -> JobSchedule:
    """Make no more jobs; a live one goes on."""
    return await _change(ctx, schedule_id, Disable(), conditions)


async def enable_job_schedule(
    ctx: Context, schedule_id: str, conditions: Conditions
) -> JobSchedule:
    """Make jobs again; what was due meanwhile is passed over."""
    return await _change(ctx, schedule_id, Enable(), conditions)


async def terminate_job_schedule(
    ctx: Context, schedule_id: str, conditions: Conditions
) -> JobSchedule:
    """Begin to end a schedule and its live job."""
    return await _change(ctx, schedule_id, Terminate(), conditions)


async def delete_job_schedule(ctx: Context, schedule_id: str, conditions: Conditions) -> None:
    """Begin to delete a schedule with all its jobs and their tasks."""
    await _change(ctx, schedule_id, Delete(), conditions)


# --- used by the loop -----------------------------------------------------------------------------


def is_due(schedule: JobSchedule, now: datetime) -> bool:
    """Return whether there may be something to do about a schedule."""
    if schedule.state != JobScheduleState.ACTIVE:
        return schedule.state in (JobScheduleState.TERMINATING, JobScheduleState.DELETING)
    found = _turn(schedule, now)
    return found.due_at is not None or found.is_over


async def work_off(ctx: Context, serial: int) -> bool:
    """Do what a schedule's time has come for; return whether there is more to do at once."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> bool:
        schedule = jobschedules.by_serial(tx, serial)
        return schedule is not None and work_on(tx, schedule, now)

    return await ctx.settle(decide)


def work_on(tx: Tx, schedule: JobSchedule, now: datetime) -> bool:
    """Do within a write what a schedule's time has come for; return whether there is more."""
    match schedule.state:
        case JobScheduleState.ACTIVE:
            _make_or_finish(tx, schedule, now)
        case JobScheduleState.TERMINATING:
            live = jobs.live_of_schedule(tx, schedule.serial)
            for job in live:
                if job.state in LIVE:
                    move_job(tx, job, TerminateJob(TerminateReason.JOB_SCHEDULE), now)
            if not live:
                jobschedules.update(tx, advance(schedule, Finished(), now))
        case JobScheduleState.DELETING:
            return _delete_some(tx, schedule, now)
        case _:
            pass
    return False


def _make_or_finish(tx: Tx, schedule: JobSchedule, now: datetime) -> None:
    found = _turn(schedule, now)
    if not (found.due_at or found.is_over) or jobs.live_of_schedule(tx, schedule.serial):
        return
    if found.due_at is None:
        jobschedules.update(tx, advance(schedule, Finished(), now))
        return
    # The quota counts the schedule already, and at most one live job comes with each.
    made = replace(schedule, job_count=schedule.job_count + 1, passed_at=found.due_at)
    jobschedules.update(tx, made)
    assert made.recent_job_id is not None
    insert_job(tx, made.recent_job_id, made.definition.specification, now, made.serial)


def _delete_some(tx: Tx, schedule: JobSchedule, now: datetime) -> bool:
    """Mark some jobs for deletion, or the schedule vanishes with the last of them."""
    some = jobs.kept_of_schedule(tx, schedule.serial, JOBS_PER_WRITE)
    for job in some:
        move_job(tx, job, DeleteJob(), now)
    if not some and not jobs.any_of_schedule(tx, schedule.serial):
        jobschedules.delete(tx, schedule.serial)
    return len(some) == JOBS_PER_WRITE


# --- inside ---------------------------------------------------------------------------------------


def _turn(schedule: JobSchedule, now: datetime) -> Turn:
    return turn(schedule.definition.timing, schedule.created_at, schedule.passed_at, now)


def _view(schedule: JobSchedule, now: datetime) -> JobScheduleView:
    if schedule.state != JobScheduleState.ACTIVE:
        return JobScheduleView(schedule, None)
    found = _turn(schedule, now)
    return JobScheduleView(schedule, found.due_at or found.next_at)


async def _read(ctx: Context, schedule_id: str) -> JobSchedule:
    rows = await ctx.store.read(jobschedules.GET, (schedule_id,))
    if not rows:
        raise Refused("JobScheduleNotFound")
    return jobschedules.job_schedule(rows[0])


def _find(tx: Tx, schedule_id: str, conditions: Conditions) -> JobSchedule:
    schedule = jobschedules.get(tx, schedule_id)
    if schedule is None:
        raise Refused("JobScheduleNotFound")
    conditions.check(schedule.modified_at)
    return schedule


async def _change(
    ctx: Context, schedule_id: str, event: JobScheduleEvent, conditions: Conditions
) -> JobSchedule:
    now = ctx.clock.now()

    def decide(tx: Tx) -> JobSchedule:
        after = advance(_find(tx, schedule_id, conditions), event, now)
        jobschedules.update(tx, after)
        tx.wakes.add(JOB_SCHEDULES)
        return after

    return await ctx.settle(decide)
