"""A compute node: what is known of it, its states and what may be asked of it.

`idle`, `running` and `offline` are one stored state, READY: which of them users see follows from
the tasks on the node and its scheduling state, so that a task costs no write to its node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from shoal_controller.core.errors import Refused
from shoal_controller.core.pool import DeallocationOption
from shoal_protocol.specs import ExitInfo, FailureInfo, StartTaskSpec


class NodeState(StrEnum):
    """The Batch service's node states."""

    CREATING = "creating"
    STARTING = "starting"
    WAITING_FOR_START_TASK = "waitingforstarttask"
    START_TASK_FAILED = "starttaskfailed"
    IDLE = "idle"
    RUNNING = "running"
    OFFLINE = "offline"
    REBOOTING = "rebooting"
    UNUSABLE = "unusable"
    UNKNOWN = "unknown"
    LEAVING_POOL = "leavingpool"


class SchedulingState(StrEnum):
    """Whether new tasks may be placed on a node."""

    ENABLED = "enabled"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class StartTaskInfo:
    """Where the start task of a node stands."""

    is_running: bool
    started_at: datetime
    retry_count: int = 0
    last_retry_at: datetime | None = None
    exit: ExitInfo | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """A node as stored.

    serial          its number in the account, never used again
    state           IDLE stands for idle, running and offline: see `shown_state`
    key_hash        of the key its agent holds, once it joined; join_token_hash before that
    provider_state  one JSON value that the pool's provider keeps with it
    pending         a reboot or removal that waits for its tasks: the option asked for
    start_task      the definition that it runs, which may be older than the pool's
    """

    serial: int
    id: str
    pool_id: str
    state: NodeState
    state_at: datetime
    allocated_at: datetime
    slots: int
    vm_size: str
    is_dedicated: bool = True
    scheduling_state: SchedulingState = SchedulingState.ENABLED
    boot_id: str = ""
    booted_at: datetime | None = None
    ip_address: str = ""
    agent_version: str = ""
    agent_updated_at: datetime | None = None
    join_token_hash: bytes = b""
    key_hash: bytes = b""
    provider_state: Mapping[str, Any] = field(default_factory=dict[str, Any])
    pending: DeallocationOption | None = None
    start_task: StartTaskSpec | None = None
    start_task_info: StartTaskInfo | None = None
    errors: tuple[FailureInfo, ...] = ()
    total_tasks_run: int = 0
    total_tasks_succeeded: int = 0


REBOOTABLE: Final = frozenset(
    {
        NodeState.IDLE,
        NodeState.UNUSABLE,
        NodeState.START_TASK_FAILED,
        NodeState.WAITING_FOR_START_TASK,
    }
)
"""Stored states in which a reboot may be asked for (semantics 3.3)."""


def moved(node: Node, state: NodeState, now: datetime) -> Node:
    """Return `node` in another state, or as it is when it is there already."""
    return node if node.state == state else replace(node, state=state, state_at=now)


def shown_state(node: Node, running_count: int) -> NodeState:
    """Return the state that users see, given how many job tasks run on the node now."""
    return shown_as(node.state, node.scheduling_state, running_count)


def shown_as(state: NodeState, scheduling_state: SchedulingState, running_count: int) -> NodeState:
    """Return the state that users see of a node of which no more is at hand."""
    if state != NodeState.IDLE:
        return state
    if running_count:
        return NodeState.RUNNING
    return NodeState.OFFLINE if scheduling_state == SchedulingState.DISABLED else NodeState.IDLE


def takes_tasks(node: Node) -> bool:
    """Return whether new tasks may be placed on the node, its slots aside."""
    return (
        node.state == NodeState.IDLE
        and node.scheduling_state == SchedulingState.ENABLED
        and node.pending is None
    )


def check_rebootable(node: Node) -> None:
    """Raise Refused unless a reboot may be asked for.

    One that still waits for its tasks may be asked for again: the new option takes its place.
    """
    if node.state in REBOOTABLE:
        return
    match node.state:
        case NodeState.CREATING:
            raise Refused("NodeBeingCreated")
        case NodeState.STARTING:
            raise Refused("NodeBeingStarted")
        case NodeState.REBOOTING:
            raise Refused("NodeBeingRebooted")
        case _:
            raise Refused(
                "OperationNotValidOnNode",
                Reason=f"Node '{node.id}' is {node.state}: it cannot be rebooted now.",
            )


_BUSY: Final[Mapping[NodeState, str]] = {
    NodeState.CREATING: "NodeBeingCreated",
    NodeState.STARTING: "NodeBeingStarted",
    NodeState.REBOOTING: "NodeBeingRebooted",
    NodeState.UNUSABLE: "NodeStateUnusable",
}


def check_reachable(node: Node) -> None:
    """Raise Refused while a node's agent is not there to be asked for anything."""
    if node.state in (NodeState.CREATING, NodeState.STARTING, NodeState.REBOOTING):
        raise Refused(_BUSY[node.state])


def check_takes_users(state: NodeState) -> None:
    """Raise Refused unless the users of a node that is shown so may be changed (semantics 3.7)."""
    if state not in (NodeState.IDLE, NodeState.RUNNING):
        raise Refused(
            _BUSY.get(state, "OperationNotValidOnNode"),
            Reason=f"The node is {state}; its users can be changed while it is idle or running.",
        )


def disable_scheduling(node: Node) -> Node:
    """Return `node` closed to new tasks; raise Refused if it is already."""
    if node.scheduling_state == SchedulingState.DISABLED:
        raise Refused("NodeAlreadyInTargetSchedulingState")
    return replace(node, scheduling_state=SchedulingState.DISABLED)


def enable_scheduling(node: Node) -> Node:
    """Return `node` open to new tasks; raise Refused if it is already."""
    if node.scheduling_state == SchedulingState.ENABLED:
        raise Refused("NodeAlreadyInTargetSchedulingState")
    return replace(node, scheduling_state=SchedulingState.ENABLED)
