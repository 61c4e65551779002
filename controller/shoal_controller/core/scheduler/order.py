"""In which order waiting tasks are offered a place."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, groupby, islice

from shoal_controller.core.changes import Ready
from shoal_controller.core.job import JobState
from shoal_controller.core.pool import JobDefaultOrder
from shoal_controller.core.views import JobView, PoolView


def groups(pool: PoolView) -> Iterator[list[JobView]]:
    """Yield the pool's jobs that have waiting tasks: highest priority first, equals together.

    Within a group the job served last comes last, so that equals take turns from plan to plan;
    where older jobs go first, each is a group of its own.
    source   semantics 2.9 and 4.6
    """
    waiting = [job for job in pool.jobs.values() if job.state == JobState.ACTIVE and job.has_ready]
    if pool.job_order == JobDefaultOrder.CREATION_TIME:
        waiting.sort(key=lambda job: (-job.priority, job.serial))
        yield from ([job] for job in waiting)
        return
    waiting.sort(key=lambda job: (-job.priority, job.serial <= pool.last_served, job.serial))
    for _, group in groupby(waiting, key=lambda job: job.priority):
        yield list(group)


def ready(job: JobView) -> Iterator[Ready]:
    """Yield a job's waiting tasks, requeued ones first, then in order of submission.

    At most as many as `max_parallel_tasks` leaves room for.
    """
    waiting = chain(job.again.values(), job.window.values())
    if job.max_parallel_tasks < 0:
        return iter(waiting)
    return islice(waiting, max(0, job.max_parallel_tasks - job.placed_count))
