"""Tasks on the wire. Reading and writing one is on the hot path: no work that is not needed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from shoal_controller.api.wire.common import (
    read_display_name,
    read_environment,
    read_identity,
    read_output_files,
    read_resource_files,
    write_failure,
    write_identity,
    write_output_files,
    write_resource_files,
)
from shoal_controller.api.wire.statistics import expanded_url, write_task_stats
from shoal_controller.api.wire.table import (
    Document,
    Property,
    Structure,
    list_of,
    written_pairs,
)
from shoal_controller.api.wire.values import (
    duration,
    filled_text,
    integer,
    integer_in,
    one_of,
    text,
    timespan,
    timestamp,
)
from shoal_controller.core.errors import Refused, invalid_property
from shoal_controller.core.ids import check_id, etag, job_directory
from shoal_controller.core.job import Job
from shoal_controller.core.task import Task, TaskConstraints, TaskDefinition, TaskState, TokenAccess
from shoal_controller.operations.tasks import NewTask

TASKS_PER_REQUEST_MAX: Final = 100
RETRY_COUNT_MAX: Final = 2**31 - 1
SLOTS_MAX: Final = 256


def read_retry_count(value: Any, name: str) -> int:
    """Return how often a nonzero exit is tried again; -1 is without limit."""
    count = integer(value, name)
    if not -1 <= count <= RETRY_COUNT_MAX:
        raise invalid_constraint(name, value, "It must be -1, 0 or greater.")
    return count


def invalid_constraint(name: str, value: Any, reason: str) -> Refused:
    """Return the refusal of a constraint that is out of range."""
    return Refused(
        "InvalidConstraintValue",
        PropertyName=name,
        PropertyValue=str(value)[:256],
        Reason=reason,
    )


_CONSTRAINTS: Final = Structure(
    (
        Property("maxWallClockTime", "max_wall_clock_time", duration),
        Property("retentionTime", "retention_time", duration),
        Property("maxTaskRetryCount", "max_task_retry_count", read_retry_count),
    )
)


def read_constraints(value: Any, name: str) -> TaskConstraints:
    """Return a task's constraints, absent ones at their defaults."""
    return TaskConstraints(**_CONSTRAINTS.read(value, name))


_AFFINITY: Final = Structure((Property("affinityId", "affinity_id", text, is_required=True),))


def _read_affinity(value: Any, name: str) -> str:
    return _AFFINITY.read(value, name)["affinity_id"]


_TOKEN: Final = Structure((Property("access", "access", list_of(one_of(TokenAccess))),))


def read_token_settings(value: Any, name: str) -> tuple[TokenAccess, ...]:
    """Return what a task's token is to reach, each once."""
    return tuple(dict.fromkeys(_TOKEN.read(value, name).get("access", ())))


def write_token_settings(access: tuple[TokenAccess, ...]) -> Document:
    """Return the settings of a token; the token itself is in the task's environment alone."""
    return {"access": list(access)} if access else {}


SERVICE_FILLED: Final = frozenset(
    {
        *("url", "eTag", "lastModified", "creationTime", "state", "stateTransitionTime"),
        *("previousState", "previousStateTransitionTime", "executionInfo", "nodeInfo", "stats"),
    }
)

_TASK: Final = Structure(
    (
        Property("id", "id", check_id, is_required=True),
        Property("commandLine", "command_line", filled_text, is_required=True),
        Property("displayName", "display_name", read_display_name),
        Property("resourceFiles", "resource_files", read_resource_files),
        Property("outputFiles", "output_files", read_output_files),
        Property("environmentSettings", "environment", read_environment),
        Property("affinityInfo", "affinity_id", _read_affinity),
        Property("constraints", "constraints", read_constraints),
        Property("requiredSlots", "required_slots", integer_in(1, SLOTS_MAX)),
        Property("userIdentity", "user", read_identity),
        Property("authenticationTokenSettings", "token_access", read_token_settings),
    ),
    not_built=frozenset(
        {
            *("applicationPackageReferences", "containerSettings"),
            *("dependsOn", "exitConditions", "multiInstanceSettings"),
        }
    ),
    ignored=SERVICE_FILLED,
)


def read_task(document: Any) -> NewTask:
    """Return the task that a document asks for, or raise Refused."""
    values = _TASK.read(document, "task")
    task_id = values.pop("id")
    return NewTask(task_id, TaskDefinition(**values))


def read_update(document: Document) -> TaskConstraints:
    """Return the constraints that a replacement of a task asks for; omitted ones are reset.

    The 15.x client sends the whole task back, so everything else is let pass unread.
    """
    constraints = document.get("constraints")
    if constraints is None:
        return TaskConstraints()
    return read_constraints(constraints, "constraints")


def read_collection(document: Document) -> list[Any]:
    """Return the documents of the tasks to add, each unread yet."""
    value = document.get("value")
    if type(value) is not list:
        raise invalid_property("value", value, "It must be an array of tasks.")
    if len(value) > TASKS_PER_REQUEST_MAX:
        raise invalid_property(
            "value", len(value), f"A request adds at most {TASKS_PER_REQUEST_MAX} tasks."
        )
    return value


