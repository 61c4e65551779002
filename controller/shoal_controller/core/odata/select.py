"""$select: which properties of a record a caller wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def parse_select(text: str | None) -> frozenset[str] | None:
    """Return the names of a $select list, or None for all. Unknown names are harmless."""
    if text is None:
        return None
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    return names or None


def select(record: Mapping[str, Any], names: frozenset[str] | None) -> Mapping[str, Any]:
    """Return `record` with only the wanted top-level properties, in their usual order."""
    if names is None:
        return record
    tops = {name.split("/", 1)[0] for name in names}
    return {name: value for name, value in record.items() if name in tops}
