"""A $filter tree as SQL: a WHERE expression and its parameters. Values never become SQL text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from shoal_controller.core.odata.fields import Fields, Kind
from shoal_controller.core.odata.parse import And, Compare, Filter, Literal, Not, Or, StartsWith
from shoal_controller.store.columns import ticks

Columns = Mapping[str, str]

POOLS: Final[Columns] = {
    "id": "id",
    "state": "state",
    "stateTransitionTime": "state_at",
    "allocationState": "allocation_state",
    "allocationStateTransitionTime": "allocation_state_at",
    "creationTime": "created_at",
    "lastModified": "modified_at",
    "enableAutoScale": "(auto_scale IS NOT NULL)",
    "enableInterNodeCommunication": "inter_node_communication",
    "vmSize": "vm_size",
}
JOBS: Final[Columns] = {
    "id": "id",
    "state": "state",
    "stateTransitionTime": "state_at",
    "creationTime": "created_at",
    "lastModified": "modified_at",
    "executionInfo/startTime": "started_at",
    "executionInfo/endTime": "ended_at",
    "executionInfo/poolId": "pool_id",
}
TASKS: Final[Columns] = {
    "id": "id",
    "state": "state",
    "stateTransitionTime": "state_at",
    "creationTime": "created_at",
    "lastModified": "modified_at",
    "lastModifiedTime": "modified_at",
    "executionInfo/startTime": "started_at",
    "executionInfo/endTime": "ended_at",
    "executionInfo/exitCode": "exit_code",
    "executionInfo/result": "result",
}
JOB_SCHEDULES: Final[Columns] = {
    "id": "id",
    "state": "state",
    "stateTransitionTime": "state_at",
    "creationTime": "created_at",
    "lastModified": "modified_at",
    "executionInfo/endTime": "ended_at",
    "schedule/doNotRunUntil": "do_not_run_until",
    "schedule/doNotRunAfter": "do_not_run_after",
}
CERTIFICATES: Final[Columns] = {"state": "state", "stateTransitionTime": "state_at"}
_SQL: Final = {"eq": "=", "ne": "<>", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def where(tree: Filter, fields: Fields, columns: Columns) -> tuple[str, list[Any]]:
    """Return the expression and its parameters for a filter that `fields.check` accepted.

    An absent value (NULL) makes a comparison false, not unknown, so that `not` means what
    predicate.py says.
    """
    match tree:
        case And(parts):
            return _join(" AND ", parts, fields, columns)
        case Or(parts):
            return _join(" OR ", parts, fields, columns)
        case Not(inside):
            sql, parameters = where(inside, fields, columns)
            return f"(NOT {sql})", parameters
        case Compare(path, operator, value, _):
            column = columns[path]
            collate = " COLLATE NOCASE" if fields[path].kind == Kind.NAME else ""
            sql = f"({column} IS NOT NULL AND {column} {_SQL[operator]} ?{collate})"
            return sql, [_parameter(value)]
        case StartsWith(path, prefix, _):
            column = columns[path]
            collate = " COLLATE NOCASE" if fields[path].kind == Kind.NAME else ""
            sql = f"({column} IS NOT NULL AND substr({column}, 1, ?) = ?{collate})"
            return sql, [len(prefix), prefix]


def _join(
    word: str, parts: tuple[Filter, ...], fields: Fields, columns: Columns
) -> tuple[str, list[Any]]:
    expressions: list[str] = []
    parameters: list[Any] = []
    for part in parts:
        sql, more = where(part, fields, columns)
        expressions.append(sql)
        parameters += more
    return f"({word.join(expressions)})", parameters


def _parameter(value: Literal) -> Any:
    return ticks(value) if isinstance(value, datetime) else value
