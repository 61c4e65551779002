"""One page of a list, found by walking an index on from where the last page ended.

Positions are keys, not counts, so that inserts and deletes between pages shift nothing. A page
examines so much at most: where little of it fits a filter, it is short, and the next goes on.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from shoal_controller.core.listing import ListQuery, position_unknown
from shoal_controller.core.odata import fields
from shoal_controller.core.odata.parse import And, Filter, Not, Or
from shoal_controller.store import filters, paths
from shoal_controller.store.bounds import Bounds
from shoal_controller.store.database import Database
from shoal_controller.store.paths import Way
from shoal_controller.store.walking import BULK, KEY, Entry, Source, Walker

ROUND_COST_MAX: Final = 160_000
"""What one visit to a reader examines, about ten milliseconds: then it is another's turn.

An entry costs 20, and 1 for each comparison of the filter that is made with it: see `_cost`.
"""
ROUNDS_MAX: Final = 4
PAGE_BYTES_MAX: Final = 4_000_000
"""Of what users gave, as it is stored: a page is short, too, where single items are big."""
_WALK_COST_MIN: Final = 2_000
"""Of a walk however short: some statements."""
_LENGTHS: Final = (1_000, 50_000)
"""Ways are compared by their lengths, counted up to the first of these that is enough."""

_FILLED: Final = frozenset({"id", "state", "state_at", "created_at", "modified_at"})
_BULK: Final = "length(definition)"
POOLS: Final = Source("pools", "1", fields.POOLS, filters.POOLS, bulk=_BULK)
JOBS: Final = Source("jobs", "1", fields.JOBS, filters.JOBS, _FILLED, paths.of_jobs, _BULK)
TASKS: Final = Source(
    "tasks", "job_serial = ?", fields.TASKS, filters.TASKS, _FILLED, paths.of_tasks, _BULK
)
JOB_SCHEDULES: Final = Source(
    "job_schedules", "1", fields.JOB_SCHEDULES, filters.JOB_SCHEDULES, bulk=_BULK
)
JOBS_OF_SCHEDULE: Final = Source(
    "jobs",
    "schedule_serial = ?",
    fields.JOBS_OF_SCHEDULE,
    filters.JOBS,
    ways=paths.of_jobs_of_schedule,
    bulk=_BULK,
)
CERTIFICATES: Final = Source(
    "certificates", "1", fields.CERTIFICATES, filters.CERTIFICATES, bulk="length(data)"
)


class Position(NamedTuple):
    """Where a page ended: behind an entry, or at the begin, of a walk of a way."""

    way: int
    walk: int
    entry: Entry | None = None


async def page(
    store: Database, source: Source, parameters: tuple[Any, ...], query: ListQuery
) -> tuple[list[Any], str | None]:
    """Return the rows of a page, values by column, and the position of the next one or None.

    parameters   of the source's condition
    raises       Refused for a position that the list does not have
    """
    search = _Search(source, parameters, query)
    for _ in range(ROUNDS_MAX):
        if await store.query(search.go_on):
            break
    at = search.next_at
    return search.rows, None if at is None else msgspec.json.encode(at).decode()


@dataclass(slots=True)
class _Search:
    """The making of one page, on a reader's thread.

    next_at   where to go on; None: nowhere, that was all
    """

    source: Source
    parameters: tuple[Any, ...]
    query: ListQuery
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    next_at: Position | None = None
    _ways: list[Way] = field(default_factory=list[Way])
    _where: tuple[str, Sequence[Any]] = ("1", ())
    _bytes: int = 0

    def go_on(self, reader: sqlite3.Connection) -> bool:
        """Examine some entries; return whether the page is done."""
        if not self._ways:
            self._prepare()
        walker = Walker(reader, self.source, self.parameters, self._where)
        at = self.next_at or Position(self._shortest(walker), 0)
        walks = self._ways[at.way]
        left = ROUND_COST_MAX
        while at.walk < len(walks) and left > 0:
            walk, after, upto = walks[at.walk], at.entry, None
            if self.query.where is not None:  # without a filter nothing is examined in vain
                cost = _cost(*(walk.only or (self.query.where,)))
                limit = max(1, left // cost)
                count = walker.count(walk, after, limit)
                upto = walker.entry(walk, after, count) if count == limit else None
                left -= max(count * cost, _WALK_COST_MIN)
            if self._take(walker, at, upto):
                return True
            at = Position(at.way, at.walk + 1) if upto is None else at._replace(entry=upto)
        self.next_at = at if at.walk < len(walks) else None
        return self.next_at is None or len(self.rows) == self.query.limit

    def _prepare(self) -> None:
        tree = self.query.where
        found = Bounds() if tree is None else self.source.bounds(tree)
        self._ways = paths.every_way(found, self.source.ways, self.source.bounds)
        if tree is not None:
            self._where = self.source.where(tree)
        if self.query.after:
            self.next_at = _read_position(self.query.after, self._ways)

    def _take(self, walker: Walker, at: Position, upto: Entry | None) -> bool:
        """Take what fits, up to an entry; return whether the page is full and something is left."""
        walk = self._ways[at.way][at.walk]
        room = self.query.limit - len(self.rows)
        for row in walker.fitting(walk, at.entry, upto, room + 1):
            if room == 0 or self._bytes > PAGE_BYTES_MAX:
                self.next_at = at
                return True
            self.rows.append(row)
            room -= 1
            self._bytes += row[BULK]
            at = at._replace(entry=Entry(row[KEY], row["serial"]))
        return False

    def _shortest(self, walker: Walker) -> int:
        """Return the number of the way with the fewest entries; of long ones, the first."""
        ways = range(len(self._ways))
        for limit in _LENGTHS if len(ways) > 1 else ():
            lengths = [self._length(walker, number, limit) for number in ways]
            if min(lengths) < limit:
                return lengths.index(min(lengths))
        return 0

    def _length(self, walker: Walker, way: int, limit: int) -> int:
        length = len(self._ways[way])
        for walk in self._ways[way]:
            if length < limit:
                length += walker.count(walk, None, limit - length)
        return min(length, limit)


def _cost(*trees: Filter) -> int:
    """Return what it costs to compare an entry with filters."""
    cost, rest = 20, list(trees)
    while rest:
        match rest.pop():
            case And(parts) | Or(parts):
                rest += parts
            case Not(inside):
                rest.append(inside)
            case _:
                cost += 1
    return cost


def _read_position(text: str, ways: Sequence[Way]) -> Position:
    with contextlib.suppress(msgspec.DecodeError):
        at = msgspec.json.decode(text, type=Position)
        if 0 <= at.way < len(ways) and 0 <= at.walk < len(ways[at.way]):
            return at
    raise position_unknown()
