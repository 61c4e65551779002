"""When a job schedule is due (pure).

Occurrence k is due at t0 + k * interval, where t0 is `doNotRunUntil` or the schedule's creation;
without an interval there is one. An occurrence that found no chance within its window is lost, and
only the latest one is ever considered. Source: semantics 5.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

INTERVAL_MIN: Final = timedelta(minutes=1)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Timing:
    """When jobs are to be made.

    start_window  None: an occurrence is never too late
    interval      between two occurrences; None: there is one
    """

    do_not_run_until: datetime | None = None
    do_not_run_after: datetime | None = None
    start_window: timedelta | None = None
    interval: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a schedule stands at some instant.

    due_at   the occurrence whose job is to be made now
    next_at  when the next one is due; None: none will be
    is_over  nothing will be due any more
    """

    due_at: datetime | None
    next_at: datetime | None
    is_over: bool


def turn(timing: Timing, created_at: datetime, passed_at: datetime | None, now: datetime) -> Turn:
    """Return where a schedule stands.

    passed_at  the latest occurrence that had its job, or was passed over
    """
    if timing.do_not_run_after is not None and now > timing.do_not_run_after:
        return Turn(None, None, True)
    first = timing.do_not_run_until or created_at
    if now < first:
        return Turn(None, _allowed(timing, first), False)
    due, following = current(timing, first, now)
    has_passed = passed_at is not None and due <= passed_at
    windows = [span for span in (timing.start_window, timing.interval) if span is not None]
    is_lost = bool(windows) and now >= _plus(due, min(windows))
    if not has_passed and not is_lost:
        return Turn(due, _allowed(timing, following), False)
    return Turn(None, _allowed(timing, following), timing.interval is None)


def current(timing: Timing, first: datetime, now: datetime) -> tuple[datetime, datetime | None]:
    """Return the latest occurrence that is due, and the one behind it; now is not before first."""
    if timing.interval is None:
        return first, None
    due = first + (now - first) // timing.interval * timing.interval
    return due, _plus(due, timing.interval)


def _allowed(timing: Timing, at: datetime | None) -> datetime | None:
    last = timing.do_not_run_after or _NEVER
    return None if at is None or at > last or at == _NEVER else at


def _plus(at: datetime, span: timedelta) -> datetime:
    try:
        return at + span
    except OverflowError:
        return _NEVER
