"""A node whose disk is full to the last block: tasks still end, and their files can be removed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from shoal_protocol.messages import KillTask, RemoveTaskFiles, RunGone, RunStarted
from tests.contracts.agent_node import AgentNode
from tests.contracts.conftest import CONFIG
from tests.disks import fill, small_disk

GREEDY = "/bin/sh -c 'while :; do head -c 300000 /dev/zero >> big; done 2>/dev/null'"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[AgentNode]:
    with small_disk(tmp_path / "disk", "24m") as folder:
        node = AgentNode(folder, CONFIG)
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
