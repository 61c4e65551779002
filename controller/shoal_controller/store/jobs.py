"""Jobs in rows."""

from __future__ import annotations

from typing import Any, Final

from shoal_controller.core.job import DisableOption, Job, JobDefinition, JobState
from shoal_controller.store.columns import (
    decoder,
    encode,
    ticks,
    ticks_or_none,
    time,
    time_or_none,
)
from shoal_controller.store.database import Row, Tx

GET: Final = "SELECT * FROM jobs WHERE id = ?"
BY_SERIAL: Final = "SELECT * FROM jobs WHERE serial = ?"
ALL: Final = "SELECT * FROM jobs ORDER BY serial"
COUNT_ACTIVE: Final = "SELECT count(*) FROM jobs WHERE state != 'completed'"
_LIVE_OF_SCHEDULE: Final = (
    "SELECT * FROM jobs WHERE schedule_serial = ? AND state != 'completed' ORDER BY serial"
)
_KEPT_OF_SCHEDULE: Final = (
    "SELECT * FROM jobs WHERE schedule_serial = ? AND state != 'deleting' ORDER BY serial LIMIT ?"
)
_ANY_OF_SCHEDULE: Final = "SELECT 1 FROM jobs WHERE schedule_serial = ? LIMIT 1"
DELETE: Final = "DELETE FROM jobs WHERE serial = ?"
_COLUMNS: Final = (
    "id, pool_id, definition, created_at, modified_at, state, state_at, previous_state,"
    " previous_state_at, started_at, ended_at, terminate_reason, disable_option, schedule_serial"
)
_INSERT: Final = f"INSERT INTO jobs ({_COLUMNS}) VALUES ({', '.join('?' * 14)})"
_UPDATE: Final = f"UPDATE jobs SET ({_COLUMNS}) = ({', '.join('?' * 14)}) WHERE serial = ?"

_definition = decoder(JobDefinition)


def job(row: Row) -> Job:
    """Return the job of a row."""
    previous, option = row["previous_state"], row["disable_option"]
    return Job(
        serial=row["serial"],
        id=row["id"],
        definition=_definition(row["definition"]),
        created_at=time(row["created_at"]),
        modified_at=time(row["modified_at"]),
        state=JobState(row["state"]),
        state_at=time(row["state_at"]),
        previous_state=None if previous is None else JobState(previous),
        previous_state_at=time_or_none(row["previous_state_at"]),
        started_at=time_or_none(row["started_at"]),
        ended_at=time_or_none(row["ended_at"]),
        terminate_reason=row["terminate_reason"],
        disable_option=None if option is None else DisableOption(option),
        schedule_serial=row["schedule_serial"],
    )


def get(tx: Tx, job_id: str) -> Job | None:
    """Return the job of that id, whatever its case, or None."""
    row = tx.row(GET, (job_id,))
    return None if row is None else job(row)


def by_serial(tx: Tx, serial: int) -> Job | None:
    row = tx.row(BY_SERIAL, (serial,))
    return None if row is None else job(row)


def live_of_schedule(tx: Tx, schedule_serial: int) -> list[Job]:
    """Return the jobs of a schedule that are not completed; those being deleted are among them."""
    return [job(row) for row in tx.rows(_LIVE_OF_SCHEDULE, (schedule_serial,))]


def kept_of_schedule(tx: Tx, schedule_serial: int, limit: int) -> list[Job]:
    """Return some jobs of a schedule that are not being deleted."""
    return [job(row) for row in tx.rows(_KEPT_OF_SCHEDULE, (schedule_serial, limit))]


def any_of_schedule(tx: Tx, schedule_serial: int) -> bool:
    """Return whether a job of a schedule is left."""
    return tx.row(_ANY_OF_SCHEDULE, (schedule_serial,)) is not None


def insert(tx: Tx, new: Job) -> int:
    """Store a new job and return its serial."""
    return tx.execute(_INSERT, _values(new)).lastrowid or 0


def update(tx: Tx, changed: Job) -> None:
    tx.execute(_UPDATE, (*_values(changed), changed.serial))


def delete(tx: Tx, serial: int) -> None:
    tx.execute(DELETE, (serial,))


def _values(job: Job) -> tuple[Any, ...]:
    return (
        job.id,
        job.definition.pool_id,
        encode(job.definition),
        ticks(job.created_at),
        ticks(job.modified_at),
        job.state,
        ticks(job.state_at),
        job.previous_state,
        ticks_or_none(job.previous_state_at),
        ticks_or_none(job.started_at),
        ticks_or_none(job.ended_at),
        job.terminate_reason,
        job.disable_option,
        job.schedule_serial,
    )
