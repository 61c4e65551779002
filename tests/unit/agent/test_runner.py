"""The agent's hands when its own disk is in trouble."""

from __future__ import annotations

import asyncio
import errno
import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from shoal_agent import runner as runners
from shoal_agent.core.agent import AgentCore, Setting
from shoal_agent.core.instructions import DiskMeasured, SpawnerUp
from shoal_agent.core.records import Record
from shoal_agent.core.spawning import Snapshot
from shoal_agent.disk import measure
from shoal_agent.journal import Journal
from shoal_agent.runner import Runner, read_clock
from shoal_protocol.link import LinkEnd
from shoal_protocol.messages import HeldRun, NodeReport, RunPhase, RunTask
from shoal_protocol.specs import RunId, TaskSpec

RUN = RunId(1, 1)


class FullJournal(Journal):
    """A journal whose disk is full when it is told so."""

    is_full = False

    def append(self, records: Sequence[Record]) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "no space left")
        super().append(records)


async def test_a_journal_without_room_does_not_keep_the_node_from_telling_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "DISK_PERIOD_S", 0.01)
    monkeypatch.setattr(runners, "JOURNAL_RETRY_S", 0.05)
    journal = FullJournal(tmp_path)
    setting = Setting("/root", "machine", "C", itertools.cycle(["boot"]).__next__, 100)
    core = AgentCore(setting, journal.open(), read_clock())
    link = LinkEnd("agent")
    runner = Runner(core, journal, link, "machine")

    def told() -> list[list[str]]:
        found = [m for m in link.unacked_messages if isinstance(m, NodeReport)]
        return [[error.code for error in report.errors] for report in found]

    async def until(count: int) -> None:
        async with asyncio.timeout(20):
            while len(told()) < count:
                await asyncio.sleep(0.01)

    free = 500

    async def measured() -> DiskMeasured:
        return DiskMeasured(1000, free)

    runner.post([SpawnerUp("life", Snapshot(1, 1, {}))])
    runner.watch_disk(measured)
    await until(1)
    journal.is_full = True
    runner.post([RunTask(RUN, TaskSpec("j", "t", "true"))])
    await asyncio.sleep(0)
    free = 0
    await until(3)
    assert told() == [[], [], ["DiskFull"]]  # the new boot, its first contact, and the disk
    journal.is_full, free = False, 500
    await until(4)
    assert told()[-1] == []
    async with asyncio.timeout(20):
        while core.held_runs != (HeldRun(RUN, RunPhase.QUEUED, 1),):
            await asyncio.sleep(0.01)
    assert not runner.link.has_output


def test_a_disk_is_measured_as_everybody_may_use_it(tmp_path: Path) -> None:
    found = measure(tmp_path)
    assert found is not None
    assert 0 <= found.free_bytes <= found.size_bytes
    assert found.size_bytes > 0
    assert measure(tmp_path / "none") is None
