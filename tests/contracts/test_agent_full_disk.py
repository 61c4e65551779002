"""A node whose disk is full: it says so; and tasks still end, and their files can be removed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from shoal_protocol.messages import (
    FileAction,
    FileReply,
    FileRequest,
    KillTask,
    NodeReport,
    RemoveTaskFiles,
    RunGone,
    RunStarted,
)
from tests.contracts.agent_node import AgentNode
from tests.contracts.conftest import CONFIG
from tests.disks import fill, small_disk

GREEDY = "/bin/sh -c 'while :; do head -c 300000 /dev/zero >> big; done 2>/dev/null'"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[AgentNode]:
    with small_disk(tmp_path / "disk", "24m") as folder:
        # Such a node would start nothing any more, if it looked at its disk.
        node = AgentNode(folder, CONFIG, disk_reserved_percent=0)
        await node.begin()
        try:
            await node.controller.ready()
            yield node
        finally:
            await node.end()


def _free(node: AgentNode) -> int:
    disk = os.statvfs(node.folder)
    return disk.f_bavail * disk.f_frsize


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


async def _use_the_journal(node: AgentNode) -> None:
    """Have more written down than goes into a block that is there already."""
    await node.controller.results(*(node.run("/bin/true") for _ in range(60)))


async def test_a_task_that_fills_the_disk_can_be_killed_and_its_files_removed(
    node: AgentNode,
) -> None:
    run = node.run(GREEDY)
    await node.controller.hear(RunStarted)
    await _until(lambda: _free(node) < 1 << 20)
    await _use_the_journal(node)
    node.controller.tell(KillTask(run), RemoveTaskFiles("job", f"t{run.serial}", run.serial))
    await node.controller.hear(RunGone)
    await _until(lambda: _free(node) > 12 << 20)
    assert not node.task(run).exists()
    await _use_the_journal(node)


async def test_an_agent_that_starts_on_a_full_disk_goes_on(node: AgentNode) -> None:
    run = node.run("/bin/sleep 1000")
    await node.controller.hear(RunStarted)
    fill(node.folder / "filler")
    await _use_the_journal(node)
    for _ in range(2):
        node.kill()
        node.start()
        await _use_the_journal(node)
    node.controller.tell(KillTask(run))
    await node.controller.hear(RunGone)


async def test_a_node_whose_disk_fills_up_says_so_and_goes_on_once_there_is_room(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", "24m") as folder:
        node = AgentNode(folder, CONFIG)
        await node.begin()
        try:
            await _fill_and_make_room(node)
        finally:
            await node.end()


async def _fill_and_make_room(node: AgentNode) -> None:
    await node.controller.ready()
    greedy = node.run(
        "/bin/sh -c 'echo $AZ_BATCH_TASK_RESERVED_EPHEMERAL_DISK_SPACE_BYTES;"
        " cat /dev/zero > $AZ_BATCH_NODE_SHARED_DIR/big; sleep 1000'"
    )
    full: NodeReport = await node.controller.until(
        lambda: next((r for r in node.controller.all(NodeReport) if r.errors), None)
    )
    assert [error.code for error in full.errors] == ["DiskFull"]
    assert full.ready
    assert int((node.task(greedy) / "stdout.txt").read_text()) == (24 << 20) // 10
    waiting = node.run("/bin/true")
    node.controller.tell(KillTask(greedy), FileRequest(1, FileAction.DELETE, "shared/big"))
    await node.controller.hear(RunGone)
    (reply,) = await node.controller.hear(FileReply)
    assert reply.error == ""
    assert not node.task(waiting).exists()
    await node.controller.until(lambda: node.controller.all(NodeReport)[-1].errors == ())
    (end,) = await node.controller.results(waiting)
    assert end.exit.exit_code == 0
