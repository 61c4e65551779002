"""Sums over tasks and nodes, as one statement each; what remains of those that are gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from shoal_controller.core.node import Node
from shoal_controller.core.statistics import NodeLife, Usage
from shoal_controller.store.columns import duration, span, ticks, time, time_or_none
from shoal_controller.store.database import Database, Row, Tx

_SUMS: Final = (
    "coalesce(sum(tasks.user_cpu), 0) AS user_cpu,"
    " coalesce(sum(tasks.system_cpu), 0) AS system_cpu,"
    " coalesce(sum(tasks.wall_clock + CASE WHEN tasks.state = 'running'"
    " THEN max(0, :now - coalesce(tasks.started_at, :now)) ELSE 0 END), 0) AS wall_clock,"
    " coalesce(sum(max(0, coalesce(tasks.started_at - tasks.created_at, 0))), 0) AS wait,"
    " coalesce(sum(tasks.retry_count), 0) AS retries,"
    " coalesce(sum(tasks.result = 'success'), 0) AS succeeded,"
    " coalesce(sum(tasks.result = 'failure'), 0) AS failed"
)
_OF_JOBS: Final = (
    f"SELECT job_serial AS of, {_SUMS} FROM tasks"
    " WHERE job_serial IN (SELECT value FROM json_each(:serials)) GROUP BY job_serial"
)
_OF_SCHEDULES: Final = (
    f"SELECT schedule_serial AS of, {_SUMS} FROM jobs JOIN tasks ON job_serial = jobs.serial"
    " WHERE schedule_serial IN (SELECT value FROM json_each(:serials)) GROUP BY schedule_serial"
)
_OF_ALL: Final = (
    f"SELECT {_SUMS} FROM tasks"
    " UNION ALL SELECT user_cpu, system_cpu, wall_clock, wait, retries, succeeded, failed"
    " FROM past_tasks"
)
_SINCE: Final = (
    "SELECT min(at) FROM (SELECT since AS at FROM past_tasks"
    " UNION ALL SELECT min(created_at) FROM jobs UNION ALL SELECT min(created_at) FROM pools"
    " UNION ALL SELECT min(allocated_at) FROM past_nodes)"
)
_ADD_PAST: Final = (
    "UPDATE past_tasks SET since = min(coalesce(since, ?1), ?1), user_cpu = user_cpu + ?2,"
    " system_cpu = system_cpu + ?3, wall_clock = wall_clock + ?4, wait = wait + ?5,"
    " retries = retries + ?6, succeeded = succeeded + ?7, failed = failed + ?8"
)
_LIVES_BETWEEN: Final = (
    "SELECT pool_id, vm_size, allocated_at, NULL AS gone_at FROM nodes WHERE allocated_at < :end"
    " UNION ALL SELECT pool_id, vm_size, allocated_at, gone_at FROM past_nodes"
    " WHERE gone_at > :begin AND allocated_at < :end"
)
_NODE_TIMES: Final = (
    "SELECT vm_size, sum(max(0, gone_at - allocated_at)) AS time FROM"
    " (SELECT pool_id, vm_size, allocated_at, :now AS gone_at FROM nodes WHERE is_dedicated {0}"
    " UNION ALL SELECT pool_id, vm_size, allocated_at, gone_at FROM past_nodes"
    " WHERE is_dedicated {0}) GROUP BY vm_size"
)
_NODE_TIMES_OF_ALL: Final = _NODE_TIMES.format("")
_NODE_TIMES_OF_POOL: Final = _NODE_TIMES.format("AND pool_id = :pool AND allocated_at >= :since")
_FIRST_LIFE: Final = (
    "SELECT min(at) FROM (SELECT min(allocated_at) AS at FROM nodes"
    " UNION ALL SELECT min(allocated_at) FROM past_nodes)"
)
_ADD_NODE: Final = (
    "INSERT OR IGNORE INTO past_nodes (serial, pool_id, vm_size, is_dedicated, allocated_at,"
    " gone_at) VALUES (?, ?, ?, ?, ?, ?)"
)


async def of_jobs(store: Database, serials: Sequence[int], now: datetime) -> Mapping[int, Usage]:
    """Return what the tasks of each job used; a job without tasks is absent."""
    return await _by_serial(store, _OF_JOBS, serials, now)


async def of_schedules(
    store: Database, serials: Sequence[int], now: datetime
) -> Mapping[int, Usage]:
    """Return what the tasks of each schedule's jobs used; one without tasks is absent."""
    return await _by_serial(store, _OF_SCHEDULES, serials, now)


async def of_all(store: Database, now: datetime) -> tuple[Usage, datetime | None]:
    """Return what all tasks that ever were used, and since when there was anything."""
    present, past = await store.read(_OF_ALL, {"now": ticks(now)})
    since = (await store.read(_SINCE))[0][0]
    return _usage(present) + _usage(past), time_or_none(since)


def add_past_task(tx: Tx, used: Usage, created_at: datetime) -> None:
    """Keep what a task used that is being deleted."""
    tx.execute(
        _ADD_PAST,
        (
            ticks(created_at),
            span(used.user_cpu),
            span(used.system_cpu),
            span(used.wall_clock),
            span(used.wait),
            used.retries,
            used.succeeded,
            used.failed,
        ),
    )


def add_past_node(tx: Tx, node: Node, gone_at: datetime) -> None:
    """Keep how long a node was there that is being forgotten."""
    tx.execute(
        _ADD_NODE,
        (
            node.serial,
            node.pool_id,
            node.vm_size,
            int(node.is_dedicated),
            ticks(node.allocated_at),
            ticks(gone_at),
        ),
    )


async def node_times_of_pool(
    store: Database, pool_id: str, since: datetime, now: datetime
) -> Mapping[str, timedelta]:
    """Return for how long dedicated nodes were in a pool, by size.

    since   the pool's creation: an earlier one of its name does not count
    """
    parameters = {"pool": pool_id, "since": ticks(since), "now": ticks(now)}
    return _node_times(await store.read(_NODE_TIMES_OF_POOL, parameters))


async def node_times_of_all(store: Database, now: datetime) -> Mapping[str, timedelta]:
    """Return for how long dedicated nodes were there, by size."""
    return _node_times(await store.read(_NODE_TIMES_OF_ALL, {"now": ticks(now)}))


async def lives_between(store: Database, begin: datetime, end: datetime) -> list[NodeLife]:
    """Return the nodes of all pools that were there between two instants."""
    rows = await store.read(_LIVES_BETWEEN, {"begin": ticks(begin), "end": ticks(end)})
    return [_life(row) for row in rows]


async def first_life(store: Database) -> datetime | None:
    """Return when the first node of all was allocated."""
    return time_or_none((await store.read(_FIRST_LIFE))[0][0])


async def _by_serial(
    store: Database, sql: str, serials: Sequence[int], now: datetime
) -> Mapping[int, Usage]:
    rows = await store.read(sql, {"serials": str(list(serials)), "now": ticks(now)})
    return {row["of"]: _usage(row) for row in rows}


def _usage(row: Row) -> Usage:
    return Usage(
        duration(row["user_cpu"]),
        duration(row["system_cpu"]),
        duration(row["wall_clock"]),
        duration(row["wait"]),
        row["retries"],
        row["succeeded"],
        row["failed"],
    )


def _node_times(rows: Sequence[Row]) -> Mapping[str, timedelta]:
    return {row["vm_size"]: duration(row["time"]) for row in rows}


def _life(row: Row) -> NodeLife:
    return NodeLife(
        row["pool_id"],
        row["vm_size"],
        time(row["allocated_at"]),
        time_or_none(row["gone_at"]),
    )
