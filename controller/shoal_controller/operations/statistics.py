"""Statistics of jobs, schedules, pools and the account, summed up when somebody asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shoal_controller.core.job import Job
from shoal_controller.core.jobschedule import JobSchedule
from shoal_controller.core.pool import Pool
from shoal_controller.core.statistics import (
    USAGE_INTERVAL,
    PoolUsage,
    Usage,
    UsageKey,
    core_time,
    interval_of,
    pool_usage,
)
from shoal_controller.operations.context import Context
from shoal_controller.store import statistics

_INTERVALS_PER_READ: Final = 48


@dataclass(frozen=True, slots=True)
class TaskStatistics:
    """What tasks used from `since` to `now`."""

    usage: Usage
    since: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    """For how long dedicated cores were there from `since` to `now`."""

    core_time: timedelta
    since: datetime
    now: datetime


async def of_jobs(ctx: Context, jobs: Sequence[Job]) -> Mapping[int, TaskStatistics]:
    """Return the statistics of each job, by serial."""
    now = ctx.clock.now()
    found = await statistics.of_jobs(ctx.store, [job.serial for job in jobs], now)
    return {
        job.serial: TaskStatistics(found.get(job.serial, Usage()), job.created_at, now)
        for job in jobs
    }


async def of_schedules(
    ctx: Context, schedules: Sequence[JobSchedule]
) -> Mapping[int, TaskStatistics]:
    """Return the statistics of each job schedule, over all jobs that it has, by serial."""
    now = ctx.clock.now()
    serials = [schedule.serial for schedule in schedules]
    found = await statistics.of_schedules(ctx.store, serials, now)
    return {
        schedule.serial: TaskStatistics(
            found.get(schedule.serial, Usage()), schedule.created_at, now
        )
        for schedule in schedules
    }


async def of_pools(ctx: Context, pools: Sequence[Pool]) -> Mapping[int, NodeStatistics]:
    """Return the statistics of each pool, by serial."""
    now = ctx.clock.now()
    found: dict[int, NodeStatistics] = {}
    for pool in pools:
        since = pool.created_at
        times = await statistics.node_times_of_pool(ctx.store, pool.id, since, now)
        found[pool.serial] = NodeStatistics(core_time(times), since, now)
    return found


async def of_all_tasks(ctx: Context) -> TaskStatistics:
    """Return the statistics of all jobs that ever were."""
    now = ctx.clock.now()
    used, since = await statistics.of_all(ctx.store, now)
    return TaskStatistics(used, since or now, now)


async def of_all_nodes(ctx: Context) -> NodeStatistics:
    """Return the statistics of all pools that ever were."""
    now = ctx.clock.now()
    since = await statistics.first_life(ctx.store) or now
    times = await statistics.node_times_of_all(ctx.store, now)
    return NodeStatistics(core_time(times), since, now)


async def list_pool_usage(
    ctx: Context,
    begin: datetime | None,
    end: datetime | None,
    *,
    fits: Callable[[PoolUsage], bool],
    after: UsageKey | None,
    limit: int,
) -> tuple[list[PoolUsage], bool]:
    """Return what pools used in each interval between two instants, and whether there is more.

    begin, end  None, both: the last interval that is over
    after       only entries behind that one
    """
    over = interval_of(ctx.clock.now())
    if begin is None and end is None:
        begin = over - USAGE_INTERVAL
    first = await statistics.first_life(ctx.store)
    if first is None:
        return [], False
    at = after.begin if after else interval_of(max(begin or first, first))
    until = over if end is None else min(interval_of(end), over)
    found: list[PoolUsage] = []
    while at < until and len(found) <= limit:
        stop = min(until, at + _INTERVALS_PER_READ * USAGE_INTERVAL)
        lives = await statistics.lives_between(ctx.store, at, stop)
        while at < stop and len(found) <= limit:
            rows = pool_usage(lives, at)
            found += [row for row in rows if fits(row) and (after is None or row.key > after)]
            at += USAGE_INTERVAL
            await asyncio.sleep(0)  # thousands of nodes are some milliseconds
    return found[:limit], len(found) > limit
