"""A job: what the user asked for, where it stands, and the moves between its states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from shoal_controller.core.errors import Refused

PRIORITY_MIN: Final = -1000
PRIORITY_MAX: Final = 1000


class JobState(StrEnum):
    """The Batch service's job states."""

    ACTIVE = "active"
    DISABLING = "disabling"
    DISABLED = "disabled"
    ENABLING = "enabling"
    TERMINATING = "terminating"
    COMPLETED = "completed"
    DELETING = "deleting"


class DisableOption(StrEnum):
    """What becomes of a job's running tasks when it is disabled."""

    REQUEUE = "requeue"
    TERMINATE = "terminate"
    WAIT = "wait"


class AllTasksComplete(StrEnum):
    """What happens when all tasks of a job are completed."""

    NO_ACTION = "noaction"
    TERMINATE_JOB = "terminatejob"


class TaskFailureMode(StrEnum):
    """What happens when a task of a job fails."""

    NO_ACTION = "noaction"
    PERFORM_EXIT_OPTIONS_JOB_ACTION = "performexitoptionsjobaction"


class TerminateReason(StrEnum):
    """The reasons that the service itself gives; a user may give any other text."""

    USER = "UserTerminate"
    ALL_TASKS_COMPLETE = "AllTasksComplete"
    TASK_FAILED = "TaskFailed"
    WALL_CLOCK = "MaxWallClockTimeExpiry"
    JOB_SCHEDULE = "TerminateJobSchedule"


@dataclass(frozen=True, slots=True)
class JobConstraints:
    """Limits of a job: wall clock from its creation (None: no limit), retries of its tasks."""

    max_wall_clock_time: timedelta | None = None
    max_task_retry_count: int = 0


@dataclass(frozen=True, slots=True)
class JobDefinition:
    """What a user asked for when creating a job.

    max_parallel_tasks  -1: no limit
    carried             documents kept and returned as sent, in wire form: networkConfiguration
    """

    pool_id: str
    display_name: str | None = None
    priority: int = 0
    max_parallel_tasks: int = -1
    allow_task_preemption: bool = False
    constraints: JobConstraints = JobConstraints()
    common_environment: tuple[tuple[str, str], ...] = ()
    on_all_tasks_complete: AllTasksComplete = AllTasksComplete.NO_ACTION
    on_task_failure: TaskFailureMode = TaskFailureMode.NO_ACTION
    metadata: tuple[tuple[str, str], ...] = ()
    carried: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Job:
    """A job as stored.

    serial            its number in the account, never used again
    schedule_serial   of the job schedule that made it; None: a user did
    disable_option    what a `disabling` job does with its running tasks; kept until it is enabled
    terminate_reason  set when termination begins, shown once the job is completed
    """

    serial: int
    id: str
    definition: JobDefinition
    created_at: datetime
    modified_at: datetime
    state: JobState
    state_at: datetime
    previous_state: JobState | None = None
    previous_state_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    terminate_reason: str | None = None
    disable_option: DisableOption | None = None
    schedule_serial: int | None = None


# --- events ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Disable:
    """A user wants no task of the job to run."""

    option: DisableOption


@dataclass(frozen=True, slots=True)
class Enable:
    """A user wants a disabled job to go on."""


@dataclass(frozen=True, slots=True)
class Terminate:
    """The job is to end: a user's request or one of the service's own reasons."""

    reason: str


@dataclass(frozen=True, slots=True)
class Delete:
    """A user wants the job and its tasks gone."""


@dataclass(frozen=True, slots=True)
class Drained:
    """No task of the job runs any more."""


JobEvent = Disable | Enable | Terminate | Delete | Drained

LIVE: Final = (JobState.ACTIVE, JobState.DISABLING, JobState.DISABLED, JobState.ENABLING)
"""The states of a job that has neither ended nor begun to."""

MOVES: Final[Mapping[tuple[JobState, type[JobEvent]], JobState]] = {
    (JobState.ACTIVE, Disable): JobState.DISABLING,
    (JobState.DISABLING, Disable): JobState.DISABLING,  # repeated calls are allowed
    (JobState.DISABLED, Disable): JobState.DISABLING,
    (JobState.DISABLING, Drained): JobState.DISABLED,
    (JobState.DISABLED, Enable): JobState.ACTIVE,  # `enabling` is over within the same operation
    **{(state, Terminate): JobState.TERMINATING for state in LIVE},
    (JobState.TERMINATING, Drained): JobState.COMPLETED,
    **{
        (state, Delete): JobState.DELETING
        for state in (*LIVE, JobState.TERMINATING, JobState.COMPLETED)
    },
}
"""Every legal move; a pair that is absent cannot happen."""


def advance(job: Job, event: JobEvent, now: datetime) -> Job:
    """Return `job` as it stands after `event`; raise Refused where MOVES has no row."""
    target = MOVES.get((job.state, type(event)))
    if target is None:
        raise refusal(job)
    moved = replace(
        job, state=target, state_at=now, previous_state=job.state, previous_state_at=job.state_at
    )
    match event:
        case Disable(option):
            return replace(moved, disable_option=option, modified_at=now)
        case Enable():
            return replace(moved, disable_option=None, modified_at=now)
        case Terminate(reason):
            return replace(moved, terminate_reason=reason, modified_at=now)
        case Delete():
            return replace(moved, modified_at=now)
        case Drained():
            return replace(moved, ended_at=now) if target == JobState.COMPLETED else moved


def refusal(job: Job) -> Refused:
    """Return why nothing can be changed about a job in its state."""
    match job.state:
        case JobState.DELETING:
            return Refused("JobBeingDeleted")
        case JobState.TERMINATING:
            return Refused("JobBeingTerminated")
        case JobState.COMPLETED:
            return Refused("JobCompleted")
        case _:
            return Refused(
                "OperationInvalidForCurrentState", Reason=f"Job '{job.id}' is {job.state}."
            )


def check_takes_tasks(job: Job) -> None:
    """Raise Refused unless tasks may be added; a disabled job takes them, and they wait."""
    if job.state in (JobState.TERMINATING, JobState.COMPLETED, JobState.DELETING):
        raise refusal(job)


check_changeable = check_takes_tasks
