"""Jobs on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shoal_controller.api.wire.carried import check_carried
from shoal_controller.api.wire.common import read_display_name, read_environment, read_metadata
from shoal_controller.api.wire.statistics import expanded_url, write_task_totals
from shoal_controller.api.wire.table import Document, Property, Structure, written_pairs
from shoal_controller.api.wire.task import SERVICE_FILLED, read_retry_count
from shoal_controller.api.wire.values import (
    boolean,
    duration,
    integer,
    one_of,
    text_up_to,
    timespan,
    timestamp,
)
from shoal_controller.core.errors import Refused, invalid_property, missing_property, not_built
from shoal_controller.core.ids import check_id, etag
from shoal_controller.core.job import (
    PRIORITY_MAX,
    PRIORITY_MIN,
    AllTasksComplete,
    DisableOption,
    Job,
    JobConstraints,
    JobDefinition,
    JobState,
    TaskFailureMode,
)
from shoal_controller.operations.jobs import TaskCounts
from shoal_controller.operations.statistics import TaskStatistics

TERMINATE_REASON_CHARACTERS_MAX: Final = 1024


def _read_priority(value: Any, name: str) -> int:
    priority = integer(value, name)
    if not PRIORITY_MIN <= priority <= PRIORITY_MAX:
        raise Refused(
            "OutOfRangePriority",
            PropertyName=name,
            PropertyValue=str(value),
            Reason=f"It must be in the range {PRIORITY_MIN} to {PRIORITY_MAX}.",
        )
    return priority


def _read_parallel(value: Any, name: str) -> int:
    count = integer(value, name)
    if count != -1 and not 0 < count < 2**31:
        raise invalid_property(name, value, "It must be -1 (no limit) or greater than 0.")
    return count


_CONSTRAINTS: Final = Structure(
    (
        Property("maxWallClockTime", "max_wall_clock_time", duration),
        Property("maxTaskRetryCount", "max_task_retry_count", read_retry_count),
    )
)


def _read_constraints(value: Any, name: str) -> JobConstraints:
    return JobConstraints(**_CONSTRAINTS.read(value, name))


_POOL_INFO: Final = Structure(
    (Property("poolId", "pool_id", check_id),),
    not_built=frozenset({"autoPoolSpecification"}),
)


def _read_pool_info(value: Any, name: str) -> str:
    # An absent poolId with an auto pool is a feature; without one it is a mistake.
    if type(value) is dict and value.get("autoPoolSpecification") is not None:
        if value.get("poolId") is not None:
            raise invalid_property(
                name, "", "Only one of poolId and autoPoolSpecification can be given."
            )
        raise not_built("autoPoolSpecification")
    pool_id = _POOL_INFO.read(value, name).get("pool_id")
    if pool_id is None:
        raise missing_property("poolId")
    return pool_id


_NOT_BUILT: Final = frozenset(
    {"jobManagerTask", "jobPreparationTask", "jobReleaseTask", "usesTaskDependencies"}
)
_UPDATABLE: Final = (
    Property("priority", "priority", _read_priority),
    Property("maxParallelTasks", "max_parallel_tasks", _read_parallel),
    Property("allowTaskPreemption", "allow_task_preemption", boolean),
    Property("constraints", "constraints", _read_constraints),
    Property("onAllTasksComplete", "on_all_tasks_complete", one_of(AllTasksComplete)),
    Property("metadata", "metadata", read_metadata),
)
_FIXED: Final = (
    Property("displayName", "display_name", read_display_name),
    Property("commonEnvironmentSettings", "common_environment", read_environment),
    Property("onTaskFailure", "on_task_failure", one_of(TaskFailureMode)),
)
_NETWORK: Final = Property(
    "networkConfiguration", "network", check_carried("BatchJobNetworkConfiguration")
)
_CREATE: Final = Structure(
    (
        Property("id", "id", check_id, is_required=True),
        Property("poolInfo", "pool_id", _read_pool_info, is_required=True),
        *_UPDATABLE,
        *_FIXED,
        _NETWORK,
    ),
    not_built=_NOT_BUILT,
    ignored=SERVICE_FILLED,
)
_PATCH: Final = Structure(
    (Property("poolInfo", "pool_id", _read_pool_info), *_UPDATABLE, _NETWORK),
    ignored=SERVICE_FILLED,
)
# The 15.x client sends back the whole job: what cannot change is let pass, and stays as it is.
_REPLACE: Final = Structure(
    (Property("poolInfo", "pool_id", _read_pool_info, is_required=True), *_UPDATABLE),
    ignored=SERVICE_FILLED
    | _NOT_BUILT
    | {"id", "networkConfiguration"}
    | {row.name for row in _FIXED},
)


_SPECIFICATION: Final = Structure(
    (
        Property("poolInfo", "pool_id", _read_pool_info, is_required=True),
        *_UPDATABLE,
        *_FIXED,
        _NETWORK,
    ),
    not_built=_NOT_BUILT,
)


def read_job(document: Document) -> tuple[str, JobDefinition]:
    """Return id and definition of the job that a document asks for, or raise Refused."""
    values = _CREATE.read(document, "job")
    return values.pop("id"), _definition(values)


def read_specification(value: Any, name: str) -> JobDefinition:
    """Return what a job schedule makes its jobs of."""
    return _definition(_SPECIFICATION.read(value, name))


def _definition(values: dict[str, Any]) -> JobDefinition:
    network = values.pop("network", None)
    carried = {} if network is None else {"networkConfiguration": network}
    return JobDefinition(**values, carried=carried)


def read_patch(document: Document) -> Mapping[str, Any]:
    """Return the attributes of a job's definition that a PATCH gives."""
    changes = _PATCH.read(document, "job", is_partial=True)
    network = changes.pop("network", None)
    if network is not None:
        changes["carried"] = {"networkConfiguration": network}
    return changes


