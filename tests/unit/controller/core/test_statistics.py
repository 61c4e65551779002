"""What tasks and nodes used."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shoal_controller.core.statistics import (
    NodeLife,
    PoolUsage,
    Usage,
    core_time,
    interval_of,
    pool_usage,
    usage,
)
from shoal_controller.core.task import (
    Ended,
    Lost,
    Reactivated,
    Requeued,
    TaskEvent,
    TaskState,
    Terminated,
    advance,
    cpu_time,
)
from tests.builders import NOON, SECOND, a_task, an_exit

RUNNING = a_task(
    is_placed=True, attempt=1, node_id="n", pool_id="p", state=TaskState.RUNNING, started_at=NOON
)
HOUR = timedelta(hours=1)


def test_a_task_that_waits_has_used_nothing() -> None:
    assert usage(a_task(), NOON + HOUR) == Usage()


def test_a_running_task_uses_wall_clock_until_now() -> None:
    task = replace(RUNNING, created_at=NOON - 3 * SECOND)
    assert usage(task, NOON + 5 * SECOND) == Usage(wall_clock=5 * SECOND, wait=3 * SECOND)


def test_a_node_whose_clock_is_ahead_makes_nothing_negative() -> None:
    task = replace(RUNNING, created_at=NOON + SECOND, started_at=NOON)
    assert usage(task, NOON - SECOND) == Usage()


@pytest.mark.parametrize("event", [Requeued(), Lost(), Terminated()])
def test_a_run_that_is_interrupted_counts_until_then(event: TaskEvent) -> None:
    after = advance(RUNNING, event, NOON + 7 * SECOND)
    assert usage(after, NOON + HOUR).wall_clock == 7 * SECOND


def test_all_tries_count_with_their_cpu_times() -> None:
    exit_info = an_exit(1, user_cpu_s=0.5, system_cpu_s=0.25)
    again = advance(RUNNING, Ended(exit_info, 1), NOON)
    assert again.state == TaskState.ACTIVE
    once_more = replace(again, state=TaskState.RUNNING, started_at=NOON, is_placed=True)
    over = advance(once_more, Ended(exit_info, 1), NOON)
    assert usage(over, NOON + HOUR) == Usage(
        user_cpu=SECOND,
        system_cpu=SECOND / 2,
        wall_clock=2 * SECOND,
        retries=1,
        failed=1,
    )
    anew = advance(over, Reactivated(), NOON + HOUR)
    assert usage(anew, NOON + HOUR).wall_clock == 2 * SECOND


def test_a_task_ended_while_it_waited_for_its_next_try_counts_its_tries_alone() -> None:
    again = advance(RUNNING, Ended(an_exit(1), 1), NOON)
    over = advance(again, Terminated(), NOON + HOUR)
    assert usage(over, NOON + HOUR).wall_clock == SECOND


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), 1e300])
def test_a_cpu_time_that_cannot_be_is_none(seconds: float) -> None:
    assert cpu_time(seconds) == timedelta()


def life(begin: float, end: float | None, **changes: object) -> NodeLife:
    """A node of two cores in pool `p`, hours after noon."""
    gone_at = None if end is None else NOON + end * HOUR
    node = NodeLife("p", "standard_d2_v3", NOON + begin * HOUR, gone_at)
    return node._replace(**changes)  # pyright: ignore[reportArgumentType]


def test_nodes_count_with_their_cores() -> None:
    times = {"standard_d2_v3": HOUR, "standard_d16_v3": 2 * HOUR, "odd": HOUR}
    assert core_time(times) == (2 + 32 + 1) * HOUR
    assert core_time({}) == timedelta()


def test_an_interval_begins_at_a_full_or_half_hour() -> None:
    assert interval_of(NOON + timedelta(minutes=44)) == NOON + HOUR / 2
    assert interval_of(NOON) == NOON


def test_usage_is_told_by_pool_and_size_whatever_the_case_of_ids() -> None:
    lives = [
        life(-1, None),
        life(0.25, 0.4, pool_id="P"),
        life(0, 0.5, vm_size="standard_d4_v3"),
        life(0, None, pool_id="a"),
        life(0.5, None, pool_id="later"),
    ]

    def used(pool_id: str, size: str, hours: float, begin: datetime = NOON) -> PoolUsage:
        return PoolUsage(pool_id, size, begin, hours * HOUR)

    assert pool_usage(lives, NOON) == [
        used("a", "standard_d2_v3", 1),
        used("p", "standard_d2_v3", 1 + 0.3),
        used("p", "standard_d4_v3", 2),
    ]
