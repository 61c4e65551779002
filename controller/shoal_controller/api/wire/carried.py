"""Documents that Shoal keeps and returns but does not act upon, checked against their structure.

They are kept in the shape of the newest api-version, with what only older ones have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shoal_controller.api.wire.models import ENUMERATIONS, STRUCTURES, Member
from shoal_controller.api.wire.table import is_annotation, unknown_property
from shoal_controller.api.wire.values import (
    Reader,
    boolean,
    duration,
    instant,
    integer_in,
    text,
    timespan,
)
from shoal_controller.core.errors import invalid_property, missing_property

ITEMS_MAX: Final = 1000
_SPELLINGS: Final = {
    name: {value.lower(): value for value in values} for name, values in ENUMERATIONS.items()
}
_integer: Final = integer_in(-(2**31))


def check_carried(structure: str) -> Reader:
    """Return a reader that checks a document and returns it with values in their usual form."""

    def read(value: Any, name: str) -> Any:
        return _check(structure, value, name)

    return read


def _check(kind: str, value: Any, name: str) -> Any:
    if kind.startswith("["):
        if type(value) is not list or len(value) > ITEMS_MAX:
            raise invalid_property(name, value, f"It must be an array of up to {ITEMS_MAX} items.")
        return [_check(kind[1:-1], item, name) for item in value]
    if kind.startswith("{"):
        if type(value) is not dict or len(value) > ITEMS_MAX:
            raise invalid_property(name, value, "It must be an object of names and values.")
        return {text(key, name): _check(kind[1:-1], item, key) for key, item in value.items()}
    members = STRUCTURES.get(kind)
    if members is not None:
        return _check_structure(members, value, name)
    values = _SPELLINGS.get(kind)
    if values is not None:
        found = values.get(value.lower()) if type(value) is str else None
        if found is None:
            raise invalid_property(name, value, f"It must be one of: {', '.join(values.values())}.")
        return found
    return _SIMPLE[kind](value, name)


def _check_structure(members: Mapping[str, Member], value: Any, name: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise invalid_property(name, value, "It must be an object.")
    checked: dict[str, Any] = {}
    for key, item in value.items():
        if item is None or is_annotation(key):
            continue
        member = members.get(key)
        if member is None:
            raise unknown_property(key)
        checked[key] = _check(member.type, item, key)
    for key, member in members.items():
        if member.is_required and key not in checked:
            raise missing_property(key)
    return checked


def _datetime(value: Any, name: str) -> str:
    instant(value, name)
    return value


def _duration(value: Any, name: str) -> str:
    return timespan(duration(value, name))


def _anything(value: Any, name: str) -> Any:
    del name
    return value


_SIMPLE: Final[Mapping[str, Reader]] = {
    "string": text,
    "integer": _integer,
    "boolean": boolean,
    "duration": _duration,
    "datetime": _datetime,
    "any": _anything,
}
