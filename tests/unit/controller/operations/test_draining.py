"""Nodes and jobs that are to be emptied with their tasks left to end: what had begun is let finish,
what had not goes back to its queue, and only the node knows which is which.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from shoal_controller.core.job import DisableOption, JobState
from shoal_controller.core.node import (
    Node,
    NodeAction,
    NodeState,
    SchedulingState,
    shown_state,
)
from shoal_controller.core.pool import DeallocationOption, PoolDefinition
from shoal_controller.core.task import Task, TaskState
from shoal_controller.loops.jobs import work_off
from shoal_controller.loops.pools import reconcile_pools
from shoal_controller.operations import jobs, nodes, pools
from shoal_controller.store import nodes as node_rows
from shoal_protocol.messages import (
    HeldRun,
    KillTask,
    RebootNode,
    RecallTask,
    RunEnded,
    RunPhase,
    RunReturned,
    RunStarted,
)
from tests.builders import NOON, an_exit
from tests.unit.controller.operations.conftest import House, run

SOON = NOON + timedelta(milliseconds=10)
TIMEOUT = timedelta(minutes=15)
FINISH = DeallocationOption.TASK_COMPLETION
BEGUN, QUEUED, ELSEWHERE = run(2, 1), run(3, 1), run(3, 2)


class Fleet:
    """Unmakes nodes, and makes none."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    async def create(self, node: Node, join_token: str) -> Mapping[str, Any]:
        raise AssertionError("no node is wanted")

    async def delete(self, node: Node) -> None:
        self.deleted.append(node.id)

    def cores(self, vm_size: str) -> int:
        return 1

    def new_node_id(self, *, is_dedicated: bool) -> str:
        raise AssertionError("no node is wanted")

    def new_secret(self) -> str:
        raise AssertionError("no node is wanted")


@dataclass
class Busy:
    """Pool `p` with a node of one slot that runs task 2 and holds task 3 ahead of its turn."""

    house: House
    node: Node
    fleet: Fleet

    async def rounds(self) -> list[Any]:
        """Let every loop have its turn, twice; return what nodes were told."""
        told: list[Any] = []
        for _ in range(2):
            await reconcile_pools(self.house.ctx, self.fleet)
            await work_off(self.house.ctx)
            told += await self.house.schedule()
        self.house.ctx.index.check()
        return told

    def state(self) -> NodeState:
        (row,) = self.house.ctx.store.read_now(node_rows.BY_SERIAL, (self.node.serial,))
        view = self.house.ctx.index.nodes[self.node.serial]
        return shown_state(node_rows.node(row), view.running_count)

    def queued(self) -> Task:
        return self.house.task(3)

    async def end(self, name: Any) -> None:
        await self.house.report(self.node, RunEnded(name, an_exit()))


@pytest.fixture
async def busy(house: House) -> Busy:
    await pools.create_pool(
        house.ctx,
        "p",
        PoolDefinition("standard_d2_v2"),
        target_dedicated=1,
        target_low_priority=0,
        resize_timeout=TIMEOUT,
    )
    node = await house.add_node(slots=1, provider_state={"made": True})
    busy = Busy(house, node, Fleet())
    await house.add_tasks("j", "t1", "t2", "t3")
    await house.schedule()
    await house.report(
        node, RunEnded(run(1, 1), an_exit(ended_at=SOON))
    )  # its job's runs are short
    told = await busy.rounds()
    assert [message.run for message in told] == [BEGUN, QUEUED]
    await house.report(node, RunStarted(BEGUN, NOON))
    return busy


async def resize_down(busy: Busy) -> None:
    await pools.resize_pool(
        busy.house.ctx, "p", dedicated=0, low_priority=0, timeout=TIMEOUT, option=FINISH
    )


async def remove(busy: Busy) -> None:
    ids = [busy.node.id]
    await pools.remove_nodes(busy.house.ctx, "p", ids, timeout=TIMEOUT, option=FINISH)


async def reboot(busy: Busy) -> None:
    await nodes.restart_node(busy.house.ctx, "p", busy.node.id, NodeAction.REBOOT, FINISH)


async def disable_scheduling(busy: Busy) -> None:
    await nodes.disable_scheduling(busy.house.ctx, "p", busy.node.id, FINISH)


async def disable_job(busy: Busy) -> None:
    await jobs.disable_job(busy.house.ctx, "j", DisableOption.WAIT)


