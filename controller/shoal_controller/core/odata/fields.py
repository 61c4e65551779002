"""Which properties of which list can be filtered, how, and what they are.

Source: wire.md 5.1, the table of lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from shoal_controller.core.errors import Refused
from shoal_controller.core.odata.parse import (
    And,
    Compare,
    Filter,
    Literal,
    Not,
    Or,
    StartsWith,
    parse,
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
    """A property that can be filtered: what it holds and the operators that it knows.

    values   all that it can be, in lower case; empty: anything. Those that only another version of
             the service has are among them: asking for one is no mistake, there is just none.
    """

    kind: Kind
    operators: frozenset[str] = _EQUAL
    values: tuple[str, ...] = ()


Fields = Mapping[str, Field]

_ID: Final = Field(Kind.NAME, _ORDER | {"startswith"})
_NAME: Final = Field(Kind.NAME, _EQUAL)
_TIME: Final = Field(Kind.TIME, _ORDER)
_NUMBER: Final = Field(Kind.NUMBER, _ORDER)
_TRUTH: Final = Field(Kind.TRUTH, _EQUAL)


def _one_of(values: str) -> Field:
    return Field(Kind.NAME, _EQUAL, tuple(values.split()))


_JOB_STATES: Final = "active disabling disabled enabling terminating completed deleting"
_NODE_STATES: Final = (
    "creating starting waitingforstarttask starttaskfailed idle running offline rebooting reimaging"
    " unusable unknown leavingpool preempted upgradingos deallocating deallocated"
)
_RESULT: Final = _one_of("success failure")


def _one_run(where: str) -> dict[str, Field]:
    return {
        f"{where}/exitCode": _NUMBER,
        f"{where}/startTime": _TIME,
        f"{where}/endTime": _TIME,
        f"{where}/state": _one_of("running completed"),
        f"{where}/result": _RESULT,
    }


POOLS: Final[Fields] = {
    "id": _ID,
    "state": _one_of("active deleting upgrading"),
    "stateTransitionTime": _TIME,
    "allocationState": _one_of("steady resizing stopping"),
    "allocationStateTransitionTime": _TIME,
    "creationTime": _TIME,
    "lastModified": _TIME,
    "enableAutoScale": _TRUTH,
    "enableInterNodeCommunication": _TRUTH,
    "vmSize": _NAME,
}
JOBS: Final[Fields] = {
    "id": _ID,
    "state": _one_of(_JOB_STATES),
    "stateTransitionTime": _TIME,
    "creationTime": _TIME,
    "lastModified": _TIME,
    "executionInfo/startTime": _TIME,
    "executionInfo/endTime": _TIME,
    "executionInfo/poolId": _ID,
}
TASKS: Final[Fields] = {
    "id": _ID,
    "state": _one_of("active preparing running completed"),
    "stateTransitionTime": _TIME,
    "creationTime": _TIME,
    "lastModified": _TIME,
    "lastModifiedTime": _TIME,  # sic: the documentation's name
    "executionInfo/startTime": _TIME,
    "executionInfo/endTime": _TIME,
    "executionInfo/exitCode": _NUMBER,
    "executionInfo/result": _RESULT,
}
NODES: Final[Fields] = {
    "state": _one_of(_NODE_STATES),
    "stateTransitionTime": _TIME,
    "lastBootTime": _TIME,
    "allocationTime": _TIME,
    **_one_run("startTaskInfo"),
}
JOBS_OF_SCHEDULE: Final[Fields] = {name: JOBS[name] for name in JOBS if name != "id"}
JOB_SCHEDULES: Final[Fields] = {
    "id": _ID,
    "state": _one_of("active completed disabled terminating deleting"),
    "stateTransitionTime": _TIME,
    "creationTime": _TIME,
    "lastModified": _TIME,
    "executionInfo/endTime": _TIME,
    "schedule/doNotRunUntil": _TIME,
    "schedule/doNotRunAfter": _TIME,
}
CERTIFICATES: Final[Fields] = {
    "state": _one_of("active deleting deletefailed"),
    "stateTransitionTime": _TIME,
}
POOL_USAGE: Final[Fields] = {"poolId": Field(Kind.NAME, _ORDER - {"ne"} | {"startswith"})}
PREPARATION_AND_RELEASE: Final[Fields] = {
    "poolId": _NAME,
    "nodeId": _NAME,
    **_one_run("jobPreparationTaskExecutionInfo"),
    **_one_run("jobReleaseTaskExecutionInfo"),
}
FILES: Final[Fields] = {"name": Field(Kind.TEXT, frozenset({"startswith"}))}
IMAGES: Final[Fields] = {
    "osType": _one_of("linux windows"),
    "verificationType": _one_of("verified unverified"),
    "nodeAgentSKUId": _NAME,
}
NODE_AGENT_SKUS: Final[Fields] = {"osType": IMAGES["osType"]}
NODE_COUNTS: Final[Fields] = {"poolId": Field(Kind.NAME, frozenset({"eq"}))}

_TYPES: Final[Mapping[Kind, type]] = {
    Kind.TEXT: str,
    Kind.NAME: str,
    Kind.TIME: datetime,
    Kind.NUMBER: int,
    Kind.TRUTH: bool,
}


def fold(text: str) -> str:
    """Fold A to Z only, as SQLite's NOCASE does; names have no other letters."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


def read(text: str, fields: Fields) -> Filter:
    """Return the tree of a list's $filter, or raise Refused naming what is wrong and where."""
    tree = parse(text)
    _check(tree, fields, text)
    return tree


def _check(tree: Filter, fields: Fields, text: str) -> None:
    match tree:
        case And(parts) | Or(parts):
            for part in parts:
                _check(part, fields, text)
        case Not(inside):
            _check(inside, fields, text)
        case Compare(path, operator, value, at):
            _check_value(_field(path, operator, at, fields, text), path, value, at, text)
        case StartsWith(path, _, at):
            _field(path, "startswith", at, fields, text)


def _field(path: str, operator: str, at: int, fields: Fields, text: str) -> Field:
    field = fields.get(path)
    if field is None:
        reason = f"cannot be filtered here; these can: {', '.join(fields)}."
        raise _refusal(path, at, reason, text)
    if operator not in field.operators:
        reason = f"does not know '{operator}', only {', '.join(sorted(field.operators))}."
        raise _refusal(path, at, reason, text)
    return field


def _check_value(field: Field, path: str, value: Literal, at: int, text: str) -> None:
    if type(value) is not _TYPES[field.kind]:
        raise _refusal(path, at, f"is compared with {field.kind.value}.", text)
    if field.values and str(value).lower() not in field.values:
        reason = f"is never '{str(value)[:64]}', only one of {', '.join(field.values)}."
        raise _refusal(path, at, reason, text)


def _refusal(path: str, at: int, reason: str, text: str) -> Refused:
    return refusal(f"At position {at + 1}: '{path[:64]}' {reason}", text, PropertyName=path[:64])
