"""What tasks and nodes used: sums over records, never counters of their own.

Source: semantics 14, wire 9. Input, output and memory are not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from shoal_controller.core.ids import fold
from shoal_controller.core.task import Task, TaskResult, TaskState
from shoal_controller.core.vmsize import core_count

_ZERO: Final = timedelta()
USAGE_INTERVAL: Final = timedelta(minutes=30)
"""Pool usage is told in pieces of this length, the first of which began in 1970."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Usage:
    """What tasks used, and how they ended.

    wall_clock  of all runs, until now of those that still run
    wait        from creation to the start of the latest run
    """

    user_cpu: timedelta = _ZERO
    system_cpu: timedelta = _ZERO
    wall_clock: timedelta = _ZERO
    wait: timedelta = _ZERO
    retries: int = 0
    succeeded: int = 0
    failed: int = 0

    def __add__(self, other: Usage) -> Usage:
        values = (getattr(self, row.name) + getattr(other, row.name) for row in fields(Usage))
        return Usage(*values)


def usage(task: Task, now: datetime) -> Usage:
    """Return what a task used until now."""
    started_at = task.started_at
    going = now - started_at if started_at and task.state == TaskState.RUNNING else _ZERO
    return Usage(
        task.user_cpu,
        task.system_cpu,
        task.wall_clock + max(going, _ZERO),
        max(started_at - task.created_at, _ZERO) if started_at else _ZERO,
        task.retry_count,
        int(task.result == TaskResult.SUCCESS),
        int(task.result == TaskResult.FAILURE),
    )


# --- nodes ----------------------------------------------------------------------------------------


class NodeLife(NamedTuple):
    """A node's time in its pool. gone_at: None while it is there."""

    pool_id: str
    vm_size: str
    allocated_at: datetime
    gone_at: datetime | None

    def core_time(self, begin: datetime, end: datetime) -> timedelta:
        """Return its time between two instants, times its cores."""
        until = end if self.gone_at is None else min(end, self.gone_at)
        return max(until - max(begin, self.allocated_at), _ZERO) * core_count(self.vm_size)


def core_time(node_times: Mapping[str, timedelta]) -> timedelta:
    """Return what nodes used that were there for so long together, by size."""
    return sum((span * core_count(size) for size, span in node_times.items()), _ZERO)


class UsageKey(NamedTuple):
    """What pool usage is ordered by; ids in the form that `fold` gives them."""

    begin: datetime
    pool_id: str
    vm_size: str


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """What the nodes of one size used in a pool during one interval."""

    pool_id: str
    vm_size: str
    begin: datetime
    core_time: timedelta

    @property
    def end(self) -> datetime:
        return self.begin + USAGE_INTERVAL

    @property
    def key(self) -> UsageKey:
        return UsageKey(self.begin, fold(self.pool_id), self.vm_size)


def interval_of(at: datetime) -> datetime:
    """Return the begin of the interval that an instant lies in."""
    return at - (at - _EPOCH) % USAGE_INTERVAL


def pool_usage(lives: Sequence[NodeLife], begin: datetime) -> list[PoolUsage]:
    """Return the usage during the interval that begins then, by pool and size, in their order."""
    sums: dict[tuple[str, str], timedelta] = {}
    names: dict[str, str] = {}
    for life in lives:
        used = life.core_time(begin, begin + USAGE_INTERVAL)
        if used:
            key = (fold(life.pool_id), life.vm_size)
            names.setdefault(key[0], life.pool_id)
            sums[key] = sums.get(key, _ZERO) + used
    return [
        PoolUsage(names[pool], size, begin, used) for (pool, size), used in sorted(sums.items())
    ]
