"""The moves of a job."""

from __future__ import annotations

import pytest

from shoal_controller.core.errors import Refused
from shoal_controller.core.job import (
    LIVE,
    MOVES,
    Delete,
    Disable,
    DisableOption,
    Drained,
    Enable,
    JobEvent,
    JobState,
    Terminate,
    advance,
    check_takes_tasks,
)
from tests.builders import NOON, SECOND, a_job

LATER = NOON + SECOND
EVENTS: list[JobEvent] = [
    Disable(DisableOption.WAIT),
    Enable(),
    Terminate("r"),
    Delete(),
    Drained(),
]


def test_disabling_ends_in_disabled_once_nothing_runs() -> None:
    disabling = advance(a_job(), Disable(DisableOption.WAIT), LATER)
    assert (disabling.state, disabling.disable_option) == (JobState.DISABLING, DisableOption.WAIT)
    assert advance(disabling, Drained(), LATER).state == JobState.DISABLED


def test_an_enabled_job_is_active_again() -> None:
    job = advance(a_job(state=JobState.DISABLED), Enable(), LATER)
    assert (job.state, job.previous_state) == (JobState.ACTIVE, JobState.DISABLED)


def test_termination_keeps_its_reason_and_time() -> None:
    job = advance(advance(a_job(), Terminate("done"), LATER), Drained(), LATER + SECOND)
    assert (job.state, job.terminate_reason, job.ended_at) == (
        JobState.COMPLETED,
        "done",
        LATER + SECOND,
    )


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (JobState.TERMINATING, "JobBeingTerminated"),
        (JobState.COMPLETED, "JobCompleted"),
        (JobState.DELETING, "JobBeingDeleted"),
    ],
)
def test_an_ended_job_takes_no_tasks(state: JobState, code: str) -> None:
    with pytest.raises(Refused, match=code):
        check_takes_tasks(a_job(state=state))


@pytest.mark.parametrize("state", LIVE)
def test_a_job_that_has_not_ended_takes_tasks(state: JobState) -> None:
    check_takes_tasks(a_job(state=state))


@pytest.mark.parametrize("state", list(JobState))
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_pair_without_a_row_is_refused(state: JobState, event: JobEvent) -> None:
    if (state, type(event)) in MOVES:
        assert advance(a_job(state=state), event, LATER).state == MOVES[state, type(event)]
    else:
        with pytest.raises(Refused):
            advance(a_job(state=state), event, LATER)
