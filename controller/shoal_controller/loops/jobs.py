"""Works off jobs that are on their way: disabling, terminating, deleting, or due to end."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from shoal_controller.core.changes import JobGone
from shoal_controller.core.job import (
    LIVE,
    DisableOption,
    Drained,
    Job,
    JobState,
    Terminate,
    TerminateReason,
)
from shoal_controller.core.task import Requeued, TaskState, Terminated
from shoal_controller.core.views import JobView
from shoal_controller.loops.driver import Loop, contained
from shoal_controller.operations import runs
from shoal_controller.operations.context import JOB_SCHEDULES, JOBS, Context
from shoal_controller.operations.jobs import move_job
from shoal_controller.operations.tasks import remove_task
from shoal_controller.store import jobs, tasks
from shoal_controller.store.database import Tx

TASKS_PER_WRITE: Final = 200
"""So that one write of a big job stays a few milliseconds."""
_ON_THEIR_WAY: Final = (JobState.DISABLING, JobState.TERMINATING, JobState.DELETING)


async def work_off(ctx: Context) -> bool:
    """One round over all jobs; return whether something is left that needs no event."""
    more = False
    for view in list(ctx.index.jobs.values()):
        with contained(f"job {view.id}"):
            if view.state in _ON_THEIR_WAY:
                more |= await ctx.settle(lambda tx, serial=view.serial: _advance(ctx, tx, serial))
            elif view.state == JobState.ACTIVE and _has_all_complete(view):
                await ctx.settle(lambda tx, serial=view.serial: _end_if_complete(ctx, tx, serial))
    await _end_overdue(ctx)
    return more


def _has_all_complete(view: JobView) -> bool:
    return view.ends_with_tasks and view.tasks.active == 0 and view.tasks.running == 0


def _advance(ctx: Context, tx: Tx, serial: int) -> bool:
    """Deal with some tasks of a job; return whether there are more to deal with now."""
    now = ctx.clock.now()
    job = jobs.by_serial(tx, serial)
    if job is None or job.state not in _ON_THEIR_WAY:
        return False
    if job.state == JobState.DELETING:
        return _delete_some(ctx, tx, job)
    waits_for = 0
    for count, row in enumerate(tx.rows(tasks.PLACED_OF_JOB, (serial,))):
        if count >= TASKS_PER_WRITE:
            return True
        task = tasks.task(row)
        if task.state == TaskState.ACTIVE:
            runs.withdraw(ctx, tx, task, Requeued(), now)  # queued on a node: it had not begun
        elif job.state == JobState.DISABLING and job.disable_option == DisableOption.WAIT:
            waits_for += 1
        elif job.state == JobState.DISABLING and job.disable_option == DisableOption.REQUEUE:
            runs.withdraw(ctx, tx, task, Requeued(), now)
        else:
            runs.withdraw(ctx, tx, task, Terminated(), now)
    if not waits_for:
        move_job(tx, job, Drained(), now)
    return False


def _delete_some(ctx: Context, tx: Tx, job: Job) -> bool:
    some = [tasks.task(row) for row in tx.rows(tasks.OF_JOB, (job.serial, TASKS_PER_WRITE))]
    for task in some:
        remove_task(ctx, tx, job, task)
    if some:
        return True
    jobs.delete(tx, job.serial)
    tx.changes.append(JobGone(job.serial))
    if job.schedule_serial is not None:
        tx.wakes.add(JOB_SCHEDULES)
    return False


def _end_if_complete(ctx: Context, tx: Tx, serial: int) -> None:
    job = jobs.by_serial(tx, serial)
    if job is None or job.state != JobState.ACTIVE or tasks.has_unfinished(tx, serial):
        return
    move_job(tx, job, Terminate(TerminateReason.ALL_TASKS_COMPLETE), ctx.clock.now())


async def _end_overdue(ctx: Context) -> None:
    """End jobs whose wall clock ran out; it runs from their creation, disabled or not."""
    now = ctx.clock.now()
    for view in list(ctx.index.jobs.values()):
        if view.deadline is not None and view.deadline <= now and view.is_live:
            await ctx.settle(lambda tx, serial=view.serial: _end_by_time(tx, serial, now))


def _end_by_time(tx: Tx, serial: int, now: datetime) -> None:
    job = jobs.by_serial(tx, serial)
    if job is not None and job.state in LIVE:
        move_job(tx, job, Terminate(TerminateReason.WALL_CLOCK), now)


LOOP: Final = Loop(JOBS, 1.0, work_off)
