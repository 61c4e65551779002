"""Which index a filter is answered from: ways to all rows that may fit, and how each is walked.

A way is a list of walks, one after the other. No row is on two walks of a way, and every row that
fits is on one; what is on them is a matter of speed alone, because pages.py applies the filter to
each row. A walk goes through an index in its own order, so that a page is found from a position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from shoal_controller.core.odata.fields import JOBS, fold
from shoal_controller.core.odata.parse import Compare, Filter, Not, Or
from shoal_controller.store.bounds import EVERYTHING, Bounds, Interval, Intervals

WALKS_MAX: Final = 512
"""Of one way: `or` chains as long as a filter can be."""
_PARTS_MAX: Final = 8
"""Of an `or` whose parts may overlap."""
_WAYS_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Walk:
    """A part of an index, in its order.

    index      its name; empty: the table itself, by serial
    key        the column that orders it, before the serial; empty: the serial alone
    interval   where its values lie
    fixed      (column, value) of what stands before the key in the index, beside the list's own
    condition  SQL without parameters that all its entries fulfil: what a partial index demands
    test       SQL without parameters that rows have to fulfil: others are on other walks
    only       what rows have to fit; none: the whole filter
    """

    index: str = ""
    key: str = ""
    interval: Interval = EVERYTHING
    fixed: tuple[tuple[str, Any], ...] = ()
    condition: str = ""
    test: str = ""
    only: tuple[Filter, ...] = ()


Way = tuple[Walk, ...]
Ways = Callable[[Bounds], Iterator[Way]]
"""The ways of one table that bounds open, the most promising first."""


def every_way(bounds: Bounds, ways: Ways, of_part: Callable[[Filter], Bounds]) -> list[Way]:
    """Return the ways to what fits a filter; where `or` stands, also those of its parts together.

    of_part   returns the bounds of a part of the filter
    """
    found = list(ways(bounds))
    for choice in bounds.conjuncts:
        if isinstance(choice, Or) and len(found) < _WAYS_MAX:
            rest = tuple(part for part in bounds.conjuncts if part is not choice)
            way = _together(choice.parts, rest, ways, of_part)
            if way is not None:
                found.append(way)
    return found


def _together(
    parts: Sequence[Filter],
    rest: tuple[Filter, ...],
    ways: Ways,
    of_part: Callable[[Filter], Bounds],
) -> Way | None:
    """Return a way to all that fits a part, and the rest; None where there is no good one.

    What fits several parts is on the walks of the first of them.
    """
    walks: list[Walk] = []
    is_chain = len({_asked(part) for part in parts}) == 1 and _asked(parts[0]) is not None
    known: set[Any] = set()
    for number, part in enumerate(parts):
        earlier: tuple[Filter, ...] = ()
        if not is_chain:
            if number == _PARTS_MAX:
                return None
            earlier = tuple(Not(one) for one in parts[:number])
        elif isinstance(part, Compare):
            value = fold(part.value) if isinstance(part.value, str) else part.value
            if value in known:
                continue
            known.add(value)
        way = next(iter(every_way(of_part(part), ways, of_part)), None)
        if way is None or len(walks) + len(way) > WALKS_MAX:
            return None
        walks += [replace(walk, only=(walk.only or (part,)) + earlier + rest) for walk in way]
    return tuple(walks)


def _asked(part: Filter) -> str | None:
    """Return the property whose one value is asked for."""
    return part.path if isinstance(part, Compare) and part.operator == "eq" else None


def _walks(
    index: str,
    key: str,
    intervals: Intervals,
    condition: str = "",
    *,
    fixed: tuple[tuple[str, Any], ...] = (),
    test: str = "",
) -> Way:
    return tuple(Walk(index, key, interval, fixed, condition, test) for interval in intervals)


# --- tables ---------------------------------------------------------------------------------------


def by_serial(bounds: Bounds) -> Iterator[Way]:
    """Of a table that never is long: all of it, in order."""
    del bounds
    yield (Walk(),)


_JOB_STATES: Final = JOBS["state"].values


def of_jobs(bounds: Bounds) -> Iterator[Way]:
    if bounds.has("id"):
        yield _walks("sqlite_autoindex_jobs_1", "id", bounds.of("id"))
    if bounds.has("pool_id"):
        yield _walks("jobs_by_pool", "pool_id", bounds.of("pool_id"))
    if bounds.has("state"):
        states = [state for state in _JOB_STATES if bounds.allows("state", state)]
        yield tuple(Walk("jobs_by_state", fixed=(("state", state),)) for state in states)
    yield (Walk(),)


def of_jobs_of_schedule(bounds: Bounds) -> Iterator[Way]:
    """They are made one after the other, and so never are many."""
    del bounds
    yield (Walk("jobs_by_schedule"),)


_TASK_STATES: Final = ("completed", "running", "preparing", "active")


def of_tasks(bounds: Bounds) -> Iterator[Way]:
    """What only completed tasks have (end, exit code, result) says that they are completed."""
    if bounds.has("id"):
        yield _walks("tasks_by_id", "id", bounds.of("id"))
    if bounds.has("exit_code"):
        yield _tasks_of_exit_code(bounds)
    is_over = bounds.has("ended_at", "exit_code", "result")
    states = ("completed",) if is_over else _TASK_STATES
    if is_over or bounds.has("state", "state_at"):
        allowed = [state for state in states if bounds.allows("state", state)]
        yield tuple(walk for state in allowed for walk in _tasks_of_state(bounds, state))
        if bounds.has("state_at") and allowed[-1:] == ["active"]:
            others = (walk for state in allowed[:-1] for walk in _tasks_of_state(bounds, state))
            yield (*others, *_active_tasks_by_time(bounds))
    if bounds.has("started_at"):
        # Any comparison tells SQLite that what the partial index demands is there: a value.
        yield _walks("tasks_started", "started_at", bounds.of("started_at"))
    if bounds.has("modified_at"):
        yield (
            *_walks(
                "tasks_by_creation",
                "created_at",
                bounds.of("created_at", "modified_at"),
                test="modified_at = created_at",
            ),
            *_walks(
                "tasks_modified",
                "modified_at",
                bounds.of("modified_at"),
                "modified_at <> created_at",
            ),
        )
    yield _walks("tasks_by_creation", "created_at", bounds.of("created_at"))


def _tasks_of_state(bounds: Bounds, state: str) -> Way:
    match state:
        case "completed":
            results = [name for name in ("failure", "success") if bounds.allows("result", name)]
            return tuple(walk for name in results for walk in _ended_tasks(bounds, name))
        case "active":
            return (Walk("tasks_active", condition="state = 'active'"),)
        case _:
            test = f"state = '{state}'"
            return (Walk("tasks_placed", "node_id", condition="is_placed = 1", test=test),)


def _active_tasks_by_time(bounds: Bounds) -> Way:
    """Those that never ran are active since they were created; the others are few."""
    return (
        *_walks(
            "tasks_by_creation",
            "created_at",
            bounds.of("created_at", "state_at"),
            test="state = 'active' AND state_at = created_at",
        ),
        *_walks(
            "tasks_requeued",
            "state_at",
            bounds.of("state_at"),
            "state = 'active' AND state_at <> created_at",
        ),
    )


def _ended_tasks(bounds: Bounds, result: str, test: str = "") -> Way:
    ended, fixed = bounds.of("state_at", "ended_at"), (("result", result),)
    return _walks("tasks_ended", "state_at", ended, "state = 'completed'", fixed=fixed, test=test)


def _tasks_of_exit_code(bounds: Bounds) -> Way:
    condition = "(exit_code <> 0 OR result = 'failure')"
    way = _walks("tasks_failed", "exit_code", bounds.of("exit_code"), condition)
    if bounds.allows("exit_code", 0) and bounds.allows("result", "success"):
        way += _ended_tasks(bounds, "success", "exit_code = 0")
    return way
