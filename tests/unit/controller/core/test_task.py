"""The moves of a task."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoal_controller.core.errors import Refused
from shoal_controller.core.task import (
    LOST_COUNT_MAX,
    MOVES,
    Ended,
    Lost,
    Placed,
    Reactivated,
    Requeued,
    Returned,
    Started,
    Task,
    TaskConstraints,
    TaskDefinition,
    TaskEvent,
    TaskResult,
    TaskState,
    Terminated,
    advance,
)
from shoal_protocol.specs import ElevationLevel, UserIdentity
from tests.builders import NOON, SECOND, a_task, an_exit

LATER = NOON + 5 * SECOND
EVENTS: list[TaskEvent] = [
    Placed("n1", "p"),
    Started(NOON),
    Ended(an_exit(), 0),
    Returned(),
    Requeued(),
    Lost(),
    Terminated(),
    Reactivated(),
]


def placed(**changes: object) -> Task:
    return a_task(is_placed=True, attempt=1, node_id="n1", pool_id="p", **changes)


def running(**changes: object) -> Task:
    return placed(state=TaskState.RUNNING, started_at=NOON, **changes)


def test_other_constraints_leave_the_rest_of_a_definition_as_it_is() -> None:
    user = UserIdentity(elevation=ElevationLevel.ADMIN)
    definition = TaskDefinition(
        "run", "name", environment=(("A", "b"),), affinity_id="n", required_slots=2, user=user
    )
    constraints = TaskConstraints(max_task_retry_count=3)
    assert definition.constrained(constraints) == replace(definition, constraints=constraints)


def test_a_placement_counts_an_attempt_and_leaves_the_task_active() -> None:
    after = advance(a_task(), Placed("n1", "p"), NOON)
    assert (after.state, after.attempt, after.is_placed) == (TaskState.ACTIVE, 1, True)
    assert (after.node_id, after.pool_id) == ("n1", "p")


def test_a_task_runs_from_when_its_run_took_its_slots() -> None:
    after = advance(placed(), Started(NOON + SECOND), LATER)
    assert (after.state, after.started_at) == (TaskState.RUNNING, NOON + SECOND)
    assert (after.previous_state, after.state_at) == (TaskState.ACTIVE, NOON + SECOND)


def test_a_task_that_started_and_ended_in_one_report_was_running_in_between() -> None:
    after = advance(placed(), Ended(an_exit(), 0), LATER)
    assert (after.state, after.previous_state) == (TaskState.COMPLETED, TaskState.RUNNING)
    assert (after.started_at, after.ended_at) == (NOON, NOON + SECOND)
    assert (after.result, after.exit_code, after.is_placed) == (TaskResult.SUCCESS, 0, False)


def test_a_failure_with_retries_left_waits_again() -> None:
    after = advance(running(), Ended(an_exit(3), 2), LATER)
    assert (after.state, after.retry_count, after.last_retry_at) == (TaskState.ACTIVE, 1, LATER)
    assert after.result is None
    assert after.exit_code is None


def test_the_last_failure_is_the_result() -> None:
    after = advance(running(retry_count=2), Ended(an_exit(3), 2), LATER)
    assert (after.state, after.result, after.exit_code) == (
        TaskState.COMPLETED,
        TaskResult.FAILURE,
        3,
    )


def test_unlimited_retries_never_end() -> None:
    after = advance(running(retry_count=10_000), Ended(an_exit(3), -1), LATER)
    assert after.state == TaskState.ACTIVE


@pytest.mark.parametrize("code", ["BlobNotFound", "TaskEnded", "FileUploadAccessDenied"])
def test_only_nonzero_exits_are_retried(code: str) -> None:
    after = advance(running(), Ended(an_exit(None, code), -1), LATER)
    assert after.state == TaskState.COMPLETED


def test_a_requeue_of_a_running_task_is_counted_and_keeps_its_retries() -> None:
    after = advance(running(retry_count=1), Requeued(), LATER)
    assert (after.state, after.requeue_count, after.retry_count) == (TaskState.ACTIVE, 1, 1)
    assert (after.last_requeue_at, after.node_id) == (LATER, "n1")


def test_a_requeue_of_a_queued_task_counts_nothing() -> None:
    after = advance(placed(), Requeued(), LATER)
    assert (after.state, after.requeue_count, after.is_placed) == (TaskState.ACTIVE, 0, False)


def test_a_returned_task_waits_as_before() -> None:
    after = advance(placed(), Returned(), LATER)
    assert (after.state, after.is_placed, after.state_at) == (TaskState.ACTIVE, False, NOON)


def test_a_lost_node_sends_its_running_task_back_to_the_queue() -> None:
    after = advance(running(), Lost(), LATER)
    assert (after.state, after.is_placed, after.lost_count) == (TaskState.ACTIVE, False, 1)
    assert (after.retry_count, after.requeue_count) == (0, 0)


def test_a_task_lost_too_often_fails() -> None:
    after = advance(running(lost_count=LOST_COUNT_MAX - 1), Lost(), LATER)
    assert after.state == TaskState.COMPLETED
    assert after.failure is not None
    assert after.failure.code == "MaxInternalRetryCountReached"


@pytest.mark.parametrize("task", [a_task(), placed(), running()])
def test_a_terminated_task_is_a_failed_one_without_exit_code(task: Task) -> None:
    after = advance(task, Terminated(), LATER)
    assert (after.state, after.result, after.exit_code) == (
        TaskState.COMPLETED,
        TaskResult.FAILURE,
        None,
    )
    assert after.failure is not None
    assert after.failure.code == "TaskEnded"
    assert after.ended_at == LATER


def test_a_reactivated_task_begins_anew() -> None:
    failed = advance(running(retry_count=1), Ended(an_exit(3), 1), LATER)
    after = advance(failed, Reactivated(), LATER)
    assert (after.state, after.retry_count, after.exit_code) == (TaskState.ACTIVE, 0, None)
    assert (after.failure, after.result, after.ended_at) == (None, None, None)
    assert after.attempt == failed.attempt


def test_a_task_that_succeeded_is_not_reactivated() -> None:
    with pytest.raises(Refused, match="TaskSucceeded"):
        advance(advance(running(), Ended(an_exit(), 0), LATER), Reactivated(), LATER)


@pytest.mark.parametrize("state", list(TaskState))
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_pair_without_a_row_is_refused(state: TaskState, event: TaskEvent) -> None:
    task = running(result=TaskResult.FAILURE) if state != TaskState.ACTIVE else placed()
    task = a_task(
        state=state,
        result=TaskResult.FAILURE if state == TaskState.COMPLETED else None,
        attempt=task.attempt,
    )
    if (state, type(event)) in MOVES:
        advance(task, event, LATER)
    else:
        with pytest.raises(Refused):
            advance(task, event, LATER)
