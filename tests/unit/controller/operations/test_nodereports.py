"""What nodes tell of themselves: errors make them unusable, and their tasks run elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shoal_controller.core.node import Node, NodeState, moved
from shoal_controller.core.pool import DeallocationOption
from shoal_controller.core.task import LOST_COUNT_MAX, TaskState
from shoal_controller.operations.nodes import put
from shoal_controller.store import nodes
from shoal_protocol.messages import (
    KillTask,
    NodeReport,
    RunGone,
    RunStarted,
    RunTask,
    StartTaskReport,
)
from shoal_protocol.specs import ErrorCategory, ExitInfo, FailureInfo, StartTaskSpec
from tests.builders import NOON, an_exit
from tests.unit.controller.operations.conftest import House, run

FULL = FailureInfo(ErrorCategory.SERVER_ERROR, "DiskFull", "There is not enough disk space")


def report(*errors: FailureInfo, ready: bool = True, boot_id: str = "boot") -> NodeReport:
    return NodeReport(boot_id, ready, errors)


def stored(house: House, node: Node) -> Node:
    (row,) = house.ctx.store.read_now(nodes.BY_SERIAL, (node.serial,))
    return nodes.node(row)


async def test_tasks_of_a_node_whose_disk_is_full_are_killed_there_and_run_elsewhere(
    house: House,
) -> None:
    node = await house.add_node(slots=2)
    await house.add_tasks("j", "t1", "t2")
    await house.schedule()
    await house.report(node, RunStarted(run(1, 1), NOON), report(FULL))
    after = stored(house, node)
    assert (after.state, after.errors) == (NodeState.UNUSABLE, (FULL,))
    assert house.told.take() == [KillTask(run(1, 1)), KillTask(run(2, 1))]
    for serial in (1, 2):
        task = house.task(serial)
        assert (task.state, task.is_placed, task.lost_count) == (TaskState.ACTIVE, False, 1)
        assert (task.retry_count, task.requeue_count) == (0, 0)
    assert await house.schedule() == []
    other = await house.add_node(id="n2", slots=2)
    placed = [message for message in await house.schedule() if isinstance(message, RunTask)]
    assert [message.run for message in placed] == [run(1, 2), run(2, 2)]
    await house.report(node, RunGone(run(1, 1)), RunGone(run(2, 1)))
    assert house.ctx.index.nodes[node.serial].used == 0
    assert house.ctx.index.nodes[other.serial].used == 2
    house.ctx.index.check()


async def test_a_node_takes_tasks_again_once_its_disk_has_room(house: House) -> None:
    node = await house.add_node()
    await house.report(node, report(FULL))
    await house.restart()
    await house.hello(node)  # the link alone does not mend it
    assert stored(house, node).state == NodeState.UNUSABLE
    await house.add_tasks("j", "t")
    assert await house.schedule() == []
    await house.report(node, report())
    after = stored(house, node)
    assert (after.state, after.errors) == (NodeState.IDLE, ())
    assert [type(message) for message in await house.schedule()] == [RunTask]


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (None, NodeState.STARTING),
        (StartTaskReport("boot", True, False, NOON), NodeState.WAITING_FOR_START_TASK),
        (
            StartTaskReport("boot", False, True, NOON, exit=an_exit(1)),
            NodeState.START_TASK_FAILED,
        ),
    ],
)
async def test_a_node_that_was_not_ready_goes_on_where_it_was(
    house: House, told: StartTaskReport | None, state: NodeState
) -> None:
    node = await house.add_node(state=NodeState.STARTING, start_task=StartTaskSpec("prepare"))
    await house.report(node, report(FULL, ready=False))
    if told is not None:
        await house.report(node, told)
    assert stored(house, node).state == NodeState.UNUSABLE
    await house.report(node, report(ready=False))
    assert stored(house, node).state == state
    assert stored(house, node).errors == ()


async def test_a_node_without_a_start_task_that_is_not_ready_is_starting(house: House) -> None:
    node = await house.add_node(state=NodeState.STARTING)
    await house.report(node, report(FULL, ready=False), report(ready=False))
    assert stored(house, node).state == NodeState.STARTING


@pytest.mark.parametrize("state", [NodeState.LEAVING_POOL, NodeState.REBOOTING])
async def test_a_node_that_leaves_or_restarts_goes_on_with_that(
    house: House, state: NodeState
) -> None:
    node = await house.add_node()
    await house.add_tasks("j", "t")
    await house.schedule()
    pending = DeallocationOption.TASK_COMPLETION
    changed = moved(replace(stored(house, node), pending=pending), state, NOON)
    await house.ctx.settle(lambda tx: put(tx, changed))
    await house.report(node, report(FULL))
    after = stored(house, node)
    assert (after.state, after.errors) == (state, (FULL,))
    assert house.task(1).is_placed
    assert house.told.take() == []


async def test_a_report_of_another_boot_changes_nothing(house: House) -> None:
    node = await house.add_node()
    await house.report(node, report(FULL, boot_id="earlier"))
    assert stored(house, node).state == NodeState.IDLE


async def test_a_task_that_meets_full_disks_too_often_ends(house: House) -> None:
    node = await house.add_node()
    await house.add_tasks("j", "t")
    for attempt in range(1, LOST_COUNT_MAX + 1):
        await house.schedule()
        gone = RunGone(run(1, attempt))
        await house.report(node, report(FULL), gone, report())
    task = house.task(1)
    assert task.failure is not None
    assert (task.state, task.failure.code) == (TaskState.COMPLETED, "MaxInternalRetryCountReached")
    assert isinstance(task.ended_at, type(ExitInfo(NOON).ended_at))
