"""Job schedules in rows."""

from __future__ import annotations

from typing import Final

from shoal_controller.core.jobschedule import (
    JobSchedule,
    JobScheduleDefinition,
    JobScheduleState,
)
from shoal_controller.store.columns import ticks_or_none
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

GET: Final = "SELECT * FROM job_schedules WHERE id = ?"
AT_WORK: Final = (
    "SELECT * FROM job_schedules WHERE state IN ('active', 'terminating', 'deleting')"
    " ORDER BY state = 'active', serial"
)
"""Those that end first: a full disk takes nothing new."""
COUNT_ACTIVE: Final = "SELECT count(*) FROM job_schedules WHERE state != 'completed'"
_TABLE: Final = table(
    "job_schedules",
    JobSchedule,
    *plain("id", "job_count"),
    nested("definition", JobScheduleDefinition),
    derived("do_not_run_until", lambda one: ticks_or_none(one.definition.timing.do_not_run_until)),
    derived("do_not_run_after", lambda one: ticks_or_none(one.definition.timing.do_not_run_after)),
    *(moment("created_at"), moment("modified_at")),
    *(choice("state", JobScheduleState), moment("state_at")),
    *(choice_or_none("previous_state", JobScheduleState), moment_or_none("previous_state_at")),
    *(moment_or_none("passed_at"), moment_or_none("ended_at")),
)
job_schedule = _TABLE.record
by_serial = _TABLE.by_serial
insert = _TABLE.insert
update = _TABLE.update
delete = _TABLE.delete


def get(tx: Tx, schedule_id: str) -> JobSchedule | None:
    """Return the job schedule of that id, whatever its case, or None."""
    return _TABLE.one(tx, GET, (schedule_id,))
