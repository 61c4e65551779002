"""What a $filter says of single columns: bounds, from which an index can be walked.

Bounds are never narrower than the filter: every row that fits lies within them, so a walk that
applies the filter to each row finds exactly what fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from shoal_controller.core.odata.fields import Fields, Kind, fold
from shoal_controller.core.odata.parse import And, Compare, Filter, Literal, Not, Or, StartsWith
from shoal_controller.store.columns import ticks


@dataclass(frozen=True, slots=True)
class Interval:
    """Values of a column from `low` to `high`, each included or not; None: no end there.

    Names are folded, so that they compare in Python as they do in SQLite.
    """

    low: Any = None
    high: Any = None
    has_low: bool = True
    has_high: bool = True

    @property
    def is_empty(self) -> bool:
        if self.low is None or self.high is None:
            return False
        return self.low > self.high or (
            self.low == self.high and not (self.has_low and self.has_high)
        )

    def __contains__(self, value: Any) -> bool:
        return not self.common(Interval(value, value)).is_empty

    def common(self, other: Interval) -> Interval:
        """Return what lies in both."""
        low, has_low = self.low, self.has_low
        if low is None or (other.low is not None and (low, not has_low) < other._low):
            low, has_low = other.low, other.has_low
        high, has_high = self.high, self.has_high
        if high is None or (other.high is not None and (high, has_high) > other._high):
            high, has_high = other.high, other.has_high
        return Interval(low, high, has_low, has_high)

    @property
    def _low(self) -> tuple[Any, bool]:
        return self.low, not self.has_low

    @property
    def _high(self) -> tuple[Any, bool]:
        return self.high, self.has_high


Intervals = tuple[Interval, ...]
"""In rising order, none overlapping another."""

EVERYTHING: Final = Interval()
_INTERVALS_MAX: Final = 8
"""Of one column: a filter may have hundreds of `ne`, and bounds may be too wide."""
_NEGATED: Final = {"eq": "ne", "ne": "eq", "gt": "le", "ge": "lt", "lt": "ge", "le": "gt"}


@dataclass(slots=True)
class Bounds:
    """What the conjuncts of a filter say of each column."""

    by_column: dict[str, Intervals] = field(default_factory=dict[str, Intervals])
    conjuncts: tuple[Filter, ...] = ()

    def of(self, *columns: str) -> Intervals:
        """Return where a value lies that stands in all of these columns."""
        found: Intervals = (EVERYTHING,)
        for column in columns:
            found = _common(found, self.by_column.get(column, found))
        return found

    def has(self, *columns: str) -> bool:
        return any(column in self.by_column for column in columns)

    def allows(self, column: str, value: Any) -> bool:
        """Return whether a row may fit that has this value."""
        return any(value in interval for interval in self.of(column))


def bounds(
    tree: Filter, fields: Fields, columns: Mapping[str, str], filled: frozenset[str]
) -> Bounds:
    """Return what a filter of `fields.read` says of columns.

    filled   columns that always have a value: of those a negation says something too
    """
    found = Bounds(conjuncts=tuple(_conjuncts(tree)))
    for part in found.conjuncts:
        negated = isinstance(part, Not)
        leaf = part.inside if isinstance(part, Not) else part
        match leaf:
            case Compare(path, operator, value, _) if not negated or columns[path] in filled:
                operator = _NEGATED[operator] if negated else operator
                said = _intervals(operator, _key(value, fields[path].kind))
            case StartsWith(path, prefix, _) if not negated:
                said = (_prefixed(fold(prefix)),)
            case _:
                continue
        before = found.of(columns[path])
        if len(before) < _INTERVALS_MAX:
            found.by_column[columns[path]] = _common(before, said)
    return found


def _conjuncts(tree: Filter) -> Iterator[Filter]:
    """Yield what all must hold, with negations as far inside as they go."""
    match tree:
        case And(parts):
            for part in parts:
                yield from _conjuncts(part)
        case Not(Not(inside)):
            yield from _conjuncts(inside)
        case Not(Or(parts)):
            for part in parts:
                yield from _conjuncts(Not(part))
        case Not(And(parts)):
            yield Or(tuple(Not(part) for part in parts))
        case _:
            yield tree


def _key(value: Literal, kind: Kind) -> Any:
    if isinstance(value, datetime):
        return ticks(value)
    return fold(str(value)) if kind == Kind.NAME else value


def _intervals(operator: str, value: Any) -> Intervals:
    below, above = Interval(None, value, has_high=False), Interval(value, None, has_low=False)
    match operator:
        case "eq":
            return (Interval(value, value),)
        case "ne":
            return (below, above)
        case "gt":
            return (above,)
        case "ge":
            return (Interval(value, None),)
        case "lt":
            return (below,)
        case _:
            return (Interval(None, value),)


def _prefixed(prefix: str) -> Interval:
    """Return where texts lie that begin so; a little more is no harm."""
    while prefix:
        last = ord(prefix[-1]) + 1
        if last == 0xD800:
            last = 0xE000  # between them is nothing that UTF-8 has
        if last <= 0x10FFFF:
            return Interval(prefix, fold(prefix[:-1] + chr(last)), has_high=False)
        prefix = prefix[:-1]
    return EVERYTHING


def _common(some: Intervals, others: Intervals) -> Intervals:
    both = (one.common(other) for one in some for other in others)
    return tuple(interval for interval in both if not interval.is_empty)
