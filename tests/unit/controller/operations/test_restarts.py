"""Reboots, reimages, deallocations and starts: when they come, and what the agent is told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from shoal_controller.core.errors import Refused
from shoal_controller.core.node import Node, NodeAction, NodeState
from shoal_controller.core.pool import DeallocationOption, PoolDefinition
from shoal_controller.core.task import TaskState
from shoal_controller.loops.liveness import watch
from shoal_controller.loops.pools import reconcile_pools
from shoal_controller.operations import nodes, pools
from shoal_controller.store import nodes as node_rows
from shoal_protocol.messages import RebootNode, RunEnded, RunGone, RunStarted
from tests.builders import NOON, an_exit
from tests.unit.controller.operations.conftest import House, run

COMPLETION = DeallocationOption.TASK_COMPLETION


class Fleet:
    """Remembers what it was told to do to nodes that are there already."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def create(self, node: Node, join_token: str) -> Mapping[str, Any]:
        self.done.append("create")
        return {"made": True}

    async def stop(self, node: Node) -> None:
        self.done.append("stop")

    async def delete(self, node: Node) -> None:
        self.done.append("delete")

    def cores(self, vm_size: str) -> int:
        return 1

    def new_node_id(self, *, is_dedicated: bool) -> str:
        raise AssertionError("no node is made here")

    def new_secret(self) -> str:
        return "secret"


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


@pytest.fixture
async def node(house: House) -> Node:
    """A node of pool `p` that runs task 1."""
    await pools.create_pool(
        house.ctx,
        "p",
        PoolDefinition("standard_d1_v2"),
        target_dedicated=1,
        target_low_priority=0,
        resize_timeout=timedelta(minutes=15),
    )
    made = await house.add_node()
    await house.add_tasks("j", "t")
    await house.schedule()
    await house.report(made, RunStarted(run(1, 1), NOON))
    return made


async def ask(house: House, action: NodeAction, option: DeallocationOption) -> None:
    await nodes.restart_node(house.ctx, "p", "n1", action, option)


def stored(house: House) -> Node:
    (row,) = house.ctx.store.read_now(node_rows.ALL)
    return node_rows.node(row)


@pytest.mark.parametrize(
    ("action", "state", "wipes"),
    [
        (NodeAction.REBOOT, NodeState.REBOOTING, False),
        (NodeAction.REIMAGE, NodeState.REIMAGING, True),
    ],
)
async def test_a_restart_waits_for_tasks_that_may_end(
    house: House, node: Node, fleet: Fleet, action: NodeAction, state: NodeState, wipes: bool
) -> None:
    await ask(house, action, COMPLETION)
    assert (stored(house).state, house.told.take()) == (NodeState.IDLE, [])
    await house.report(node, RunEnded(run(1, 1), an_exit()))
    await reconcile_pools(house.ctx, fleet)
    assert stored(house).state == state
    assert house.told.take() == [RebootNode("boot", wipes)]
    await house.hello(node)  # the agent came back before it had heard of it
    assert house.told.take() == [RebootNode("boot", wipes)]
    await house.hello(node, boot_id="next")
    assert stored(house).state == NodeState.STARTING


async def test_a_reimage_takes_the_place_of_a_reboot_that_waits(
    house: House, node: Node, fleet: Fleet
) -> None:
    await ask(house, NodeAction.REBOOT, COMPLETION)
    await ask(house, NodeAction.REIMAGE, DeallocationOption.REQUEUE)
    house.told.take()
    assert house.task(1).state == TaskState.ACTIVE
    await house.report(node, RunGone(run(1, 1)))
    await reconcile_pools(house.ctx, fleet)
    assert stored(house).state == NodeState.REIMAGING


async def test_a_reimage_that_waits_is_not_forgotten_for_another_action(
    house: House, node: Node, fleet: Fleet
) -> None:
    await ask(house, NodeAction.REIMAGE, COMPLETION)
    with pytest.raises(Refused, match="OperationNotValidOnNode"):
        await ask(house, NodeAction.DEALLOCATE, DeallocationOption.REQUEUE)
    await ask(house, NodeAction.REBOOT, DeallocationOption.REQUEUE)
    await house.report(node, RunGone(run(1, 1)))
    await reconcile_pools(house.ctx, fleet)
    assert stored(house).state == NodeState.REIMAGING
    assert RebootNode("boot", wipes=True) in house.told.take()


