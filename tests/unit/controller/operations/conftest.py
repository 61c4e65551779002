"""One account at work on a file of its own, with links that only remember."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shoal_controller.core.account import Account
from shoal_controller.core.errors import Unavailable
from shoal_controller.core.job import JobDefinition
from shoal_controller.core.node import Node
from shoal_controller.core.task import Task, TaskDefinition
from shoal_controller.loops.scheduling import schedule
from shoal_controller.operations import jobs, reports, tasks
from shoal_controller.operations.context import Context
from shoal_controller.operations.nodes import put
from shoal_controller.operations.tasks import NewTask
from shoal_controller.store import nodes
from shoal_controller.store import tasks as task_rows
from shoal_controller.store.database import Tx
from shoal_protocol.codec import Entry
from shoal_protocol.messages import HeldRun, Hello, Message, Request
from shoal_protocol.specs import NodeConfig, RunId
from tests.builders import NOON, a_node


class ClockByHand:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Told:
    """What nodes were told, in order."""

    messages: list[tuple[int, Message]] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)

    def send(self, node_serial: int, message: Message) -> None:
        self.messages.append((node_serial, message))

    async def request(self, node_serial: int, request: Request) -> Any:
        raise Unavailable("nobody is there")

    def forget(self, node_serial: int) -> None:
        self.forgotten.append(node_serial)

    def take(self) -> list[Message]:
        """Return what was told since the last time."""
        taken = [message for _, message in self.messages]
        self.messages.clear()
        return taken


class House:
    """A context, and short words for what tests do with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ClockByHand()
        self.told = Told()
        self.ctx = self._open()

    def _open(self) -> Context:
        account = Account("a", (b"1", b"2"), storage_keys=(b"3", b"4"), seal=b"5")
        return Context(account, self.path, self.clock, self.told, commit_inline=True)

    async def restart(self) -> None:
        """A new process on the same file."""
        await self.ctx.close()
        self.told.messages.clear()
        self.ctx = self._open()

    async def add_node(self, **changes: Any) -> Node:
        """Store a node of pool `p` and connect its agent."""

        def insert(tx: Tx) -> Node:
            node = a_node(boot_id="boot", **changes)
            serial = nodes.insert(tx, node)
            node = a_node(boot_id="boot", **{**changes, "serial": serial})
            put(tx, node)
            return node

        node = await self.ctx.settle(insert)
        await self.hello(node)
        self.told.take()
        return node

    async def hello(self, node: Node, *held: HeldRun, boot_id: str = "boot") -> NodeConfig:
        """Connect the node's agent, which holds these runs."""
        told = Hello(1, node.id, boot_id, NOON, "v", "i", "", 0, "10.0.0.1", 1, held)
        return await reports.agent_hello(self.ctx, node.serial, told, ())

    async def report(self, node: Node, *messages: Message) -> None:
        """Let the node's agent tell these in one frame."""
        entries = [Entry(seq, message) for seq, message in enumerate(messages, 1)]
        await reports.agent_entries(self.ctx, node.serial, entries)

    async def add_tasks(self, job_id: str, *task_ids: str, **definition: Any) -> None:
        """Add tasks to a job, which is created where it is missing."""
        known = {view.id for view in self.ctx.index.jobs.values()}
        if job_id not in known:
            await jobs.create_job(self.ctx, job_id, JobDefinition("p"))
        new = [NewTask(task_id, TaskDefinition("/bin/true", **definition)) for task_id in task_ids]
        await tasks.add_tasks(self.ctx, job_id, new)

    async def schedule(self) -> list[Message]:
        """Plan once, and return what nodes were told since the last time."""
        await schedule(self.ctx)
        return self.told.take()

    def task(self, serial: int) -> Task:
        (row,) = self.ctx.store.read_now(task_rows.BY_SERIAL, (serial,))
        return task_rows.task(row)


def run(serial: int, attempt: int) -> RunId:
    return RunId(serial, attempt)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    opened = House(tmp_path / "state.db")
    yield opened
    await opened.ctx.close()
