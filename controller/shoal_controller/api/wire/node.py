"""Nodes on the wire, and how many of them are in which state."""

from __future__ import annotations

from collections import Counter
from typing import Final

from shoal_controller.api.wire.common import (
    read_url,
    read_user_name,
    write_failure,
    write_start_task,
)
from shoal_controller.api.wire.table import Document, Property, Structure, written_pairs
from shoal_controller.api.wire.task import write_execution
from shoal_controller.api.wire.values import boolean, instant, one_of, text, timestamp
from shoal_controller.core.errors import invalid_property
from shoal_controller.core.node import NodeState, StartTaskInfo
from shoal_controller.core.pool import DeallocationOption, Pool
from shoal_controller.operations.logs import LogsWanted
from shoal_controller.operations.nodes import NodeView

_YOUNG: Final = (NodeState.CREATING, NodeState.STARTING)


def write_node(view: NodeView, pool: Pool, base: str) -> Document:
    """Return a node as users see it, with what only older api-versions show."""
    node = view.node
    document: Document = {
        "id": node.id,
        "url": f"{base}/pools/{node.pool_id}/nodes/{node.id}",
        "state": view.state,
        "schedulingState": node.scheduling_state,
        "stateTransitionTime": timestamp(view.state_at),
    }
    if node.booted_at is not None:
        document["lastBootTime"] = timestamp(node.booted_at)
    document |= {
        "allocationTime": timestamp(node.allocated_at),
        "ipAddress": node.ip_address,
        "affinityId": f"TVM:{node.id}",
        "vmSize": node.vm_size,
        "totalTasksRun": node.total_tasks_run,
        "totalTasksSucceeded": node.total_tasks_succeeded,
        "runningTasksCount": view.running_count,
        "runningTaskSlotsCount": view.running_slots,
    }
    if view.recent:
        document["recentTasks"] = [
            {
                "taskUrl": f"{base}/jobs/{job_id}/tasks/{task.id}",
                "jobId": job_id,
                "taskId": task.id,
                "taskState": task.state,
                "executionInfo": write_execution(task),
            }
            for job_id, task in view.recent
        ]
    if node.start_task is not None:
        document["startTask"] = write_start_task(node.start_task)
    if node.start_task_info is not None:
        document["startTaskInfo"] = write_start_task_info(node.start_task_info)
    if node.state not in _YOUNG:
        document["certificateReferences"] = []
    document["isDedicated"] = node.is_dedicated
    document["endpointConfiguration"] = {"inboundEndpoints": []}
    if node.agent_updated_at is not None:
        document["nodeAgentInfo"] = {
            "lastUpdateTime": timestamp(node.agent_updated_at),
            "version": node.agent_version,
        }
    machine = pool.definition.carried.get("virtualMachineConfiguration", {})
    document["virtualMachineInfo"] = {"imageReference": machine.get("imageReference", {})}
    if node.errors:
        document["errors"] = [
            {
                "code": error.code,
                "message": error.message,
                "errorDetails": written_pairs(error.details),
            }
            for error in node.errors
        ]
    return document


def write_start_task_info(info: StartTaskInfo) -> Document:
    """Return where a start task stands."""
    document: Document = {
        "state": "running" if info.is_running else "completed",
        "startTime": timestamp(info.started_at),
    }
    if info.exit is not None:
        document["endTime"] = timestamp(info.exit.ended_at)
        if info.exit.exit_code is not None:
            document["exitCode"] = info.exit.exit_code
        if info.exit.failure is not None:
            document["failureInfo"] = write_failure(info.exit.failure)
    document["retryCount"] = info.retry_count
    if info.last_retry_at is not None:
        document["lastRetryTime"] = timestamp(info.last_retry_at)
    if info.exit is not None:
        document["result"] = "success" if info.exit.failure is None else "failure"
    return document


# --- counts ---------------------------------------------------------------------------------------

_COUNTED: Final = {
    NodeState.CREATING: "creating",
    NodeState.IDLE: "idle",
    NodeState.LEAVING_POOL: "leavingPool",
    NodeState.OFFLINE: "offline",
    NodeState.REBOOTING: "rebooting",
    NodeState.REIMAGING: "reimaging",
    NodeState.RUNNING: "running",
    NodeState.STARTING: "starting",
    NodeState.START_TASK_FAILED: "startTaskFailed",
    NodeState.UNUSABLE: "unusable",
    NodeState.UNKNOWN: "unknown",
    NodeState.WAITING_FOR_START_TASK: "waitingForStartTask",
    NodeState.DEALLOCATING: "deallocating",
    NodeState.DEALLOCATED: "deallocated",
}
_NEVER_COUNTED: Final = ("preempted", "upgradingOS")


def write_counts(pool_id: str, counts: Counter[tuple[bool, NodeState]]) -> Document:
    """Return how many nodes of a pool, dedicated (True) or not, are in which state."""
    return {
        "poolId": pool_id,
        "dedicated": _write_count(counts, is_dedicated=True),
        "lowPriority": _write_count(counts, is_dedicated=False),
    }


def _write_count(counts: Counter[tuple[bool, NodeState]], *, is_dedicated: bool) -> Document:
    shown = {name: counts[is_dedicated, state] for state, name in _COUNTED.items()}
    return shown | dict.fromkeys(_NEVER_COUNTED, 0) | {"total": sum(shown.values())}


# --- users of nodes -------------------------------------------------------------------------------

_UPDATABLE: Final = (
    Property("password", "password", text),
    Property("expiryTime", "expires_at", instant),
    Property("sshPublicKey", "ssh_public_key", text),
)
_USER: Final = Structure(
    (
        Property("name", "name", read_user_name, is_required=True),
        Property("isAdmin", "is_admin", boolean),
        *_UPDATABLE,
    )
)
_USER_UPDATE: Final = Structure(_UPDATABLE)


def check_user(document: Document) -> None:
    """Raise Refused unless a document describes a user to create."""
    _USER.read(document, "user")


def check_user_update(document: Document) -> None:
    """Raise Refused unless a document says what a user is to become."""
    _USER_UPDATE.read(document, "user")


# --- logs -----------------------------------------------------------------------------------------

_LOGS: Final = Structure(
    (
        Property("containerUrl", "container_url", read_url, is_required=True),
        Property("startTime", "begin", instant, is_required=True),
        Property("endTime", "end", instant),
    ),
    not_built=frozenset({"identityReference"}),
)


def read_logs(document: Document) -> LogsWanted:
    """Return which logs to upload, and where to."""
    wanted = LogsWanted(**_LOGS.read(document, "body"))
    if wanted.end is not None and wanted.end < wanted.begin:
        raise invalid_property("endTime", document["endTime"], "It is before startTime.")
    return wanted


# --- actions --------------------------------------------------------------------------------------


def read_option(document: Document, name: str, *, keeps_data: bool) -> DeallocationOption:
    """Return what is to become of the tasks on a node; requeue where nothing is said.

    keeps_data  `retaineddata` may be asked for
    """
    structure = Structure((Property(name, "option", one_of(DeallocationOption)),))
    option = structure.read(document, "body").get("option", DeallocationOption.REQUEUE)
    if option == DeallocationOption.RETAINED_DATA and not keeps_data:
        raise invalid_property(name, option, "It must be requeue, terminate or taskcompletion.")
    return option
