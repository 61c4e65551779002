"""Documents that Shoal keeps and returns but does not act upon, checked against their structure.

models.json has, for each structure, its properties as [type, required, since, until] and for each
enumeration its values; types are as in its name: [T] a list, {T} a map. Documents are kept in the
shape of the newest api-version; `shown` hides what the caller's version does not have.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final, NamedTuple

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


class _Member(NamedTuple):
    type: str
    is_required: bool = False
    since: str | None = None
    until: str | None = None


def _load() -> tuple[dict[str, dict[str, _Member]], dict[str, dict[str, str]]]:
    source = files("shoal_controller.api.wire").joinpath("models.json")
    models = json.loads(source.read_text("utf-8"))
    structures = {
        name: {
            key: _Member(row[0], bool(row[1:2] and row[1]), *row[2:]) for key, row in rows.items()
        }
        for name, rows in models["structures"].items()
    }
    enumerations = {
        name: {value.lower(): value for value in values} for name, values in models["enums"].items()
    }
    return structures, enumerations


STRUCTURES, _ENUMERATIONS = _load()

_integer: Final = integer_in(-(2**31))


def check_carried(structure: str) -> Reader:
    """Return a reader that checks a document and returns it with values in their usual form."""

    def read(value: Any, name: str) -> Any:
        return _check(structure, value, name)

    return read


def shown(structure: str, document: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return a document without the properties that an api-version does not have."""
    return {
        key: _shown_value(member.type, value, version)
        for key, value in document.items()
        for member in (STRUCTURES[structure][key],)
        if _is_in(member, version)
    }


def absent_property(structure: str, document: Any, version: str) -> str | None:
    """Return the name of a property in a request that its api-version does not have, or None."""
    if type(document) is not dict:
        return None
    for key, value in document.items():
        member = STRUCTURES[structure].get(key)
        if member is None or value is None:
            continue
        if not _is_in(member, version):
            return key
        inner = member.type.strip("[]{}")
        if inner in STRUCTURES:
            for item in value if type(value) is list else [value]:
                found = absent_property(inner, item, version)
                if found is not None:
                    return found
    return None


def _is_in(member: _Member, version: str) -> bool:
    return (member.since or "") <= version <= (member.until or "~")


def _shown_value(kind: str, value: Any, version: str) -> Any:
    inner = kind.strip("[]")
    if inner not in STRUCTURES:
        return value
    if type(value) is list:
        return [shown(inner, item, version) for item in value]
    return shown(inner, value, version)


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
    values = _ENUMERATIONS.get(kind)
    if values is not None:
        found = values.get(value.lower()) if type(value) is str else None
        if found is None:
            raise invalid_property(name, value, f"It must be one of: {', '.join(values.values())}.")
        return found
    return _SIMPLE[kind](value, name)


def _check_structure(members: Mapping[str, _Member], value: Any, name: str) -> dict[str, Any]:
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
