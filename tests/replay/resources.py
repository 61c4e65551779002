"""Pools, nodes and applications as recorded documents show them: made through the API, and through
the store for what agents and loops would have done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from shoal_controller.api.wire.values import instant
from shoal_controller.core.application import Application, Package, PackageState
from shoal_controller.core.changes import NodePut, PoolPut
from shoal_controller.core.node import Node, NodeState, SchedulingState
from shoal_controller.core.pool import AllocationState, Pool, ResizeError
from shoal_controller.store import applications, nodes, pools
from shoal_controller.store.database import Tx
from tests.conformance.conftest import MACHINE, pool_body
from tests.replay.documents import request_for
from tests.replay.recorded import Document
from tests.replay.stage import Stage

TIME: Final = datetime(2026, 5, 1, 11, tzinfo=UTC)
"""When something happened, where that is not recorded."""


def time_of(value: Any) -> datetime | None:
    """Return a recorded time."""
    return None if value is None else instant(value, "time")


# --- pools ----------------------------------------------------------------------------------------


async def shown_pool(stage: Stage, shown: Document) -> None:
    """Let there be a pool that is shown so, with as many nodes as it has."""
    asked = request_for("BatchPoolCreateOptions", shown, stage.version)
    least = pool_body()
    if "cloudServiceConfiguration" in asked:
        del least["virtualMachineConfiguration"]
    await stage.make("/pools", least | asked)
    counts = [(shown.get(name, 0), name) for name in _CURRENT]
    for name in (f"{kind}-{number}" for count, kind in counts for number in range(count)):
        told = {"id": name, "state": "idle", "isDedicated": "LowPriority" not in name}
        await node(stage, shown["id"], told)
    if "allocationState" in shown:
        await put_pool(stage, shown["id"], lambda found: _as_shown(found, shown))


_CURRENT: Final = ("currentDedicated", "currentDedicatedNodes", "currentLowPriorityNodes")


def _as_shown(found: Pool, shown: Document) -> Pool:
    errors = [
        ResizeError(error["code"], error["message"]) for error in shown.get("resizeErrors", ())
    ]
    return replace(
        found,
        allocation_state=AllocationState(shown["allocationState"]),
        target_dedicated=shown.get("targetDedicated", shown.get("targetDedicatedNodes", 0)),
        target_low_priority=shown.get("targetLowPriorityNodes", 0),
        resize_errors=tuple(errors),
    )


async def put_pool(stage: Stage, pool_id: str, change: Callable[[Pool], Pool]) -> None:
    """Change a pool as its loop would."""

    def decide(tx: Tx) -> None:
        found = pools.get(tx, pool_id)
        assert found is not None
        after = change(found)
        pools.update(tx, after)
        tx.changes.append(PoolPut(after))

    await stage.ctx.settle(decide)


async def pool(stage: Stage, pool_id: str, **more: Any) -> None:
    """Let there be a pool of which nothing is known, at its size; once, if asked for again."""
    view = stage.ctx.index.pools.get(pool_id.lower())
    if view is not None and view.exists:
        return
    await stage.make("/pools", pool_body(pool_id) | more)
    steady = AllocationState.STEADY
    await put_pool(stage, pool_id, lambda found: replace(found, allocation_state=steady))


# --- nodes ----------------------------------------------------------------------------------------

_READY: Final = ("idle", "running", "offline")
_AGENTS: Final = {"windowsserver": "batch.node.windows amd64"}


async def pool_of_nodes(stage: Stage, pool_id: str, all_shown: Sequence[Document]) -> None:
    """Let there be the pool of nodes that are shown so."""
    image = all_shown[0].get("virtualMachineInfo", {}).get("imageReference") if all_shown else None
    if image is None:
        await pool(stage, pool_id)
        return
    named = {name: value for name, value in image.items() if name != "exactVersion"}
    agent = _AGENTS.get(image["offer"], "batch.node.ubuntu 18.04")
    machine = {**MACHINE, "imageReference": named, "nodeAgentSKUId": agent}
    await pool(stage, pool_id, virtualMachineConfiguration=machine)


async def node(stage: Stage, pool_id: str, shown: Document) -> None:
    """Let a pool have a node that is shown so, its tasks aside."""
    agent = shown.get("nodeAgentInfo", {})
    new = Node(
        serial=0,
        id=shown["id"],
        pool_id=pool_id,
        state=NodeState.IDLE if shown["state"] in _READY else NodeState(shown["state"]),
        state_at=time_of(shown.get("stateTransitionTime")) or TIME,
        allocated_at=time_of(shown.get("allocationTime")) or TIME,
        slots=1,
        vm_size=shown.get("vmSize", "standard_d2_v2"),
        is_dedicated=shown.get("isDedicated", True),
        scheduling_state=SchedulingState(shown.get("schedulingState", "enabled")),
        booted_at=time_of(shown.get("lastBootTime")),
        ip_address=shown.get("ipAddress", ""),
        agent_version=agent.get("version", ""),
        agent_updated_at=time_of(agent.get("lastUpdateTime")),
        provider_state={"made": True},
        total_tasks_run=shown.get("totalTasksRun", 0),
        total_tasks_succeeded=shown.get("totalTasksSucceeded", 0),
    )

    def decide(tx: Tx) -> None:
        made = replace(new, serial=nodes.insert(tx, new))
        tx.changes.append(NodePut(made))

    await stage.ctx.settle(decide)


# --- applications ---------------------------------------------------------------------------------


async def application(stage: Stage, shown: Document) -> None:
    """Let there be an application with packages."""

    def decide(tx: Tx) -> None:
        new = Application(0, shown["id"], "app", TIME, TIME)
        serial = applications.insert(tx, new)
        for version in shown["versions"]:
            package = Package(
                0, serial, version, "zip", TIME, TIME, PackageState.ACTIVE, "zip", TIME
            )
            applications.insert_package(tx, package)

    await stage.ctx.settle(decide)
