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
    REIMAGING = "reimaging"
    UNUSABLE = "unusable"
    UNKNOWN = "unknown"
    LEAVING_POOL = "leavingpool"
    DEALLOCATING = "deallocating"
    DEALLOCATED = "deallocated"


class SchedulingState(StrEnum):
    """Whether new tasks may be placed on a node."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class NodeAction(StrEnum):
    """What a user wants done with a node as soon as nothing keeps it."""

    REBOOT = "reboot"
    REIMAGE = "reimage"
    DEALLOCATE = "deallocate"
    START = "start"


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
    pending         something that waits for its tasks: the option asked for
    action          what is pending, unless it leaves its pool; kept until the next one
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
    action: NodeAction = NodeAction.REBOOT
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
"""Stored states in which a reboot or reimage may be asked for (semantics 3.3)."""
AWAY: Final = frozenset({NodeState.LEAVING_POOL, NodeState.DEALLOCATING, NodeState.DEALLOCATED})
"""Stored states that a node keeps whatever its agent tells: it is on its way out, or stopped."""
RESTARTING: Final = frozenset({NodeState.REBOOTING, NodeState.REIMAGING})


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


def is_being_started(node: Node) -> bool:
    """Return whether its provider has yet to start a node that was deallocated."""
    return node.pending is not None and node.action == NodeAction.START


def takes_tasks(node: Node) -> bool:
    """Return whether new tasks may be placed on the node, its slots aside."""
    return (
        node.state == NodeState.IDLE
        and node.scheduling_state == SchedulingState.ENABLED
        and node.pending is None
    )


def restart(node: Node, action: NodeAction, option: DeallocationOption, now: datetime) -> Node:
    """Return `node` with a reboot, reimage, deallocation or start that is to come.

    option   what becomes of its tasks
    raises   Refused in a state that does not allow it
    A reboot that still waits for its tasks may be asked for again, or a reimage instead; a reimage
    that waits stays one.
    """
    states = _FROM.get(action, REBOOTABLE)
    if node.state not in states:
        if node.state in _BEING:
            raise Refused(_BUSY[node.state])
        allowed = ", ".join(sorted(states))
        raise Refused(
            "OperationNotValidOnNode",
            Reason=f"Node '{node.id}' is {node.state}: '{action}' needs one of {allowed}.",
        )
    if node.pending is not None and node.action == NodeAction.REIMAGE:
        if action == NodeAction.DEALLOCATE:
            raise Refused(
                "OperationNotValidOnNode",
                Reason=f"Node '{node.id}' waits for its tasks to be reimaged: let that end first.",
            )
        action = NodeAction.REIMAGE
    target = _AT_ONCE.get(action, node.state)
    return replace(moved(node, target, now), pending=option, action=action)


def restarting(node: Node, now: datetime) -> Node:
    """Return `node` as it is while the reboot or reimage that waited is carried out."""
    is_reimage = node.action == NodeAction.REIMAGE
    state = NodeState.REIMAGING if is_reimage else NodeState.REBOOTING
    return moved(replace(node, pending=None), state, now)


_FROM: Final[Mapping[NodeAction, frozenset[NodeState]]] = {
    NodeAction.DEALLOCATE: frozenset({NodeState.IDLE}),
    NodeAction.START: frozenset({NodeState.DEALLOCATED}),
}
_AT_ONCE: Final[Mapping[NodeAction, NodeState]] = {
    NodeAction.DEALLOCATE: NodeState.DEALLOCATING,
    NodeAction.START: NodeState.STARTING,
}


_BUSY: Final[Mapping[NodeState, str]] = {
    NodeState.CREATING: "NodeBeingCreated",
    NodeState.STARTING: "NodeBeingStarted",
    NodeState.REBOOTING: "NodeBeingRebooted",
    NodeState.REIMAGING: "NodeBeingReimaged",
    NodeState.UNUSABLE: "NodeStateUnusable",
}
_BEING: Final = _BUSY.keys() - {NodeState.UNUSABLE}


def check_reachable(node: Node) -> None:
    """Raise Refused while a node's agent is not there to be asked for anything."""
    if node.state in _BEING:
        raise Refused(_BUSY[node.state])
    if node.state in (NodeState.DEALLOCATING, NodeState.DEALLOCATED):
        raise Refused("OperationNotValidOnNode", Reason=f"The node is {node.state}: start it.")


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
