"""Jobs in rows."""

from __future__ import annotations

from typing import Final

from shoal_controller.core.job import DisableOption, Job, JobDefinition, JobState
from shoal_controller.store.database import Tx
from shoal_controller.store.table import (
    choice,
    choice_or_none,
    derived,
    moment,
    moment_or_none,
    nested,
    plain,
    table,
)

GET: Final = "SELECT * FROM jobs WHERE id = ?"
ALL: Final = "SELECT * FROM jobs ORDER BY serial"
COUNT_ACTIVE: Final = "SELECT count(*) FROM jobs WHERE state != 'completed'"
_LIVE_OF_SCHEDULE: Final = (
    "SELECT * FROM jobs WHERE schedule_serial = ? AND state != 'completed' ORDER BY serial"
)
_KEPT_OF_SCHEDULE: Final = (
    "SELECT * FROM jobs WHERE schedule_serial = ? AND state != 'deleting' ORDER BY serial LIMIT ?"
)
_ANY_OF_SCHEDULE: Final = "SELECT 1 FROM jobs WHERE schedule_serial = ? LIMIT 1"
_TABLE: Final = table(
    "jobs",
    Job,
    *plain("id", "terminate_reason", "schedule_serial"),
    derived("pool_id", lambda job: job.definition.pool_id),
    nested("definition", JobDefinition),
    *(moment("created_at"), moment("modified_at")),
    *(choice("state", JobState), moment("state_at")),
    *(choice_or_none("previous_state", JobState), moment_or_none("previous_state_at")),
    *(moment_or_none("started_at"), moment_or_none("ended_at")),
    choice_or_none("disable_option", DisableOption),
)
job = _TABLE.record
by_serial = _TABLE.by_serial
insert = _TABLE.insert
update = _TABLE.update
delete = _TABLE.delete


def get(tx: Tx, job_id: str) -> Job | None:
    """Return the job of that id, whatever its case, or None."""
    return _TABLE.one(tx, GET, (job_id,))


def live_of_schedule(tx: Tx, schedule_serial: int) -> list[Job]:
    """Return the jobs of a schedule that are not completed; those being deleted are among them."""
    return _TABLE.all(tx, _LIVE_OF_SCHEDULE, (schedule_serial,))


def kept_of_schedule(tx: Tx, schedule_serial: int, limit: int) -> list[Job]:
    """Return some jobs of a schedule that are not being deleted."""
    return _TABLE.all(tx, _KEPT_OF_SCHEDULE, (schedule_serial, limit))


def any_of_schedule(tx: Tx, schedule_serial: int) -> bool:
    """Return whether a job of a schedule is left."""
    return tx.row(_ANY_OF_SCHEDULE, (schedule_serial,)) is not None
