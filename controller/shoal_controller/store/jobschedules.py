"""Job schedules in rows."""

from __future__ import annotations

from typing import Any, Final

from shoal_controller.core.jobschedule import (
    JobSchedule,
    JobScheduleDefinition,
    JobScheduleState,
)
from shoal_controller.store.columns import (
    decoder,
    encode,
    ticks,
    ticks_or_none,
    time,
    time_or_none,
)
from shoal_controller.store.database import Row, Tx

GET: Final = "SELECT * FROM job_schedules WHERE id = ?"
BY_SERIAL: Final = "SELECT * FROM job_schedules WHERE serial = ?"
AT_WORK: Final = (
    "SELECT * FROM job_schedules WHERE state IN ('active', 'terminating', 'deleting')"
    " ORDER BY serial"
)
COUNT_ACTIVE: Final = "SELECT count(*) FROM job_schedules WHERE state != 'completed'"
DELETE: Final = "DELETE FROM job_schedules WHERE serial = ?"
_COLUMNS: Final = (
    "id, definition, do_not_run_until, do_not_run_after, created_at, modified_at, state, state_at,"
    " previous_state, previous_state_at, job_count, passed_at, ended_at"
)
_INSERT: Final = f"INSERT INTO job_schedules ({_COLUMNS}) VALUES ({', '.join('?' * 13)})"
_UPDATE: Final = f"UPDATE job_schedules SET ({_COLUMNS}) = ({', '.join('?' * 13)}) WHERE serial = ?"

_definition = decoder(JobScheduleDefinition)


def job_schedule(row: Row) -> JobSchedule:
    """Return the job schedule of a row."""
    previous = row["previous_state"]
    return JobSchedule(
        serial=row["serial"],
        id=row["id"],
        definition=_definition(row["definition"]),
        created_at=time(row["created_at"]),
        modified_at=time(row["modified_at"]),
        state=JobScheduleState(row["state"]),
        state_at=time(row["state_at"]),
        previous_state=None if previous is None else JobScheduleState(previous),
        previous_state_at=time_or_none(row["previous_state_at"]),
        job_count=row["job_count"],
        passed_at=time_or_none(row["passed_at"]),
        ended_at=time_or_none(row["ended_at"]),
    )


def get(tx: Tx, schedule_id: str) -> JobSchedule | None:
    """Return the job schedule of that id, whatever its case, or None."""
    row = tx.row(GET, (schedule_id,))
    return None if row is None else job_schedule(row)


def by_serial(tx: Tx, serial: int) -> JobSchedule | None:
    row = tx.row(BY_SERIAL, (serial,))
    return None if row is None else job_schedule(row)


def insert(tx: Tx, new: JobSchedule) -> int:
    """Store a new job schedule and return its serial; sqlite3.IntegrityError for a namesake."""
    return tx.execute(_INSERT, _values(new)).lastrowid or 0


def update(tx: Tx, changed: JobSchedule) -> None:
    tx.execute(_UPDATE, (*_values(changed), changed.serial))


def delete(tx: Tx, serial: int) -> None:
    tx.execute(DELETE, (serial,))


def _values(schedule: JobSchedule) -> tuple[Any, ...]:
    timing = schedule.definition.timing
    return (
        schedule.id,
        encode(schedule.definition),
        ticks_or_none(timing.do_not_run_until),
        ticks_or_none(timing.do_not_run_after),
        ticks(schedule.created_at),
        ticks(schedule.modified_at),
        schedule.state,
        ticks(schedule.state_at),
        schedule.previous_state,
        ticks_or_none(schedule.previous_state_at),
        schedule.job_count,
        ticks_or_none(schedule.passed_at),
        ticks_or_none(schedule.ended_at),
    )
