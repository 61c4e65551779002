"""Makes the jobs of schedules when they are due, and ends schedules with their jobs."""

from __future__ import annotations

from typing import Final

from shoal_controller.loops.driver import Loop, contained
from shoal_controller.operations.context import JOB_SCHEDULES, Context
from shoal_controller.operations.jobschedules import is_due, work_off
from shoal_controller.store import jobschedules


async def work_off_all(ctx: Context) -> bool:
    """One round over all job schedules; return whether something is left that needs no event."""
    now, more = ctx.clock.now(), False
    for row in await ctx.store.read(jobschedules.AT_WORK):
        schedule = jobschedules.job_schedule(row)
        if is_due(schedule, now):
            with contained(f"job schedule {schedule.id}"):
                more |= await work_off(ctx, schedule.serial)
    return more


LOOP: Final = Loop(JOB_SCHEDULES, 1.0, work_off_all)
