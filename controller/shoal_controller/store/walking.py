"""The statements that walk an index: how long a stretch is, where it ends, what on it fits."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from shoal_controller.core.odata.fields import Fields
from shoal_controller.core.odata.parse import Filter
from shoal_controller.store import filters
from shoal_controller.store.bounds import Bounds, bounds
from shoal_controller.store.paths import Walk, Ways, by_serial

KEY: Final = "walked_key"
BULK: Final = "walked_bytes"
"""Columns beside those of the table: where on the walk a row lies, and how big it is."""


@dataclass(frozen=True, slots=True)
class Source:
    """A table that is listed, the condition for what belongs to the list, and how it is filtered.

    All of it is ours, never a caller's; callers' values are parameters.
    filled   columns that always have a value
    ways     the indexes that answer filters
    bulk     an expression for the bytes of a row that users gave
    """

    table: str
    condition: str
    fields: Fields
    columns: Mapping[str, str]
    filled: frozenset[str] = frozenset()
    ways: Ways = by_serial
    bulk: str = "0"

    def bounds(self, tree: Filter) -> Bounds:
        """Return what a filter of `fields.read` says of the table's columns."""
        return bounds(tree, self.fields, self.columns, self.filled)

    def where(self, tree: Filter) -> tuple[str, list[Any]]:
        """Return such a filter as an expression, and its parameters."""
        return filters.where(tree, self.fields, self.columns)


class Entry(NamedTuple):
    """A place in an index: the key and the serial, by which keys of one value are in order."""

    key: int | str | None
    serial: int


@dataclass(frozen=True, slots=True)
class Walker:
    """Walks an index of a source on one reader.

    parameters   of the source's condition
    where        the expression that rows of most walks have to fulfil, and its parameters
    """

    reader: sqlite3.Connection
    source: Source
    parameters: tuple[Any, ...]
    where: tuple[str, Sequence[Any]]

    def count(self, walk: Walk, after: Entry | None, limit: int) -> int:
        """Return how many entries follow, counted up to a limit."""
        count = 0
        for stretch, values in self._stretches(walk, after, None):
            sql = f"SELECT count(*) FROM (SELECT 1 FROM {stretch} LIMIT ?)"
            count += self.reader.execute(sql, (*values, limit - count)).fetchone()[0]
        return count

    def entry(self, walk: Walk, after: Entry | None, number: int) -> Entry | None:
        """Return the entry that is so many further on, or None behind the end."""
        for stretch, values in self._stretches(walk, after, None):
            sql = (
                f"SELECT {_key(walk)}, serial FROM {stretch}"
                f" ORDER BY {_order(walk)} LIMIT 1 OFFSET ?"
            )
            row = self.reader.execute(sql, (*values, number - 1)).fetchone()
            if row is not None:
                return Entry(row[0], row[1])
            number -= self.reader.execute(f"SELECT count(*) FROM {stretch}", values).fetchone()[0]
        return None

    def fitting(
        self, walk: Walk, after: Entry | None, upto: Entry | None, limit: int
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows that fit, with KEY and BULK.

        They are dicts: sqlite3.Row looks through all its names for each value.
        """
        conditions: list[tuple[str, Sequence[Any]]]
        conditions = [self.source.where(tree) for tree in walk.only] or [self.where]
        table = self.source.table
        if walk.test:
            conditions.insert(0, (walk.test, ()))
        for stretch, values in self._stretches(walk, after, upto):
            for sql, more in conditions:
                stretch += f" AND {sql}"
                values += more
            # All are found before the first row is read: between two rows Python's lock is given
            # away, and to search between them would be to wait for it each time.
            sql = (
                f"WITH found AS MATERIALIZED (SELECT {_key(walk)} AS {KEY}, serial AS n"
                f" FROM {stretch} ORDER BY {_order(walk)} LIMIT ?)"
                f" SELECT {table}.*, {KEY}, {self.source.bulk} AS {BULK}"
                f" FROM found CROSS JOIN {table} ON {table}.serial = n"
            )
            cursor = self.reader.cursor()
            cursor.row_factory = None
            cursor.execute(sql, (*values, limit))
            names = [column[0] for column in cursor.description]
            for row in cursor:
                limit -= 1
                yield dict(zip(names, row, strict=True))
            if not limit:
                return

    def _stretches(
        self, walk: Walk, after: Entry | None, upto: Entry | None
    ) -> Iterator[tuple[str, list[Any]]]:
        """Yield what to select from, in order, and its parameters.

        Each is one range of the index. SQLite would look for the serial of `(key, serial) > (?, ?)`
        by reading all entries of that key.
        """
        by = f" INDEXED BY {walk.index}" if walk.index else ""
        terms, values = [self.source.condition], list(self.parameters)
        for column, value in walk.fixed:
            terms.append(f"{column} = ?")
            values.append(value)
        if walk.condition:
            terms.append(walk.condition)
        always = f"{self.source.table}{by} WHERE {' AND '.join(terms)}"
        for ranges in _ranges(walk, after, upto):
            yield (
                " AND ".join([always, *(f"{term} ?" for term, _ in ranges)]),
                [*values, *(value for _, value in ranges)],
            )


_Range = list[tuple[str, Any]]


def _ranges(walk: Walk, after: Entry | None, upto: Entry | None) -> list[_Range]:
    """Return the ranges, in order, that lie behind one entry and reach to another."""
    key, interval = walk.key, walk.interval
    behind = [] if after is None else [("serial >", after.serial)]
    until = [] if upto is None else [("serial <=", upto.serial)]
    if not key:
        return [behind + until]
    if after is not None and upto is not None and after.key == upto.key:
        return [[(f"{key} =", after.key), *behind, *until]]
    between: _Range = []
    if after is not None:
        between.append((f"{key} >", after.key))
    elif interval.low is not None:
        between.append((f"{key} {'>=' if interval.has_low else '>'}", interval.low))
    if upto is not None:
        between.append((f"{key} <", upto.key))
    elif interval.high is not None:
        between.append((f"{key} {'<=' if interval.has_high else '<'}", interval.high))
    ranges = [between]
    if after is not None:
        ranges.insert(0, [(f"{key} =", after.key), *behind])
    if upto is not None:
        ranges.append([(f"{key} =", upto.key), *until])
    return ranges


def _order(walk: Walk) -> str:
    return f"{walk.key}, serial" if walk.key else "serial"


def _key(walk: Walk) -> str:
    return walk.key or "NULL"