WAYS = pytest.mark.parametrize(
    "drain", [resize_down, remove, reboot, disable_scheduling, disable_job]
)
Drain = Callable[[Busy], Awaitable[None]]


async def is_drained(busy: Busy, drain: Drain) -> bool:
    """Whether what was asked for has happened."""
    told = await busy.rounds()
    if drain is reboot:
        return any(isinstance(message, RebootNode) for message in told)
    assert told == []
    if drain is disable_job:
        return (await jobs.get_job(busy.house.ctx, "j")).state == JobState.DISABLED
    if drain is disable_scheduling:
        return busy.state() == NodeState.OFFLINE
    return busy.fleet.deleted == [busy.node.id]


@WAYS
async def test_what_had_not_begun_goes_back_as_if_it_had_never_been_placed(
    busy: Busy, drain: Drain
) -> None:
    await drain(busy)
    assert await busy.rounds() == [RecallTask(QUEUED)]
    assert busy.queued().is_placed
    await busy.house.report(busy.node, RunReturned(QUEUED))
    task = busy.queued()
    assert (task.state, task.is_placed) == (TaskState.ACTIVE, False)
    assert (task.requeue_count, task.retry_count, task.lost_count) == (0, 0, 0)
    assert not await is_drained(busy, drain)
    await busy.end(BEGUN)
    assert busy.house.task(2).exit_code == 0
    assert await is_drained(busy, drain)


@WAYS
async def test_what_had_just_begun_is_let_finish(busy: Busy, drain: Drain) -> None:
    await drain(busy)
    await busy.end(BEGUN)
    assert await busy.rounds() == [RecallTask(QUEUED)]
    await busy.house.report(busy.node, RunStarted(QUEUED, NOON))  # the two crossed
    assert not await is_drained(busy, drain)
    await busy.end(QUEUED)
    assert (busy.queued().attempt, busy.queued().exit_code) == (1, 0)
    assert await is_drained(busy, drain)


@WAYS
async def test_a_recall_that_was_lost_with_a_controller_is_repeated(
    busy: Busy, drain: Drain
) -> None:
    await drain(busy)
    assert await busy.rounds() == [RecallTask(QUEUED)]
    await busy.house.restart()
    assert await busy.rounds() == []  # the node is away
    held = [HeldRun(BEGUN, RunPhase.RUNNING, 1), HeldRun(QUEUED, RunPhase.QUEUED, 1)]
    for _ in range(2):  # and so is one that an agent forgot when it died
        await busy.house.hello(busy.node, *held)
        assert await busy.rounds() == [RecallTask(QUEUED)]


async def test_what_is_killed_anyway_is_not_waited_for(busy: Busy) -> None:
    option = DeallocationOption.TERMINATE
    await nodes.disable_scheduling(busy.house.ctx, "p", busy.node.id, option)
    assert await busy.rounds() == [KillTask(BEGUN), KillTask(QUEUED)]
    assert busy.house.task(2).state == TaskState.COMPLETED
    assert busy.queued().state == TaskState.ACTIVE


async def test_what_came_back_runs_elsewhere(busy: Busy) -> None:
    await disable_scheduling(busy)
    await busy.rounds()
    other = await busy.house.add_node(id="n2", slots=1)
    await busy.house.report(busy.node, RunReturned(QUEUED))
    assert [message.run for message in await busy.rounds()] == [ELSEWHERE]
    await busy.house.report(other, RunEnded(ELSEWHERE, an_exit()))
    assert busy.queued().exit_code == 0


async def test_a_job_with_more_tasks_under_way_than_a_write_takes_is_waited_for_in_peace(
    busy: Busy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shoal_controller.loops.jobs.TASKS_PER_WRITE", 1)
    await disable_job(busy)
    assert not await work_off(busy.house.ctx)  # nothing to go on with at once


async def test_a_node_that_is_open_again_keeps_what_it_holds(busy: Busy) -> None:
    await disable_scheduling(busy)
    await nodes.enable_scheduling(busy.house.ctx, "p", busy.node.id)
    assert await busy.rounds() == []
    (row,) = busy.house.ctx.store.read_now(node_rows.BY_SERIAL, (busy.node.serial,))
    assert node_rows.node(row).scheduling_state == SchedulingState.ENABLED
