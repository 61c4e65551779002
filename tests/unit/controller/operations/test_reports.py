"""What agents tell, and when slots of killed runs are free again."""

from __future__ import annotations

import pytest

from shoal_controller.operations import tasks
from shoal_protocol.messages import (
    FILES_KEPT_MAX,
    FilesKept,
    Message,
    RunEnded,
    RunGone,
    RunLost,
    RunReturned,
    TasksGone,
)
from shoal_protocol.specs import RunId
from tests.builders import an_exit
from tests.unit.controller.operations.conftest import House

RUN = RunId(1, 1)


@pytest.mark.parametrize(
    "last_word",
    [RunGone(RUN), RunReturned(RUN), RunLost(RUN), RunEnded(RUN, an_exit())],
    ids=lambda message: type(message).__name__,
)
async def test_slots_of_a_killed_run_are_free_once_nothing_of_it_is_left(
    house: House, last_word: Message
) -> None:
    """The order to kill may cross with the run's own end: then only that is told."""
    node = await house.add_node(slots=1)
    await house.add_tasks("j", "t")
    await house.schedule()
    await tasks.terminate_task(house.ctx, "j", "t")
    view = house.ctx.index.nodes[node.serial]
    assert (view.used, view.dying) == (1, {RUN: 1})
    await house.report(node, last_word)
    assert (view.used, view.dying) == (0, {})
    house.ctx.index.check()


async def test_a_node_is_told_which_of_the_files_it_keeps_are_of_no_task_any_more(
    house: House,
) -> None:
    node = await house.add_node(slots=4)
    await house.add_tasks("j", "t1", "t2", "t3")
    await house.schedule()
    await tasks.delete_task(house.ctx, "j", "t2")
    await house.restart()  # the order to delete its files is lost
    await house.hello(node)
    house.told.take()
    await house.report(node, FilesKept((3, 2, 1)))
    assert house.told.take() == [TasksGone((2,))]
    await house.report(node, FilesKept((3, 1)))
    assert house.told.take() == []


async def test_serials_that_no_task_can_have_are_passed_over(house: House) -> None:
    node = await house.add_node()
    await house.report(node, FilesKept((0, -1, 1 << 63, 7)), FilesKept((8,) * 5000))
    first, second = house.told.take()
    assert first == TasksGone((7,))
    assert isinstance(second, TasksGone)
    assert len(second.serials) == FILES_KEPT_MAX
