"""Directories of tasks that are no more are found, whatever was lost on the way."""

from __future__ import annotations

import pytest

from shoal_agent.core import instructions as do
from shoal_agent.core.audit import PERIOD_S
from shoal_agent.core.directories import Directories
from shoal_agent.core.records import Directory, Removed
from shoal_protocol.messages import FilesKept, TasksGone, Welcome
from tests.unit.agent.core.test_agent import BEGIN, CONFIG, World, a_task

T1 = ("job", "t1")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A node that keeps the directories of tasks 1 to 5."""
    monkeypatch.setattr("shoal_agent.core.audit.FILES_KEPT_MAX", 2)
    world = World()
    world.feed(*(a_task(serial) for serial in range(1, 6)))
    world.settle()
    world.told.clear()
    return world


def meet(world: World, controller: str) -> None:
    world.feed(Welcome(1, controller, "", 0, CONFIG))


def pages(world: World) -> list[set[int]]:
    return [set(message.serials) for message in world.told if isinstance(message, FilesKept)]


def test_each_life_of_the_controller_is_told_all_a_page_at_a_time(world: World) -> None:
    meet(world, "c")
    assert pages(world) == []  # the life that saw them begin
    meet(world, "another")
    for count in (1, 2, 3):
        told = pages(world)
        assert len(told) == count
        (page,) = world.pending
        world.pending.clear()
        world.feed(do.Delivered(page))
    assert [len(page) for page in told] == [2, 2, 1]
    assert set.union(*told) == {1, 2, 3, 4, 5}
    meet(world, "another")
    assert len(pages(world)) == 3


def test_a_new_life_is_told_from_the_beginning_and_late_answers_of_the_old_one_change_nothing(
    world: World,
) -> None:
    meet(world, "second")
    (old,) = world.pending
    world.pending.clear()
    meet(world, "third")
    world.feed(do.Delivered(old))
    assert len(pages(world)) == 2
    world.settle()
    assert set.union(*pages(world)[1:]) == {1, 2, 3, 4, 5}


def test_all_is_told_again_after_a_while(world: World) -> None:
    due_s = world.core.next_due_s
    assert due_s is not None
    assert due_s <= world.now_s + PERIOD_S
    world.now_s += PERIOD_S
    world.feed(do.Tick())
    world.settle()
    assert set.union(*pages(world)) == {1, 2, 3, 4, 5}


def test_directories_of_tasks_that_are_gone_go_and_others_stay(world: World) -> None:
    world.feed(TasksGone((1, 4, 77)))
    world.crash()
    world.settle()
    world.now_s += 10.0
    world.feed(do.Tick())
    assert sorted(world.core.directories.serials()) == [2, 3, 5]


def test_a_run_of_a_task_that_is_gone_takes_its_directory_along(world: World) -> None:
    world.feed(a_task(6))
    world.feed(TasksGone((6,)))
    assert ("job", "t6") in world.core.directories
    world.settle()
    world.now_s += 10.0
    world.feed(do.Tick())
    assert ("job", "t6") not in world.core.directories


def test_a_directory_that_was_to_be_removed_when_the_agent_died_is_removed_by_the_next(
    world: World,
) -> None:
    world.journal.append(Removed(*T1))
    world.start()
    done = world.feed(do.Found((T1, ("job", "stranger"))))
    assert do.MoveToTrash("/root/workitems/job/job-1/t1") in done
    assert T1 not in world.core.directories
    assert ("job", "stranger") in world.core.directories  # nobody knows of it: kept its time
    assert do.MoveToTrash("/root/workitems/job/job-1/t1") not in world.feed(do.Found((T1,)))


def test_a_serial_leads_to_the_directory_its_task_made_last() -> None:
    directories = Directories("machine")
    directories.restore(Directory("job", "t", 1, 10.0, BEGIN, 0.0, "machine"))
    directories.occupy(("job", "t"), 2, 10.0)
    assert directories.find(1) is None
    assert (directories.find(2), directories.serials()) == (("job", "t"), [2])
    directories.forget(("job", "t"))
    assert (directories.find(2), directories.serials()) == (None, [])
