"""What a pool's size needs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from shoal_controller.core.account import Quotas
from shoal_controller.core.node import Node, NodeState
from shoal_controller.core.pool import AllocationState, Pool, PoolState
from shoal_controller.core.reconcile import Resize, resize
from tests.builders import NOON, a_node, a_pool

MADE = {"made": True}


def todo(pool: Pool, *nodes: Node, used: dict[str, int] | None = None, **changes: Any) -> Resize:
    arguments: dict[str, Any] = {
        "cores_in_use": (len(nodes), 0),
        "cores_per_node": 1,
        "quotas": Quotas(dedicated_core_count=5),
        "now": NOON + timedelta(minutes=1),
    } | changes
    return resize(pool, nodes, used_slots=lambda node: (used or {}).get(node.id, 0), **arguments)


def resizing(target: int, **changes: Any) -> Pool:
    return a_pool(
        allocation_state=AllocationState.RESIZING,
        target_dedicated=target,
        resize_started_at=NOON,
        **changes,
    )


def nodes(*states: NodeState) -> list[Node]:
    return [
        a_node(serial=n, id=f"n{n}", state=state, provider_state=MADE)
        for n, state in enumerate(states, 1)
    ]


def test_a_steady_pool_needs_nothing() -> None:
    assert todo(a_pool(target_dedicated=3)) == Resize()


def test_missing_nodes_are_made() -> None:
    assert todo(resizing(3)).create == (3, 0)


def test_a_met_target_settles_without_errors() -> None:
    assert todo(resizing(1), *nodes(NodeState.STARTING)).settle == ()


def test_a_node_that_is_not_obtained_yet_keeps_the_pool_resizing() -> None:
    assert todo(resizing(1), a_node(state=NodeState.CREATING)) == Resize()


def test_the_quota_stops_the_pool_short_and_says_so() -> None:
    members = nodes(*[NodeState.IDLE] * 5)
    settle = todo(resizing(7), *members).settle
    assert settle is not None
    assert [error.code for error in settle] == ["AccountCoreQuotaReached"]
    assert todo(resizing(7), *members[:3]).create == (2, 0)


def test_the_unusable_leave_first_then_the_idle_then_the_least_busy() -> None:
    members = nodes(NodeState.IDLE, NodeState.IDLE, NodeState.UNUSABLE, NodeState.IDLE)
    leave = todo(resizing(1), *members, used={"n1": 3, "n4": 1}).leave
    assert [node.id for node in leave] == ["n3", "n2", "n4"]


def test_a_pool_waits_for_nodes_that_are_leaving() -> None:
    assert todo(resizing(0), *nodes(NodeState.LEAVING_POOL)).settle is None


def test_a_resize_that_takes_too_long_settles_with_an_error() -> None:
    late = {"now": NOON + timedelta(hours=1)}
    settle = todo(resizing(1), a_node(state=NodeState.CREATING), **late).settle
    assert settle == ()  # the target is met, only slowly
    settle = todo(resizing(2), a_node(state=NodeState.CREATING), **late).settle
    assert settle is not None
    assert [error.code for error in settle] == ["AllocationTimedout"]


def test_a_stopped_resize_settles_with_one_error_for_each_unmet_target() -> None:
    pool = a_pool(
        allocation_state=AllocationState.STOPPING, target_dedicated=2, target_low_priority=1
    )
    settle = todo(pool).settle
    assert settle is not None
    assert [error.code for error in settle] == ["ResizeStopped", "ResizeStopped"]


def test_a_deleted_pool_goes_when_its_last_node_is_gone() -> None:
    pool = a_pool(state=PoolState.DELETING, allocation_state=AllocationState.RESIZING)
    members = nodes(NodeState.IDLE, NodeState.LEAVING_POOL)
    assert [node.id for node in todo(pool, *members).leave] == ["n1"]
    assert todo(pool, *members[1:]).is_gone is False
    assert todo(pool).is_gone is True