async def test_a_node_that_leaves_is_not_taken_for_one_that_waits_for_its_reimage(
    house: House, node: Node, fleet: Fleet
) -> None:
    await ask(house, NodeAction.REIMAGE, DeallocationOption.REQUEUE)
    await house.report(node, RunGone(run(1, 1)))
    await house.hello(node, boot_id="next")
    await reconcile_pools(house.ctx, fleet)  # the pool is steady now
    await pools.remove_nodes(
        house.ctx, "p", ["n1"], timeout=timedelta(minutes=15), option=COMPLETION
    )
    with pytest.raises(Refused) as caught:
        await ask(house, NodeAction.DEALLOCATE, COMPLETION)
    assert "leavingpool" in caught.value.details["Reason"]


async def test_a_node_is_stopped_when_its_tasks_have_ended_and_not_before(
    house: House, node: Node, fleet: Fleet
) -> None:
    await ask(house, NodeAction.DEALLOCATE, COMPLETION)
    await reconcile_pools(house.ctx, fleet)
    assert (stored(house).state, fleet.done) == (NodeState.DEALLOCATING, [])
    await house.add_tasks("j", "later")
    assert await house.schedule() == []  # it takes no more
    await house.report(node, RunEnded(run(1, 1), an_exit()))
    await reconcile_pools(house.ctx, fleet)
    assert (stored(house).state, fleet.done) == (NodeState.DEALLOCATED, ["stop"])
    assert house.task(1).state == TaskState.COMPLETED
    await reconcile_pools(house.ctx, fleet)
    assert fleet.done == ["stop"]


async def test_a_stopped_node_is_not_missed_and_has_its_time_to_start(
    house: House, node: Node, fleet: Fleet
) -> None:
    await ask(house, NodeAction.DEALLOCATE, DeallocationOption.TERMINATE)
    await house.report(node, RunGone(run(1, 1)))
    await reconcile_pools(house.ctx, fleet)
    house.ctx.index.nodes[node.serial].is_connected = False
    house.clock.seconds += 1000.0
    await watch(house.ctx)
    assert stored(house).state == NodeState.DEALLOCATED
    await ask(house, NodeAction.START, DeallocationOption.REQUEUE)
    await watch(house.ctx)
    assert stored(house).state == NodeState.STARTING
    await reconcile_pools(house.ctx, fleet)
    await watch(house.ctx)
    assert (stored(house).state, fleet.done) == (NodeState.STARTING, ["stop", "create"])
    await reconcile_pools(house.ctx, fleet)
    assert fleet.done == ["stop", "create"]
    house.clock.seconds += 61.0
    await watch(house.ctx)
    assert stored(house).state == NodeState.UNKNOWN
    await house.hello(node, boot_id="next")
    assert stored(house).state == NodeState.STARTING


async def test_what_an_agent_tells_while_its_node_is_stopped_changes_no_state(
    house: House, node: Node, fleet: Fleet
) -> None:
    await ask(house, NodeAction.DEALLOCATE, COMPLETION)
    await house.hello(node, boot_id="next")  # its machine restarted meanwhile: the task is lost
    assert stored(house).state == NodeState.DEALLOCATING
    await reconcile_pools(house.ctx, fleet)
    assert stored(house).state == NodeState.DEALLOCATED
    await house.hello(node, boot_id="another")
    assert stored(house).state == NodeState.DEALLOCATED


async def test_a_stopped_node_can_leave_its_pool(house: House, node: Node, fleet: Fleet) -> None:
    await ask(house, NodeAction.DEALLOCATE, DeallocationOption.REQUEUE)
    await reconcile_pools(house.ctx, fleet)
    await pools.delete_pool(house.ctx, "p")
    for _ in range(3):
        await reconcile_pools(house.ctx, fleet)
    assert fleet.done == ["stop", "delete"]
    assert house.ctx.store.read_now(node_rows.ALL) == []


@pytest.mark.parametrize(
    ("state", "action", "code"),
    [
        (NodeState.CREATING, NodeAction.REIMAGE, "NodeBeingCreated"),
        (NodeState.REIMAGING, NodeAction.REBOOT, "NodeBeingReimaged"),
        (NodeState.START_TASK_FAILED, NodeAction.DEALLOCATE, "OperationNotValidOnNode"),
        (NodeState.DEALLOCATING, NodeAction.START, "OperationNotValidOnNode"),
        (NodeState.LEAVING_POOL, NodeAction.REIMAGE, "OperationNotValidOnNode"),
    ],
)
async def test_other_states_do_not_allow_it(
    house: House, state: NodeState, action: NodeAction, code: str
) -> None:
    await house.add_node(state=state)
    with pytest.raises(Refused) as refused:
        await ask(house, action, DeallocationOption.REQUEUE)
    assert refused.value.code == code
    assert stored(house).state == state
