"""The structures of the wire, as the published clients describe them: models.json, read once.

Each structure has its properties as [type, required, ranges...]; a range is the first and the last
api-version that has the property, `2017-01-01.4.0..2018-08-01.7.0`, either end open. No range:
every version has it. Types are as in its name: [T] a list, {T} a map. An enumeration has its
values, those that came later as [value, first api-version].
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final, NamedTuple


class Member(NamedTuple):
    """A property of a structure."""

    type: str
    is_required: bool
    ranges: tuple[tuple[str, str], ...]

    @property
    def structure(self) -> str:
        """The structure that the property holds, itself or as items, if it does hold one."""
        return self.type.strip("[]{}")

    def is_in(self, version: str) -> bool:
        """Return whether an api-version has the property; dates order as text."""
        return not self.ranges or any(first <= version <= last for first, last in self.ranges)


def _member(kind: str, is_required: int = 0, *ranges: str) -> Member:
    ends = tuple(text.split("..") for text in ranges)
    return Member(kind, bool(is_required), tuple((first, last or "~") for first, last in ends))


def _values(rows: list[Any]) -> dict[str, str]:
    return dict((row, "") if type(row) is str else row for row in rows)


def _load() -> tuple[dict[str, dict[str, Member]], dict[str, dict[str, str]]]:
    source = files("shoal_controller.api.wire").joinpath("models.json")
    models: dict[str, Any] = json.loads(source.read_text("utf-8"))
    structures = {
        name: {key: _member(*row) for key, row in rows.items()}
        for name, rows in models["structures"].items()
    }
    enumerations = {name: _values(rows) for name, rows in models["enums"].items()}
    return structures, enumerations


_models: Final = _load()

STRUCTURES: Final[Mapping[str, Mapping[str, Member]]] = _models[0]

ENUMERATIONS: Final[Mapping[str, Mapping[str, str]]] = _models[1]
"""By name: each value in its usual spelling, and the first api-version that has it."""
