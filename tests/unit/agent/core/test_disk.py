"""When a disk is full, what is done about it, and when it has room again."""

from __future__ import annotations

import pytest

from shoal_agent.core import instructions as do
from shoal_agent.core.agent import AgentCore, Setting
from shoal_agent.core.audit import HURRY_PERIOD_S
from shoal_agent.core.disk import Disk, reserved_bytes
from shoal_agent.core.instructions import DiskMeasured
from shoal_protocol.messages import FilesKept, NodeReport, RebootNode
from tests.unit.agent.core.test_agent import World, a_task

FULL = DiskMeasured(1000, 99)
ROOMY = DiskMeasured(1000, 500)


@pytest.mark.parametrize(
    ("size", "percent", "bytes_max", "reserved"),
    [
        (1000, 10, 0, 100),
        (1000, 10, 60, 60),
        (1000, 10, 600, 100),
        (1000, 0, 0, 0),
        (0, 10, 0, 0),
    ],
)
def test_so_much_is_to_stay_free(size: int, percent: int, bytes_max: int, reserved: int) -> None:
    assert reserved_bytes(size, percent, bytes_max) == reserved


def test_a_disk_at_its_limit_does_not_change_with_every_file() -> None:
    disk = Disk(100)
    changes = [disk.measured(DiskMeasured(1000, free)) for free in (100, 99, 100, 124, 125, 100)]
    assert changes == [False, True, False, False, True, False]


def test_a_disk_of_which_most_is_reserved_can_have_room_again() -> None:
    disk = Disk(900)
    assert disk.measured(DiskMeasured(1000, 0))
    assert disk.measured(DiskMeasured(1000, 950))


def test_nothing_reserved_is_never_full() -> None:
    assert not Disk(0).measured(DiskMeasured(1000, 0))


def test_a_full_disk_is_told_with_the_documented_code_and_what_to_do() -> None:
    disk = Disk(100)
    disk.measured(FULL)
    assert disk.error is not None
    assert disk.error.code == "DiskFull"
    assert disk.error.message == "There is not enough disk space on the node"
    ((name, text),) = disk.error.details
    assert name == "Message"
    assert "99 of 1000 bytes are free, 100 are to stay free. Delete" in text


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A node of which 100 bytes are to stay free."""

    def setting(*arguments: object) -> Setting:
        return Setting(*arguments, reserved_disk_bytes=100)  # type: ignore[arg-type]

    monkeypatch.setattr("tests.unit.agent.core.test_agent.Setting", setting)
    world = World()
    world.settle()
    world.told.clear()
    return world


def reports(world: World) -> list[tuple[bool, list[str]]]:
    return [
        (message.ready, [error.code for error in message.errors])
        for message in world.told
        if isinstance(message, NodeReport)
    ]


def test_the_node_reports_each_change_once(world: World) -> None:
    world.feed(ROOMY, FULL, FULL, FULL, ROOMY, ROOMY)
    assert reports(world) == [(True, ["DiskFull"]), (True, [])]


def test_nothing_new_begins_while_the_disk_is_full(world: World) -> None:
    world.feed(FULL)
    world.feed(a_task(1))
    world.settle()
    assert world.spawner.keeper.runs == {}
    world.feed(ROOMY)
    assert "1.1" in world.spawner.keeper.runs


def test_a_reboot_does_not_make_room(world: World) -> None:
    world.feed(FULL)
    world.feed(RebootNode(world.core.node.boot_id))
    world.settle()
    assert reports(world)[-1] == (True, ["DiskFull"])
    world.feed(ROOMY)
    assert reports(world)[-1] == (True, [])


def test_a_new_agent_tells_of_the_disk_in_its_first_report(world: World) -> None:
    world.feed(FULL)
    world.told.clear()
    setting = Setting("/root", "machine", "C", world.new_id, 100)
    core = AgentCore(setting, world.journal, world.clock)
    done = core.handle([FULL, world.up()], world.clock)
    told = [found.message for found in done if isinstance(found, do.Send)]
    assert told
    assert all(isinstance(report, NodeReport) and report.errors for report in told)


def test_a_node_that_never_booted_has_nothing_to_report() -> None:
    core = AgentCore(Setting("/root", "machine", "C", lambda: "boot", 100), [], World().clock)
    assert core.handle([FULL], World().clock) == []


def test_while_the_disk_is_full_directories_of_deleted_tasks_are_looked_for(world: World) -> None:
    world.feed(a_task(1))
    world.settle()
    world.told.clear()
    world.feed(FULL)
    for _ in range(2):
        world.feed(do.Tick())
        assert [message.serials for message in world.of(FilesKept)] == [(1,)]  # type: ignore[attr-defined]
        world.told.clear()
        world.pending, delivered = [], world.pending
        world.feed(*(do.Delivered(message) for message in delivered))
        world.now_s += HURRY_PERIOD_S
