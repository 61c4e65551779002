"""Gives waiting tasks to nodes: refill the windows, plan, carry out."""

from __future__ import annotations

from typing import Final

from shoal_controller.core.job import JobState
from shoal_controller.core.scheduler import plan
from shoal_controller.core.views import JobView
from shoal_controller.loops.driver import Loop
from shoal_controller.operations.context import SCHEDULING, Context
from shoal_controller.operations.placements import carry_out
from shoal_controller.store import tasks


async def schedule(ctx: Context) -> bool:
    """One round; return whether another should follow at once.

    On a full disk nothing starts: what it says of itself could not be kept, nor what it makes.
    """
    if not ctx.store.has_room():
        return False
    for job in list(ctx.index.jobs.values()):
        is_low = job.has_more and len(job.window) < ctx.limits.window_tasks_max // 2
        if is_low and _matters(ctx, job):
            await _refill(ctx, job)
    made = plan(ctx.index, ctx.clock.monotonic(), ctx.limits)
    held = await carry_out(ctx, made)
    return held >= ctx.limits.placements_max


def _matters(ctx: Context, job: JobView) -> bool:
    pool = ctx.index.pools.get(job.pool_key)
    return job.state == JobState.ACTIVE and pool is not None and bool(pool.nodes)


async def _refill(ctx: Context, job: JobView) -> None:
    asked, epoch = ctx.limits.window_tasks_max, job.epoch
    rows = await ctx.store.read(tasks.READY, (job.serial, job.window_end, asked))
    ctx.index.refill(job, [tasks.ready(row) for row in rows], asked=asked, epoch=epoch)


LOOP: Final = Loop(SCHEDULING, 0.25, schedule)
"""The period is for what becomes true by the passing of time alone: a node that stalls."""
