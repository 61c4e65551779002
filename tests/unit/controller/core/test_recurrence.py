"""When a job schedule is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_controller.core.recurrence import Timing, Turn, turn
from tests.builders import NOON, SECOND

HOUR = timedelta(hours=1)
DAILY = Timing(interval=24 * HOUR)


def at(hours: float) -> datetime:
    """So many hours after the schedule was created."""
    return NOON + hours * HOUR


@pytest.mark.parametrize(
    ("timing", "passed", "now", "expected"),
    [
        # one job
        (Timing(), None, 0, Turn(NOON, None, False)),
        (Timing(), None, 1e5, Turn(NOON, None, False)),
        (Timing(), 0, 1, Turn(None, None, True)),
        (Timing(do_not_run_until=at(2)), None, 1, Turn(None, at(2), False)),
        (Timing(do_not_run_until=at(2)), None, 2, Turn(at(2), None, False)),
        (Timing(do_not_run_until=at(2)), 0, 3, Turn(at(2), None, False)),  # moved since
        (Timing(start_window=HOUR), None, 0.9, Turn(NOON, None, False)),
        (Timing(start_window=HOUR), None, 1, Turn(None, None, True)),
        (Timing(do_not_run_after=at(1)), None, 1, Turn(NOON, None, False)),
        (Timing(do_not_run_after=at(1)), None, 1.1, Turn(None, None, True)),
        # again and again
        (DAILY, None, 0, Turn(NOON, at(24), False)),
        (DAILY, 0, 23.9, Turn(None, at(24), False)),
        (DAILY, 0, 24, Turn(at(24), at(48), False)),
        (DAILY, 0, 100, Turn(at(96), at(120), False)),  # only the latest one that was missed
        (Timing(start_window=HOUR, interval=24 * HOUR), 0, 24.9, Turn(at(24), at(48), False)),
        (Timing(start_window=HOUR, interval=24 * HOUR), 0, 25, Turn(None, at(48), False)),
        (Timing(start_window=99 * HOUR, interval=HOUR), 0, 2.5, Turn(at(2), at(3), False)),
        (Timing(at(3), interval=HOUR), None, 2, Turn(None, at(3), False)),
        (Timing(at(3), interval=HOUR), None, 4.5, Turn(at(4), at(5), False)),
        (Timing(None, at(30), interval=24 * HOUR), 0, 29, Turn(at(24), None, False)),
        (Timing(None, at(30), interval=24 * HOUR), 24, 29, Turn(None, None, False)),
        (Timing(None, at(30), interval=24 * HOUR), 24, 31, Turn(None, None, True)),
    ],
)
def test_where_a_schedule_stands(
    timing: Timing, passed: float | None, now: float, expected: Turn
) -> None:
    passed_at = None if passed is None else at(passed)
    assert turn(timing, NOON, passed_at, at(now)) == expected


def test_the_end_of_time_is_no_error() -> None:
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    timing = Timing(do_not_run_until=last, interval=HOUR)
    assert turn(timing, NOON, None, NOON) == Turn(None, last, False)
    assert turn(timing, NOON, None, last) == Turn(last, None, False)
    endless = Timing(interval=timedelta(days=999_999_999))
    assert turn(endless, NOON, NOON, NOON + SECOND) == Turn(None, None, False)


_minutes = st.integers(1, 10_000).map(lambda count: timedelta(minutes=count))


@given(
    interval=_minutes,
    window=st.none() | _minutes,
    steps=st.lists(st.integers(0, 100_000), max_size=30),
)
def test_jobs_are_made_in_order_each_in_its_interval_and_window(
    interval: timedelta, window: timedelta | None, steps: list[int]
) -> None:
    timing = Timing(start_window=window, interval=interval)
    now, passed_at = NOON, None
    for step in steps:
        now += timedelta(seconds=step)
        found = turn(timing, NOON, passed_at, now)
        assert not found.is_over
        assert found.next_at is not None
        assert now < found.next_at <= now + interval
        if found.due_at is None:
            continue
        assert passed_at is None or found.due_at > passed_at
        assert (found.due_at - NOON) % interval == timedelta()
        assert found.due_at <= now < found.due_at + min(window or interval, interval)
        passed_at = found.due_at
