"""Job schedules on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from shoal_controller.api.wire.common import read_display_name, read_metadata
from shoal_controller.api.wire.job import read_specification, write_specification
from shoal_controller.api.wire.statistics import expanded_url, write_task_totals
from shoal_controller.api.wire.table import (
    Document,
    Property,
    Structure,
    written_pairs,
)
from shoal_controller.api.wire.task import SERVICE_FILLED
from shoal_controller.api.wire.values import duration, instant, timespan, timestamp
from shoal_controller.core.errors import invalid_property
from shoal_controller.core.ids import check_id, etag
from shoal_controller.core.jobschedule import JobScheduleDefinition
from shoal_controller.core.recurrence import INTERVAL_MIN, Timing
from shoal_controller.operations.jobschedules import JobScheduleView
from shoal_controller.operations.statistics import TaskStatistics


def _read_span(value: Any, name: str) -> timedelta | None:
    span = duration(value, name)
    if span is not None and span < INTERVAL_MIN:
        raise invalid_property(name, value, "It must be at least 1 minute.")
    return span


_TIMING: Final = Structure(
    (
        Property("doNotRunUntil", "do_not_run_until", instant, timestamp),
        Property("doNotRunAfter", "do_not_run_after", instant, timestamp),
        Property("startWindow", "start_window", _read_span, timespan),
        Property("recurrenceInterval", "interval", _read_span, timespan),
    )
)


def _read_timing(value: Any, name: str) -> Timing:
    timing = Timing(**_TIMING.read(value, name))
    until, after = timing.do_not_run_until, timing.do_not_run_after
    if until is not None and after is not None and after <= until:
        raise invalid_property("doNotRunAfter", value["doNotRunAfter"], "Not after doNotRunUntil.")
    return timing


_SPECIFICATION: Final = Property(
    "jobSpecification", "specification", read_specification, is_required=True
)
_METADATA: Final = Property("metadata", "metadata", read_metadata)
_CREATE: Final = Structure(
    (
        Property("id", "id", check_id, is_required=True),
        Property("schedule", "timing", _read_timing, is_required=True),
        Property("displayName", "display_name", read_display_name),
        _SPECIFICATION,
        _METADATA,
    ),
    ignored=SERVICE_FILLED,
)
_UPDATABLE: Final = (Property("schedule", "timing", _read_timing), _SPECIFICATION, _METADATA)
_PATCH: Final = Structure(_UPDATABLE, ignored=SERVICE_FILLED)
# The 15.x client sends back the whole schedule: what cannot change is let pass.
_REPLACE: Final = Structure(_UPDATABLE, ignored=SERVICE_FILLED | {"id", "displayName"})


def read_job_schedule(document: Document) -> tuple[str, JobScheduleDefinition]:
    """Return id and definition of the schedule that a document asks for, or raise Refused."""
    values = _CREATE.read(document, "jobSchedule")
    return values.pop("id"), JobScheduleDefinition(**values)


def read_patch(document: Document) -> Mapping[str, Any]:
    """Return the attributes of a schedule's definition that a PATCH gives."""
    return _PATCH.read(document, "jobSchedule", is_partial=True)


def read_replacement(document: Document) -> Mapping[str, Any]:
    """Return every attribute that can change, those a PUT leaves out at their defaults."""
    return {"timing": Timing(), "metadata": (), **_REPLACE.read(document, "jobSchedule")}


def write_job_schedule(
    view: JobScheduleView, base: str, stats: TaskStatistics | None = None
) -> Document:
    """Return a job schedule as users see it; `base` is scheme and host."""
    schedule = view.schedule
    definition = schedule.definition
    document: Document = {"id": schedule.id}
    if definition.display_name is not None:
        document["displayName"] = definition.display_name
    document |= {
        "url": f"{base}/jobschedules/{schedule.id}",
        "eTag": etag(schedule.modified_at),
        "lastModified": timestamp(schedule.modified_at),
        "creationTime": timestamp(schedule.created_at),
        "state": schedule.state,
        "stateTransitionTime": timestamp(schedule.state_at),
    }
    if schedule.previous_state is not None and schedule.previous_state_at is not None:
        document["previousState"] = schedule.previous_state
        document["previousStateTransitionTime"] = timestamp(schedule.previous_state_at)
    document["schedule"] = _TIMING.write(definition.timing)
    document["jobSpecification"] = write_specification(definition.specification)
    document["executionInfo"] = _write_execution(view, base)
    if definition.metadata:
        document["metadata"] = written_pairs(definition.metadata)
    if stats is not None:
        document["stats"] = write_task_totals(stats, expanded_url(document["url"]))
    return document


def _write_execution(view: JobScheduleView, base: str) -> Document:
    info: Document = {}
    if view.next_run_at is not None:
        info["nextRunTime"] = timestamp(view.next_run_at)
    job_id = view.schedule.recent_job_id
    if job_id is not None:
        info["recentJob"] = {"url": f"{base}/jobs/{job_id}", "id": job_id}
    if view.schedule.ended_at is not None:
        info["endTime"] = timestamp(view.schedule.ended_at)
    return info
