"""Which properties of which list can be filtered, how, and what they are.

Source: wire.md 5.1, the table of lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from shoal_controller.core.odata.parse import (
    And,
    Compare,
    Filter,
    Literal,
    Not,
    Or,
    StartsWith,
    refusal,
)

_ORDER: Final = frozenset({"eq", "ne", "gt", "ge", "lt", "le"})
_EQUAL: Final = frozenset({"eq", "ne"})


class Kind(Enum):
    """What a property holds, and so what it can be compared with. NAME: text without case."""

    TEXT = "a text in quotes"
    NAME = "a name in quotes"
    TIME = "a DateTime'...'"
    NUMBER = "a whole number"
    TRUTH = "true or false"


@dataclass(frozen=True, slots=True)
class Field:
    """A property that can be filtered: what it holds and the operators that it knows."""

    kind: Kind
    operators: frozenset[str] = _EQUAL


Fields = Mapping[str, Field]

_ID: Final = Field(Kind.NAME, _ORDER | {"startswith"})
_STATE: Final = Field(Kind.NAME, _EQUAL)
_TIME: Final = Field(Kind.TIME, _ORDER)
_NUMBER: Final = Field(Kind.NUMBER, _ORDER)
_TRUTH: Final = Field(Kind.TRUTH, _EQUAL)

POOLS: Final[Fields] = {
    "id": _ID,
    "state": _STATE,
    "stateTransitionTime": _TIME,
    "allocationState": _STATE,
    "allocationStateTransitionTime": _TIME,
    "creationTime": _TIME,
    "lastModified": _TIME,
    "enableAutoScale": _TRUTH,
    "enableInterNodeCommunication": _TRUTH,
    "vmSize": Field(Kind.NAME, _EQUAL),
}
JOBS: Final[Fields] = {
    "id": _ID,
    "state": _STATE,
    "stateTransitionTime": _TIME,
    "creationTime": _TIME,
    "lastModified": _TIME,
    "executionInfo/startTime": _TIME,
    "executionInfo/endTime": _TIME,
    "executionInfo/poolId": _ID,
}
TASKS: Final[Fields] = {
    "id": _ID,
    "state": _STATE,
    "stateTransitionTime": _TIME,
    "creationTime": _TIME,
    "lastModified": _TIME,
    "lastModifiedTime": _TIME,  # sic: the documentation's name
    "executionInfo/startTime": _TIME,
    "executionInfo/endTime": _TIME,
    "executionInfo/exitCode": _NUMBER,
    "executionInfo/result": _STATE,
}
NODES: Final[Fields] = {
    "state": _STATE,
    "stateTransitionTime": _TIME,
    "lastBootTime": _TIME,
    "allocationTime": _TIME,
    "startTaskInfo/exitCode": _NUMBER,
    "startTaskInfo/startTime": _TIME,
    "startTaskInfo/endTime": _TIME,
    "startTaskInfo/state": _STATE,
    "startTaskInfo/result": _STATE,
}
FILES: Final[Fields] = {"name": Field(Kind.TEXT, frozenset({"startswith"}))}
IMAGES: Final[Fields] = {"osType": _STATE, "verificationType": _STATE, "nodeAgentSKUId": _STATE}
JOBS_OF_SCHEDULE: Final[Fields] = {name: JOBS[name] for name in JOBS if name != "id"}
JOB_SCHEDULES: Final[Fields] = {
    "id": _ID,
    "state": _STATE,
    "stateTransitionTime": _TIME,
    "creationTime": _TIME,
    "lastModified": _TIME,
    "executionInfo/endTime": _TIME,
    "schedule/doNotRunUntil": _TIME,
    "schedule/doNotRunAfter": _TIME,
}
CERTIFICATES: Final[Fields] = {"state": _STATE, "stateTransitionTime": _TIME}
POOL_USAGE: Final[Fields] = {"poolId": Field(Kind.NAME, _ORDER - {"ne"} | {"startswith"})}
NODE_AGENT_SKUS: Final[Fields] = {"osType": _STATE}
NODE_COUNTS: Final[Fields] = {"poolId": Field(Kind.NAME, frozenset({"eq"}))}

_TYPES: Final[Mapping[Kind, type]] = {
    Kind.TEXT: str,
    Kind.NAME: str,
    Kind.TIME: datetime,
    Kind.NUMBER: int,
    Kind.TRUTH: bool,
}


def check(tree: Filter, fields: Fields) -> None:
    """Raise Refused unless every property, operator and value of a filter is one of the list's."""
    match tree:
        case And(parts) | Or(parts):
            for part in parts:
                check(part, fields)
        case Not(inside):
            check(inside, fields)
        case Compare(path, operator, value, at):
            field = _field(path, operator, at, fields)
            if not _is_of(value, field.kind):
                raise refusal(
                    f"At position {at + 1}: '{path}' is compared with {field.kind.value}."
                )
        case StartsWith(path, _, at):
            _field(path, "startswith", at, fields)


def _field(path: str, operator: str, at: int, fields: Fields) -> Field:
    field = fields.get(path)
    if field is None:
        raise refusal(
            f"At position {at + 1}: '{path}' cannot be filtered here; these can: "
            f"{', '.join(fields)}."
        )
    if operator not in field.operators:
        raise refusal(
            f"At position {at + 1}: '{path}' does not know '{operator}', only "
            f"{', '.join(sorted(field.operators))}."
        )
    return field


def _is_of(value: Literal, kind: Kind) -> bool:
    return type(value) is _TYPES[kind]
