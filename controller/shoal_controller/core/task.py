"""A task: what the user asked for, where it stands, and the moves between its states.

Who runs it is decided in scheduler/; how it is run is the agent's business. A task that was placed
on a node ahead of its turn is still `active`: it turns `running` when it takes its slots.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import Final

from shoal_controller.core.errors import Refused
from shoal_protocol.specs import (
    ErrorCategory,
    ExitInfo,
    FailureInfo,
    OutputFile,
    ResourceFile,
    RunId,
    UserIdentity,
)

LOST_COUNT_MAX: Final = 20
"""A task that the service lost so often ends with MaxInternalRetryCountReached."""
CPU_S_MAX: Final = 1e9
"""No run used so much: thirty cores for a year."""
RETENTION_DEFAULT: Final = timedelta(days=7)


class TaskState(StrEnum):
    """The Batch service's task states."""

    ACTIVE = "active"
    PREPARING = "preparing"
    RUNNING = "running"
    COMPLETED = "completed"


class TaskResult(StrEnum):
    """Whether a completed task did what was asked."""

    SUCCESS = "success"
    FAILURE = "failure"


class TokenAccess(StrEnum):
    """What a task's own token is good for."""

    JOB = "job"


@dataclass(frozen=True, slots=True)
class TaskConstraints:
    """Limits of a task.

    max_wall_clock_time   per run; None: no limit
    retention_time        None: for ever
    max_task_retry_count  -1: without limit; None: the job's value
    """

    max_wall_clock_time: timedelta | None = None
    retention_time: timedelta | None = RETENTION_DEFAULT
    max_task_retry_count: int | None = None


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """What a user asked for when adding a task; only `constraints` may change later.

    token_access  what its token reaches; () none; None: its definition does not speak of one
    """

    command_line: str
    display_name: str | None = None
    resource_files: tuple[ResourceFile, ...] = ()
    output_files: tuple[OutputFile, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    affinity_id: str | None = None
    constraints: TaskConstraints = TaskConstraints()
    required_slots: int = 1
    user: UserIdentity = UserIdentity()
    token_access: tuple[TokenAccess, ...] | None = None

    def constrained(self, constraints: TaskConstraints) -> TaskDefinition:
        """Return the definition with other constraints, in half the time of `replace`."""
        values = list(_VALUES(self))
        values[_CONSTRAINTS] = constraints
        return TaskDefinition(*values)


_NAMES: Final = [one.name for one in fields(TaskDefinition)]
_VALUES: Final = attrgetter(*_NAMES)
_CONSTRAINTS: Final = _NAMES.index("constraints")


@dataclass(frozen=True, slots=True)
class Task:
    """A task as stored.

    serial      its number in the account, rising in order of submission, never used again
    attempt     the count of its placements; with `serial` it names a run
    is_placed   a node holds it (queued or running there)
    node_id, pool_id  the last node it was placed on; kept after a requeue until it is placed anew
    lost_count  how often the service lost it (node gone, agent lost it): not shown to users
    user_cpu, system_cpu, wall_clock  of all its ended runs; CPU of those that told their end
    """

    serial: int
    job_serial: int
    id: str
    definition: TaskDefinition
    created_at: datetime
    modified_at: datetime
    state: TaskState
    state_at: datetime
    previous_state: TaskState | None = None
    previous_state_at: datetime | None = None
    attempt: int = 0
    is_placed: bool = False
    node_id: str | None = None
    pool_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    failure: FailureInfo | None = None
    result: TaskResult | None = None
    retry_count: int = 0
    last_retry_at: datetime | None = None
    requeue_count: int = 0
    last_requeue_at: datetime | None = None
    lost_count: int = 0
    user_cpu: timedelta = timedelta()
    system_cpu: timedelta = timedelta()
    wall_clock: timedelta = timedelta()

    @property
    def run(self) -> RunId:
        """The name of its current, or last, run."""
        return RunId(self.serial, self.attempt)


# --- events ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Placed:
    """The scheduler gave it to a node."""

    node_id: str
    pool_id: str


@dataclass(frozen=True, slots=True)
class Started:
    """Its run took its slots on the node."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """Its run is over. `retry_count_max`: what the task's or its job's constraints permit."""

    exit: ExitInfo
    retry_count_max: int


@dataclass(frozen=True, slots=True)
class Returned:
    """The node gave it back before it took its slots."""


@dataclass(frozen=True, slots=True)
class Requeued:
    """A user's request (disable, resize, reboot...) interrupted it; it is to run again."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The service lost its run: the node rebooted, vanished, or never got it."""


@dataclass(frozen=True, slots=True)
class Terminated:
    """A user's request, or the end of its job, ended it for good."""


@dataclass(frozen=True, slots=True)
class Reactivated:
    """A user wants a failed task to run again."""


TaskEvent = Placed | Started | Ended | Returned | Requeued | Lost | Terminated | Reactivated

MOVES: Final[Mapping[tuple[TaskState, type[TaskEvent]], TaskState]] = {
    (TaskState.ACTIVE, Placed): TaskState.ACTIVE,  # queued on its node until it takes its slots
    (TaskState.ACTIVE, Started): TaskState.RUNNING,
    (TaskState.ACTIVE, Ended): TaskState.COMPLETED,  # started and ended in one report
    (TaskState.ACTIVE, Returned): TaskState.ACTIVE,
    (TaskState.ACTIVE, Requeued): TaskState.ACTIVE,
    (TaskState.ACTIVE, Lost): TaskState.ACTIVE,
    (TaskState.ACTIVE, Terminated): TaskState.COMPLETED,
    (TaskState.RUNNING, Ended): TaskState.COMPLETED,  # or ACTIVE again, where retries are left
    (TaskState.RUNNING, Requeued): TaskState.ACTIVE,
    (TaskState.RUNNING, Lost): TaskState.ACTIVE,
    (TaskState.RUNNING, Terminated): TaskState.COMPLETED,
    (TaskState.COMPLETED, Reactivated): TaskState.ACTIVE,
}
"""Every legal move; a pair that is absent cannot happen."""

TASK_ENDED: Final = FailureInfo(
    ErrorCategory.USER_ERROR, "TaskEnded", "Task Was Ended by User Request"
)
TASK_LOST_TOO_OFTEN: Final = FailureInfo(
    ErrorCategory.USER_ERROR,
    "MaxInternalRetryCountReached",
    "The task was interrupted by the service too often",
    (("Message", f"The task was lost by its nodes {LOST_COUNT_MAX} times."),),
)


def advance(task: Task, event: TaskEvent, now: datetime) -> Task:
    """Return `task` as it stands after `event`, or raise Refused where MOVES has no row.

    The caller has made sure that the event speaks of the task's current run.
    """
    target = MOVES.get((task.state, type(event)))
    if target is None:
        raise _refusal(task, event)
    match event:
        case Placed(node_id, pool_id):
            return replace(
                task, attempt=task.attempt + 1, is_placed=True, node_id=node_id, pool_id=pool_id
            )
        case Started(at):
            return replace(_moved(task, target, at), started_at=at)
        case Ended(ended, retry_count_max):
            return _ended(task, ended, retry_count_max, now)
        case Returned():
            return replace(task, is_placed=False)
        case Requeued():
            if task.state == TaskState.ACTIVE:  # it had not begun: nothing to count
                return replace(task, is_placed=False)
            return replace(
                _moved(task, target, now),
                is_placed=False,
                requeue_count=task.requeue_count + 1,
                last_requeue_at=now,
                wall_clock=_wall_clock(task, now),
            )
        case Lost():
            return replace(_lost(task, now), wall_clock=_wall_clock(task, now))
        case Terminated():
            return replace(
                _moved(task, target, now),
                is_placed=False,
                wall_clock=_wall_clock(task, now),
                ended_at=now,
                failure=TASK_ENDED,
                result=TaskResult.FAILURE,
            )
        case Reactivated():
            if task.result == TaskResult.SUCCESS:
                raise Refused("TaskSucceeded")
            return replace(
                _moved(task, target, now),
                started_at=None,
                ended_at=None,
                exit_code=None,
                failure=None,
                result=None,
                retry_count=0,
                last_retry_at=None,
                lost_count=0,
            )


def retries_left(retry_count: int, retry_count_max: int) -> bool:
    """Return whether a nonzero exit is tried again; -1 means always."""
    return retry_count_max < 0 or retry_count < retry_count_max


def cpu_time(seconds: float) -> timedelta:
    """Return what an agent told of a run; what cannot be is nothing."""
    return timedelta(seconds=seconds) if 0.0 <= seconds < CPU_S_MAX else timedelta()


def _wall_clock(task: Task, ended_at: datetime) -> timedelta:
    """Return the length of all ended runs, its present one included."""
    if task.state != TaskState.RUNNING or task.started_at is None:
        return task.wall_clock
    return task.wall_clock + max(ended_at - task.started_at, timedelta())


def _moved(task: Task, state: TaskState, at: datetime) -> Task:
    return replace(
        task, state=state, state_at=at, previous_state=task.state, previous_state_at=task.state_at
    )


def _ended(task: Task, ended: ExitInfo, retry_count_max: int, now: datetime) -> Task:
    if task.state == TaskState.ACTIVE and ended.started_at is not None:
        task = replace(_moved(task, TaskState.RUNNING, ended.started_at))
    started_at = ended.started_at or task.started_at
    task = replace(
        task,
        user_cpu=task.user_cpu + cpu_time(ended.user_cpu_s),
        system_cpu=task.system_cpu + cpu_time(ended.system_cpu_s),
        wall_clock=_wall_clock(replace(task, started_at=started_at), ended.ended_at),
    )
    failed_by_exit_code = ended.failure is not None and ended.failure.code == "FailureExitCode"
    if failed_by_exit_code and retries_left(task.retry_count, retry_count_max):
        return replace(
            _moved(task, TaskState.ACTIVE, now),
            is_placed=False,
            started_at=started_at,
            retry_count=task.retry_count + 1,
            last_retry_at=now,
        )
    return replace(
        _moved(task, TaskState.COMPLETED, ended.ended_at),
        is_placed=False,
        started_at=started_at,
        ended_at=ended.ended_at,
        exit_code=ended.exit_code,
        failure=ended.failure,
        result=TaskResult.SUCCESS if ended.failure is None else TaskResult.FAILURE,
    )


def _lost(task: Task, now: datetime) -> Task:
    if task.lost_count + 1 >= LOST_COUNT_MAX:
        return replace(
            _moved(task, TaskState.COMPLETED, now),
            is_placed=False,
            ended_at=now,
            failure=TASK_LOST_TOO_OFTEN,
            result=TaskResult.FAILURE,
            lost_count=task.lost_count + 1,
        )
    moved = task if task.state == TaskState.ACTIVE else _moved(task, TaskState.ACTIVE, now)
    return replace(moved, is_placed=False, lost_count=task.lost_count + 1)


def _refusal(task: Task, event: TaskEvent) -> Refused:
    if task.state == TaskState.COMPLETED:
        return Refused("TaskCompleted")
    if isinstance(event, Reactivated):
        return Refused("TaskNotCompleted")
    return Refused(
        "OperationInvalidForCurrentState",
        Reason=f"Task '{task.id}' is {task.state}; {type(event).__name__} does not apply.",
    )
