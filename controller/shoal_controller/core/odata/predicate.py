"""What a $filter means on one record.

A property that the record does not have is none of anything: every comparison with it is false,
`ne` included, and its negation true. SQL (store/filters.py) means the same; a test proves it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from shoal_controller.core.odata.fields import Fields, Kind, fold
from shoal_controller.core.odata.parse import And, Compare, Filter, Not, Or, StartsWith

_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
}


def holds(tree: Filter, fields: Fields, value_of: Callable[[str], Any]) -> bool:
    """Return whether a record fits a filter of `fields.read`.

    value_of   the record's value of a property path: text, number, truth, aware time, or None
    """
    match tree:
        case And(parts):
            return all(holds(part, fields, value_of) for part in parts)
        case Or(parts):
            return any(holds(part, fields, value_of) for part in parts)
        case Not(inside):
            return not holds(inside, fields, value_of)
        case Compare(path, operator, wanted, _):
            value = value_of(path)
            if value is None:
                return False
            if fields[path].kind == Kind.NAME:
                value, wanted = fold(str(value)), fold(str(wanted))
            return _COMPARE[operator](value, wanted)
        case StartsWith(path, prefix, _):
            value = value_of(path)
            if value is None:
                return False
            if fields[path].kind == Kind.NAME:
                return fold(str(value)).startswith(fold(prefix))
            return str(value).startswith(prefix)
