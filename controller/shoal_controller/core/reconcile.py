"""A pool's size: what it should have against what it has, and what to do about the difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from shoal_controller.core.account import Quotas
from shoal_controller.core.node import Node, NodeState
from shoal_controller.core.pool import AllocationState, Pool, PoolState, ResizeError

_FIRST_TO_GO: Final = frozenset(
    {
        NodeState.UNUSABLE,
        NodeState.START_TASK_FAILED,
        NodeState.UNKNOWN,
        NodeState.CREATING,
        NodeState.STARTING,
        NodeState.WAITING_FOR_START_TASK,
    }
)


@dataclass(frozen=True, slots=True)
class Resize:
    """What a pool's size needs now.

    create      how many nodes to add, dedicated and low-priority
    leave       nodes that are to leave
    settle      the change of size is over, with these errors
    is_gone     the pool is being deleted and has no node left
    """

    create: tuple[int, int] = (0, 0)
    leave: tuple[Node, ...] = ()
    settle: tuple[ResizeError, ...] | None = None
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class _Kind:
    is_dedicated: bool
    target: int
    staying: list[Node] = field(default_factory=list[Node])


def resize(
    pool: Pool,
    nodes: Sequence[Node],
    cores_in_use: tuple[int, int],
    cores_per_node: int,
    quotas: Quotas,
    used_slots: Callable[[Node], int],
    now: datetime,
) -> Resize:
    """Return what to do about a pool's size; decide only.

    nodes         all of the pool, leaving ones included
    cores_in_use  of the account, dedicated and low-priority, this pool's nodes included
    used_slots    how busy a node is: the least busy leave first (semantics 2.4)
    """
    leaving = [node for node in nodes if node.state == NodeState.LEAVING_POOL]
    if pool.state == PoolState.DELETING:
        staying = tuple(node for node in nodes if node.state != NodeState.LEAVING_POOL)
        return Resize(leave=staying, is_gone=not nodes)
    if pool.allocation_state == AllocationState.STEADY:
        return Resize()
    kinds = [_Kind(True, pool.target_dedicated), _Kind(False, pool.target_low_priority)]
    for node in nodes:
        if node.state != NodeState.LEAVING_POOL:
            kinds[0 if node.is_dedicated else 1].staying.append(node)
    if pool.allocation_state == AllocationState.STOPPING:
        return Resize(settle=tuple(_stopped(kind) for kind in kinds if _differs(kind)))
    if pool.resize_started_at and now - pool.resize_started_at > pool.resize_timeout:
        if leaving or any(_differs(kind) for kind in kinds):
            return Resize(settle=(_TIMED_OUT,))
        return Resize(settle=())
    create: list[int] = []
    leave: list[Node] = []
    errors: list[ResizeError] = []
    cores_max = (quotas.dedicated_core_count, quotas.low_priority_core_count)
    for kind, in_use, quota in zip(kinds, cores_in_use, cores_max, strict=True):
        wanted = kind.target - len(kind.staying)
        room = max(0, (quota - in_use) // cores_per_node)
        create.append(max(0, min(wanted, room)))
        if wanted > room:
            errors.append(_quota_reached(kind, quota))
        leave += sorted(kind.staying, key=lambda node: _leaves_first(node, used_slots))[
            : max(0, -wanted)
        ]
    if leave or any(create) or leaving or not all(_is_obtained(node) for node in nodes):
        return Resize(create=(create[0], create[1]), leave=tuple(leave))
    return Resize(settle=tuple(errors))


def _differs(kind: _Kind) -> bool:
    return len(kind.staying) != kind.target


def _is_obtained(node: Node) -> bool:
    return bool(node.provider_state) or node.state != NodeState.CREATING


def _leaves_first(node: Node, used_slots: Callable[[Node], int]) -> tuple[int, int, int]:
    used = used_slots(node)
    rank = 0 if node.state in _FIRST_TO_GO else 1 if used == 0 else 2
    return rank, used, node.serial


def _stopped(kind: _Kind) -> ResizeError:
    name = "dedicated" if kind.is_dedicated else "low-priority"
    return ResizeError(
        "ResizeStopped",
        "Desired number of " + name + " nodes could not be allocated as the resize was stopped",
    )


def _quota_reached(kind: _Kind, quota: int) -> ResizeError:
    code = "AccountCoreQuotaReached" if kind.is_dedicated else "AccountLowPriorityCoreQuotaReached"
    return ResizeError(
        code,
        "The specified account has reached its core quota",
        (("Quota", str(quota)), ("TargetNodes", str(kind.target))),
    )


_TIMED_OUT: Final = ResizeError(
    "AllocationTimedout",
    "Desired number of nodes could not be allocated within the resize timeout",
)
