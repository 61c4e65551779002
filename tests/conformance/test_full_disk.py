"""A disk that is full to the last block: nothing new is taken, and what is there can be deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shoal_controller.core.account import Account
from shoal_controller.loops import jobs, scheduling
from shoal_controller.operations import reports
from shoal_controller.operations.context import Context
from shoal_controller.tenancy import RESERVE_BYTES
from shoal_protocol.codec import Entry
from shoal_protocol.messages import PROTOCOL_VERSION, Hello, NodeReport
from tests.conformance.conftest import (
    ACCOUNT,
    KEY,
    Caller,
    House,
    NoLinks,
    StillClock,
    job_body,
    pool_body,
    task_body,
    with_node,
)
from tests.disks import fill, small_disk

SETTINGS = {"environmentSettings": [{"name": "A", "value": "x" * 9_000}]}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "64m") as folder:
        yield folder


@pytest.fixture
async def house(disk: Path) -> AsyncIterator[House]:
    clock, links = StillClock(), NoLinks()
    house = House(_open(disk, clock, links), clock, links)
    yield house
    await house.ctx.close()


def _open(disk: Path, clock: StillClock, links: NoLinks) -> Context:
    path = disk / "state.sqlite"
    return Context(Account(ACCOUNT, (KEY,)), path, clock, links, reserve_bytes=RESERVE_BYTES)


async def _add_until_full(caller: Caller) -> int:
    """Add tasks to j1 until none is taken; return how many there are."""
    count = 0
    while True:
        new = [task_body(f"t{n}", **SETTINGS) for n in range(count, count + 100)]
        answer = await caller.post("/jobs/j1/addtaskcollection", {"value": new})
        if answer.status != 200:
            assert (answer.status, answer.code) == (503, "ServerBusy")
            assert "disk is full: delete jobs or tasks" in answer.values["Reason"]
            return count
        count += 100


async def _delete_job(caller: Caller, house: House, job_id: str) -> None:
    assert (await caller.send("DELETE", f"/jobs/{job_id}")).status == 202
    while await jobs.work_off(house.ctx):
        pass
    assert (await caller.get(f"/jobs/{job_id}")).status == 404


async def test_what_filled_the_disk_can_be_deleted_and_makes_room_for_others(
    caller: Caller, house: House, disk: Path
) -> None:
    await caller.make("/jobs", job_body("j1"))
    assert await _add_until_full(caller) > 1_000
    fill(disk / "filler")
    assert (await caller.post("/jobs", job_body("j2"))).code == "ServerBusy"
    assert (await caller.send("DELETE", "/jobs/j1/tasks/t0")).status == 200
    await _delete_job(caller, house, "j1")
    # The disk is as full as before; the room is in the file.
    await caller.make("/jobs", job_body("j1"))
    assert await _add_until_full(caller) > 500
    await _delete_job(caller, house, "j1")


async def test_what_the_reserve_gives_up_is_not_lost_to_others_who_fill_the_disk(
    caller: Caller, house: House, disk: Path
) -> None:
    await caller.make("/jobs", job_body("j1"))
    for number in range(3):
        new = [task_body(f"t{number}-{n}", **SETTINGS) for n in range(100)]
        assert (await caller.post("/jobs/j1/addtaskcollection", {"value": new})).status == 200
    for number in range(3):
        for n in range(0, 100, 7):
            fill(disk / "filler")
            path = f"/jobs/j1/tasks/t{number}-{n}"
            assert (await caller.send("DELETE", path)).status == 200
    assert (await caller.post("/jobs", job_body("j2"))).code == "ServerBusy"
    fill(disk / "filler")
    await _delete_job(caller, house, "j1")
    (disk / "filler").unlink()
    await caller.make("/jobs", job_body("j2"))
    assert (disk / "state.sqlite.reserve").stat().st_size > 0, "it is kept again"


async def test_a_controller_that_starts_on_a_full_disk_lets_go_of_things_too(
    caller: Caller, house: House, disk: Path
) -> None:
    await caller.make("/jobs", job_body("j1"))
    await caller.make("/jobs/j1/tasks", task_body("t1"))
    await house.ctx.close()
    fill(disk / "filler")
    house.ctx = _open(disk, house.clock, house.links)
    await _delete_job(caller, house, "j1")


async def test_nothing_starts_on_a_full_disk(caller: Caller, house: House, disk: Path) -> None:
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    node_id = await with_node(house)
    now = house.clock.now()
    hello = Hello(PROTOCOL_VERSION, node_id, "boot", now, "1", "a", "", 0, "10.0.0.1", 1)
    await reports.agent_hello(house.ctx, 1, hello, ())
    ready = Entry(1, NodeReport("boot", ready=True))
    await reports.agent_entries(house.ctx, 1, [ready])
    await caller.make("/jobs", job_body("j1"))
    await caller.make("/jobs/j1/tasks", task_body("t1"))
    fill(disk / "filler")
    await scheduling.schedule(house.ctx)
    assert (await caller.get("/jobs/j1/tasks/t1")).json["state"] == "active"
    assert not house.links.sent
    (disk / "filler").unlink()
    await scheduling.schedule(house.ctx)
    assert house.links.sent
