"""The moves of a job schedule."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shoal_controller.core import jobschedule as moves
from shoal_controller.core.errors import Refused
from shoal_controller.core.job import JobDefinition
from shoal_controller.core.jobschedule import (
    JobSchedule,
    JobScheduleDefinition,
    JobScheduleState,
    advance,
    check_changeable,
)
from shoal_controller.core.recurrence import Timing
from tests.builders import NOON, SECOND

HOURLY = Timing(interval=timedelta(hours=1))


def a_schedule(timing: Timing = HOURLY, **changes: Any) -> JobSchedule:
    definition = JobScheduleDefinition(JobDefinition("p"), timing)
    schedule = JobSchedule(1, "s", definition, NOON, NOON, JobScheduleState.ACTIVE, NOON)
    return replace(schedule, **changes)


def test_a_move_keeps_where_it_came_from() -> None:
    after = advance(a_schedule(), moves.Disable(), NOON + SECOND)
    assert (after.state, after.state_at) == (JobScheduleState.DISABLED, NOON + SECOND)
    assert (after.previous_state, after.previous_state_at) == (JobScheduleState.ACTIVE, NOON)
    assert after.modified_at == NOON + SECOND


def test_its_own_end_is_no_change_by_a_user() -> None:
    after = advance(a_schedule(), moves.Finished(), NOON + SECOND)
    assert (after.state, after.ended_at) == (JobScheduleState.COMPLETED, NOON + SECOND)
    assert after.modified_at == NOON


@pytest.mark.parametrize(
    ("state", "event", "code"),
    [
        ("disabled", moves.Disable(), "JobScheduleDisabled"),
        ("active", moves.Enable(), "OperationInvalidForCurrentState"),
        ("completed", moves.Terminate(), "JobScheduleCompleted"),
        ("terminating", moves.Terminate(), "JobScheduleBeingTerminated"),
        ("deleting", moves.Delete(), "JobScheduleBeingDeleted"),
    ],
)
def test_other_moves_are_refused(state: str, event: moves.JobScheduleEvent, code: str) -> None:
    with pytest.raises(Refused) as refused:
        advance(a_schedule(state=JobScheduleState(state)), event, NOON)
    assert refused.value.code == code


@pytest.mark.parametrize("state", list(JobScheduleState))
def test_a_schedule_that_ends_is_not_changed(state: JobScheduleState) -> None:
    schedule = a_schedule(state=state)
    if state in (JobScheduleState.ACTIVE, JobScheduleState.DISABLED):
        check_changeable(schedule)
    else:
        with pytest.raises(Refused):
            check_changeable(schedule)


def test_what_was_due_while_it_was_disabled_is_passed_over() -> None:
    disabled = a_schedule(
        state=JobScheduleState.DISABLED, state_at=NOON + timedelta(minutes=30), passed_at=NOON
    )
    soon = advance(disabled, moves.Enable(), NOON + timedelta(minutes=59))
    assert soon.passed_at == NOON
    late = advance(disabled, moves.Enable(), NOON + timedelta(minutes=150))
    assert late.passed_at == NOON + timedelta(minutes=120)


def test_the_only_job_of_a_schedule_is_not_passed_over() -> None:
    disabled = a_schedule(Timing(), state=JobScheduleState.DISABLED)
    after = advance(disabled, moves.Enable(), NOON + timedelta(days=1))
    assert after.passed_at is None
