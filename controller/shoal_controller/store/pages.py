"""One page of a list: keyset by serial, so that inserts and deletes between pages shift nothing."""

from __future__ import annotations

from typing import Any

from shoal_controller.core.errors import Refused
from shoal_controller.core.listing import ListQuery
from shoal_controller.store.database import Database, Row


async def page(
    store: Database, table: str, condition: str, parameters: tuple[Any, ...], query: ListQuery
) -> tuple[list[Row], int | None]:
    """Return the rows of a page, and the keyset of the next one or None.

    table, condition   ours, never a caller's; callers' values are parameters
    """
    if query.where is not None:
        raise Refused(
            "InvalidQueryParameterValue",
            QueryParameterName="$filter",
            Reason="This list can not be filtered.",
        )
    sql = f"SELECT * FROM {table} WHERE {condition} AND serial > ? ORDER BY serial LIMIT ?"
    rows = await store.read(sql, (*parameters, query.after, query.limit + 1))
    if len(rows) > query.limit:
        rows = rows[: query.limit]
        return rows, rows[-1]["serial"]
    return rows, None