def write_task(task: Task, job_url: str, base: str, stats_at: datetime | None = None) -> Document:
    """Return a task as users see it.

    job_url   of its job, without a trailing slash
    base      scheme and host for other URLs
    stats_at  until when its statistics are wanted; None: they are not
    """
    definition = task.definition
    document: Document = {
        "id": task.id,
        "url": f"{job_url}/tasks/{task.id}",
        "eTag": etag(task.modified_at),
        "creationTime": timestamp(task.created_at),
        "lastModified": timestamp(task.modified_at),
        "state": task.state,
        "stateTransitionTime": timestamp(task.state_at),
    }
    if task.previous_state is not None and task.previous_state_at is not None:
        document["previousState"] = task.previous_state
        document["previousStateTransitionTime"] = timestamp(task.previous_state_at)
    if definition.display_name is not None:
        document["displayName"] = definition.display_name
    document["commandLine"] = definition.command_line
    if definition.resource_files:
        document["resourceFiles"] = write_resource_files(definition.resource_files)
    if definition.output_files:
        document["outputFiles"] = write_output_files(definition.output_files)
    if definition.environment:
        document["environmentSettings"] = written_pairs(definition.environment)
    if definition.affinity_id is not None:
        document["affinityInfo"] = {"affinityId": definition.affinity_id}
    document["userIdentity"] = write_identity(definition.user)
    if definition.token_access is not None:
        document["authenticationTokenSettings"] = write_token_settings(definition.token_access)
    constraints = definition.constraints
    document["constraints"] = {
        "maxWallClockTime": timespan(constraints.max_wall_clock_time),
        "retentionTime": timespan(constraints.retention_time),
        "maxTaskRetryCount": constraints.max_task_retry_count or 0,
    }
    document["requiredSlots"] = definition.required_slots
    document["executionInfo"] = write_execution(task)
    node = write_node_info(task, job_url, base)
    if node is not None:
        document["nodeInfo"] = node
    if stats_at is not None and task.started_at is not None:
        document["stats"] = write_task_stats(task, stats_at, expanded_url(document["url"]))
    return document


def write_execution(task: Task) -> Document:
    """Return how the current, or last, run of a task went."""
    info: Document = {}
    if task.started_at is not None:
        info["startTime"] = timestamp(task.started_at)
    if task.ended_at is not None:
        info["endTime"] = timestamp(task.ended_at)
    if task.exit_code is not None:
        info["exitCode"] = task.exit_code
    if task.failure is not None:
        info["failureInfo"] = write_failure(task.failure)
    if task.result is not None:
        info["result"] = task.result
    info["retryCount"] = task.retry_count
    if task.last_retry_at is not None:
        info["lastRetryTime"] = timestamp(task.last_retry_at)
    info["requeueCount"] = task.requeue_count
    if task.last_requeue_at is not None:
        info["lastRequeueTime"] = timestamp(task.last_requeue_at)
    return info


def write_node_info(task: Task, job_url: str, base: str) -> Document | None:
    """Return where a task runs or ran; None while it has never been on a node.

    A task that was ended before it ran has an empty one, as recorded.
    """
    if task.node_id is None or (task.started_at is None and task.state == TaskState.ACTIVE):
        return {} if task.state == TaskState.COMPLETED else None
    node_url = f"{base}/pools/{task.pool_id}/nodes/{task.node_id}"
    document: Document = {
        "affinityId": f"TVM:{task.node_id}",
        "nodeUrl": node_url,
        "poolId": task.pool_id,
        "nodeId": task.node_id,
    }
    if task.state == TaskState.PREPARING:
        return document  # its directory is not made yet
    directory = f"{job_directory(job_url.rpartition('/')[2])}/{task.id}"
    return document | {
        "taskRootDirectory": directory,
        "taskRootDirectoryUrl": f"{node_url}/files/{directory}",
    }


def added_writer(at: datetime, job_url: str) -> Callable[[str], Document]:
    """Return what writes the result of a task that was added with a collection, by the task's id.

    at   when they all were created
    """
    same = {"status": "success", "eTag": etag(at), "lastModified": timestamp(at)}

    def write(task_id: str) -> Document:
        return same | {"taskId": task_id, "location": f"{job_url}/tasks/{task_id}"}

    return write


def write_not_added(task_id: str, error: Document, job_url: str) -> Document:
    """Return the result of a task that was refused.

    The status is in lower case: the one spelling that every generation of clients understands.
    """
    return {
        "error@odata.navigationLinkUrl": f"{job_url}/tasks/{task_id}/error",
        "error": error,
        "status": "clienterror",
        "taskId": task_id,
    }


def write_job_url(base: str, job: Job) -> str:
    """Return the URL of a job."""
    return f"{base}/jobs/{job.id}"
