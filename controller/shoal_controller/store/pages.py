"""One page of a list: keyset by serial, so that inserts and deletes between pages shift nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from shoal_controller.core.listing import ListQuery
from shoal_controller.core.odata import fields
from shoal_controller.store import filters
from shoal_controller.store.database import Database, Row


@dataclass(frozen=True, slots=True)
class Source:
    """A table that is listed, the condition for what belongs to the list, and how it is filtered.

    All of it is ours, never a caller's; callers' values are parameters.
    """

    table: str
    condition: str
    fields: fields.Fields
    columns: filters.Columns


POOLS: Final = Source("pools", "1", fields.POOLS, filters.POOLS)
JOBS: Final = Source("jobs", "1", fields.JOBS, filters.JOBS)
TASKS: Final = Source("tasks", "job_serial = ?", fields.TASKS, filters.TASKS)
JOB_SCHEDULES: Final = Source("job_schedules", "1", fields.JOB_SCHEDULES, filters.JOB_SCHEDULES)
JOBS_OF_SCHEDULE: Final = Source(
    "jobs", "schedule_serial = ?", fields.JOBS_OF_SCHEDULE, filters.JOBS
)
CERTIFICATES: Final = Source("certificates", "1", fields.CERTIFICATES, filters.CERTIFICATES)


async def page(
    store: Database, source: Source, parameters: tuple[Any, ...], query: ListQuery
) -> tuple[list[Row], int | None]:
    """Return the rows of a page, and the keyset of the next one or None.

    Raises Refused for a filter that the list does not know.
    """
    condition, values = source.condition, list(parameters)
    if query.where is not None:
        fields.check(query.where, source.fields)
        sql, more = filters.where(query.where, source.fields, source.columns)
        condition, values = f"{condition} AND {sql}", values + more
    sql = f"SELECT * FROM {source.table} WHERE {condition} AND serial > ? ORDER BY serial LIMIT ?"
    rows = await store.read(sql, (*values, query.after, query.limit + 1))
    if len(rows) > query.limit:
        rows = rows[: query.limit]
        return rows, rows[-1]["serial"]
    return rows, None
