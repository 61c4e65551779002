"""What agents tell, and when slots of killed runs are free again."""

from __future__ import annotations

import pytest

from shoal_controller.operations import tasks
from shoal_protocol.messages import Message, RunEnded, RunGone, RunLost, RunReturned
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