def read_replacement(document: Document) -> Mapping[str, Any]:
    """Return every attribute that can change, those a PUT leaves out at their defaults."""
    given = _REPLACE.read(document, "job")
    defaults = JobDefinition(given["pool_id"])
    reset = {row.attribute: getattr(defaults, row.attribute) for row in _UPDATABLE}
    return reset | given


_DISABLE: Final = Structure(
    (Property("disableTasks", "option", one_of(DisableOption), is_required=True),)
)
_TERMINATE: Final = Structure(
    (Property("terminateReason", "reason", text_up_to(TERMINATE_REASON_CHARACTERS_MAX)),)
)


def read_disable(document: Document) -> DisableOption:
    """Return what is to become of the running tasks of a job that is disabled."""
    return _DISABLE.read(document, "body")["option"]


def read_terminate(document: Document) -> str | None:
    """Return why a user ends a job, or None."""
    return _TERMINATE.read(document, "body").get("reason") or None


def write_job(job: Job, base: str, stats: TaskStatistics | None = None) -> Document:
    """Return a job as users see it; `base` is scheme and host."""
    definition = job.definition
    document: Document = {"id": job.id}
    if definition.display_name is not None:
        document["displayName"] = definition.display_name
    document |= {
        "url": f"{base}/jobs/{job.id}",
        "eTag": etag(job.modified_at),
        "lastModified": timestamp(job.modified_at),
        "creationTime": timestamp(job.created_at),
        "state": job.state,
        "stateTransitionTime": timestamp(job.state_at),
    }
    if job.previous_state is not None and job.previous_state_at is not None:
        document["previousState"] = job.previous_state
        document["previousStateTransitionTime"] = timestamp(job.previous_state_at)
    document |= _write_definition(definition)
    document["executionInfo"] = _write_execution(job)
    document["onAllTasksComplete"] = definition.on_all_tasks_complete
    document["onTaskFailure"] = definition.on_task_failure
    if stats is not None:
        document["stats"] = write_task_totals(stats, expanded_url(document["url"]))
    return {**document, **definition.carried}


def write_specification(definition: JobDefinition) -> Document:
    """Return what a job schedule makes its jobs of, with what was filled in."""
    document = _write_definition(definition)
    if definition.display_name is not None:
        document["displayName"] = definition.display_name
    document["onAllTasksComplete"] = definition.on_all_tasks_complete
    document["onTaskFailure"] = definition.on_task_failure
    return {**document, **definition.carried}


def _write_definition(definition: JobDefinition) -> Document:
    document: Document = {
        "priority": definition.priority,
        "maxParallelTasks": definition.max_parallel_tasks,
        "usesTaskDependencies": False,
        "allowTaskPreemption": definition.allow_task_preemption,
        "constraints": {
            "maxWallClockTime": timespan(definition.constraints.max_wall_clock_time),
            "maxTaskRetryCount": definition.constraints.max_task_retry_count,
        },
    }
    if definition.common_environment:
        document["commonEnvironmentSettings"] = written_pairs(definition.common_environment)
    document["poolInfo"] = {"poolId": definition.pool_id}
    if definition.metadata:
        document["metadata"] = written_pairs(definition.metadata)
    return document


def _write_execution(job: Job) -> Document:
    info: Document = {}
    if job.started_at is not None:
        info["startTime"] = timestamp(job.started_at)
    if job.ended_at is not None:
        info["endTime"] = timestamp(job.ended_at)
    info["poolId"] = job.definition.pool_id
    if job.state == JobState.COMPLETED and job.terminate_reason is not None:
        info["terminateReason"] = job.terminate_reason
    return info


def write_counts(counts: TaskCounts) -> Document:
    """Return how many tasks of a job stand where, and their slots."""
    return {
        "taskCounts": {
            "active": counts.active,
            "running": counts.running,
            "completed": counts.completed,
            "succeeded": counts.succeeded,
            "failed": counts.failed,
        },
        "taskSlotCounts": {
            "active": counts.active_slots,
            "running": counts.running_slots,
            "completed": counts.completed_slots,
            "succeeded": counts.succeeded_slots,
            "failed": counts.failed_slots,
        },
    }
