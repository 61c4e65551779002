"""A job schedule: what it makes jobs of and when, where it stands, and its moves.

Source: semantics 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from shoal_controller.core.errors import Refused
from shoal_controller.core.job import JobDefinition
from shoal_controller.core.recurrence import Timing, current


class JobScheduleState(StrEnum):
    """The Batch service's states of job schedules."""

    ACTIVE = "active"
    COMPLETED = "completed"
    DISABLED = "disabled"
    TERMINATING = "terminating"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class JobScheduleDefinition:
    """What a user asked for.

    specification  of each job; a change reaches the jobs that are made later
    """

    specification: JobDefinition
    timing: Timing = field(default_factory=Timing)
    display_name: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class JobSchedule:
    """A job schedule as stored.

    serial     its number in the account, never used again
    job_count  how many jobs it made: the number of the latest
    passed_at  the latest occurrence that had its job, or was passed over
    """

    serial: int
    id: str
    definition: JobScheduleDefinition
    created_at: datetime
    modified_at: datetime
    state: JobScheduleState
    state_at: datetime
    previous_state: JobScheduleState | None = None
    previous_state_at: datetime | None = None
    job_count: int = 0
    passed_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def recent_job_id(self) -> str | None:
        """The id of the latest job."""
        return f"{self.id}:job-{self.job_count}" if self.job_count else None


# --- events ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Disable:
    """A user wants no more jobs for now."""


@dataclass(frozen=True, slots=True)
class Enable:
    """A user wants a disabled schedule to go on."""


@dataclass(frozen=True, slots=True)
class Terminate:
    """A user wants it and its live job to end."""


@dataclass(frozen=True, slots=True)
class Delete:
    """A user wants it and all its jobs gone."""


@dataclass(frozen=True, slots=True)
class Finished:
    """None of its jobs is live, and none will be made."""


JobScheduleEvent = Disable | Enable | Terminate | Delete | Finished

MOVES: Final[Mapping[tuple[JobScheduleState, type[JobScheduleEvent]], JobScheduleState]] = {
    (JobScheduleState.ACTIVE, Disable): JobScheduleState.DISABLED,
    (JobScheduleState.DISABLED, Enable): JobScheduleState.ACTIVE,
    (JobScheduleState.ACTIVE, Terminate): JobScheduleState.TERMINATING,
    (JobScheduleState.DISABLED, Terminate): JobScheduleState.TERMINATING,
    (JobScheduleState.ACTIVE, Finished): JobScheduleState.COMPLETED,
    (JobScheduleState.TERMINATING, Finished): JobScheduleState.COMPLETED,
    **{
        (state, Delete): JobScheduleState.DELETING
        for state in JobScheduleState
        if state != JobScheduleState.DELETING
    },
}
"""Every legal move; a schedule in `deleting` vanishes with the last of its jobs."""


def advance(schedule: JobSchedule, event: JobScheduleEvent, now: datetime) -> JobSchedule:
    """Return `schedule` as it stands after `event`; raise Refused where MOVES has no row."""
    target = MOVES.get((schedule.state, type(event)))
    if target is None:
        raise refusal(schedule)
    moved = replace(
        schedule,
        state=target,
        state_at=now,
        previous_state=schedule.state,
        previous_state_at=schedule.state_at,
    )
    match event:
        case Finished():
            return replace(moved, ended_at=now)
        case Enable():
            return replace(_caught_up(moved, schedule.state_at, now), modified_at=now)
        case _:
            return replace(moved, modified_at=now)


def refusal(schedule: JobSchedule) -> Refused:
    """Return why something cannot be done with a schedule in its state."""
    match schedule.state:
        case JobScheduleState.DISABLED:
            return Refused("JobScheduleDisabled")
        case JobScheduleState.COMPLETED:
            return Refused("JobScheduleCompleted")
        case JobScheduleState.TERMINATING:
            return Refused("JobScheduleBeingTerminated")
        case JobScheduleState.DELETING:
            return Refused("JobScheduleBeingDeleted")
        case _:
            return Refused(
                "OperationInvalidForCurrentState",
                Reason=f"Job schedule '{schedule.id}' is {schedule.state}.",
            )


def check_changeable(schedule: JobSchedule) -> None:
    """Raise Refused unless definition and timing may be changed."""
    if schedule.state not in (JobScheduleState.ACTIVE, JobScheduleState.DISABLED):
        raise refusal(schedule)


def _caught_up(schedule: JobSchedule, disabled_at: datetime, now: datetime) -> JobSchedule:
    """Pass over the occurrences that came while a schedule was disabled; its only one is kept."""
    timing = schedule.definition.timing
    first = timing.do_not_run_until or schedule.created_at
    if timing.interval is None or now < first:
        return schedule
    due = current(timing, first, now)[0]
    return replace(schedule, passed_at=due) if due > disabled_at else schedule
