"""A node: a disk that outlives everything, a spawner that outlives the agent, and an agent.

The agent is the real one from the journal on its disk to the frames of its link; only steps, the
spawner and the network beneath it are scripts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from shoal_agent.connection import Connection
from shoal_agent.core.agent import AgentCore, Setting
from shoal_agent.core.environment import Account, account_key
from shoal_agent.core.failures import failure
from shoal_agent.core.instructions import (
    DiskMeasured,
    Done,
    Prepared,
    PrepareFiles,
    PrepareUsers,
    Step,
    StepFailed,
    StepOutcome,
    UsersReady,
)
from shoal_agent.core.records import Record
from shoal_agent.journal import Journal
from shoal_agent.runner import Runner
from shoal_agent.stepping import Steps
from shoal_controller.core.errors import Refused, Unavailable
from shoal_protocol.link import LinkEnd
from shoal_protocol.messages import PROTOCOL_VERSION, Hello
from shoal_protocol.specs import AutoUserScope, ElevationLevel, UserIdentity
from tests.simulation.network import DialTone
from tests.simulation.spawner import SimSpawner, SimSpawnerClient
from tests.simulation.virtual import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

DISK_BYTES = 1000
RESERVED_BYTES = 100
AGENT_RESTART_S = 0.5
"""A dead agent is started again after about so long."""


class SimNode:
    """One machine."""

    def __init__(self, world: World, label: str, node_id: str, folder: Path, token: str) -> None:
        self.world = world
        self.label = label
        self.node_id = node_id
        self.token = token
        self.key = ""
        self.is_deleted = self.is_stopped = False
        self.machine_count = 1
        self.spawner_count = 0
        self.spawner: SimSpawner | None = None
        self.agent: Agent | None = None
        self.is_disk_full = False
        self.full_since_s: float | None = None  # and nothing has disturbed the node since then
        self._starting: Any = None
        self.folder = folder
        folder.mkdir()

    def start_agent(self) -> None:
        """Start the agent, unless it lives or the node is gone."""
        if self.agent is None and not self.is_deleted and not self.is_stopped:
            self.world.trace("agent starts", self.label)
            self.disturbed()
            self.agent = Agent(self)

    def kill_agent(self) -> None:
        """kill -9 on the agent; what watches over it starts it again."""
        if self.agent is None:
            return
        self.world.trace("agent dies", self.label)
        agent, self.agent = self.agent, None
        agent.die()
        if self.spawner is not None:
            self.spawner.listener = None
        self.world.loop.later(AGENT_RESTART_S * self.world.rng.random(), self.start_agent)

    def kill_spawner(self) -> None:
        """kill -9 on the spawner: its processes are lost."""
        if self.spawner is None or not self.spawner.is_alive:
            return
        self.world.trace("spawner dies", self.label)
        self.spawner.die()
        if self.agent is not None:
            self.agent.spawner_died()

    def hang_up(self) -> None:
        """The socket between agent and spawner breaks; what is under way in it is lost."""
        if self.agent is not None and self.spawner is not None and self.spawner.is_alive:
            self.world.trace("spawner hangs up", self.label)
            self.spawner.listener = None
            self.agent.spawner_died()

    def fill_disk(self, seconds: float) -> None:
        """The disk is full, for so long."""
        if not self.is_disk_full:
            self.world.trace("disk full", self.label, round(seconds))
            self.is_disk_full = True
            self.disturbed()
            self.world.loop.later(seconds, self._empty_disk)

    def disturbed(self) -> None:
        """Something happened after which news of the node take their time."""
        self.full_since_s = self.world.loop.time() if self.is_disk_full else None

    def _empty_disk(self) -> None:
        self.world.trace("disk empty", self.label)
        self.is_disk_full = False
        self.disturbed()

    def power_cycle(self) -> None:
        """The machine restarts."""
        self.world.trace("machine restarts", self.label)
        self.machine_count += 1
        if self.spawner is not None:
            self.spawner.die()
        self.kill_agent()

    def stop(self) -> None:
        """End all that runs on the node, until it is started again."""
        self.is_stopped = True
        self._end()

    def delete(self) -> None:
        """Unmake the node with all that runs on it."""
        self.is_deleted = True
        self._end()

    def _end(self) -> None:
        if self.agent is not None:
            self.agent.die()
            self.agent = None
        if self.spawner is not None:
            self.spawner.die()

    def find_spawner(self) -> SimSpawner:
        """Return the spawner that lives, starting one when none does."""
        if self.spawner is None or not self.spawner.is_alive:
            self.spawner_count += 1
            self.spawner = SimSpawner(self, self.spawner_count)
        return self.spawner

    def in_agent(self, call: Callable[..., None]) -> Callable[..., None]:
        """Return `call` as something that happens within the present agent process, if it lives."""
        agent = self.agent
        assert agent is not None

        def run(*args: Any) -> None:
            if not agent.process.is_dead:
                agent.context_run(call, *args)

        return run


class Agent:
    """One life of a node's agent process."""

    def __init__(self, node: SimNode) -> None:
        self.node = node
        self.process = Process(f"agent {node.label}")
        node.world.processes.append(self.process)
        self.runner: Runner | None = None
        self._core: AgentCore | None = None
        self._client: SimSpawnerClient | None = None
        self._journal = SimJournal(node)
        self.process.spawn(self._run())

    def die(self) -> None:
        """Nothing of it happens any more; its files are closed and its connections break."""
        self.process.kill()
        self._journal.close()
        self.node.world.network.died(self.process)

    def spawner_died(self) -> None:
        if self._client is not None:
            self.node.in_agent(self._client.lost)()

    def context_run(self, call: Callable[..., None], *args: Any) -> None:
        """Do something from outside, such as a signal or a socket, within the process."""

        async def happen() -> None:
            call(*args)

        self.process.spawn(happen())

    @property
    def held(self) -> Sequence[Any]:
        """The runs that it holds, for the final audit."""
        return () if self._core is None else self._core.held_runs

    @property
    def kept(self) -> Sequence[int]:
        """The tasks whose directories it keeps."""
        return () if self._core is None else self._core.directories.serials()

    async def _run(self) -> None:
        node, world = self.node, self.node.world
        records = self._journal.open()
        if world.rng.random() < 0.3:
            self._journal.compact(records, machine=str(node.machine_count))
            self._journal.close()
            self._journal = SimJournal(node)
            records = self._journal.open()
        setting = Setting(
            "/nowhere", str(node.machine_count), "C.UTF-8", world.fresh_id, RESERVED_BYTES
        )
        core = self._core = AgentCore(setting, records, world.agent_clock())
        link = LinkEnd(world.fresh_id())
        runner = self.runner = Runner(core, self._journal, link, setting.machine, world.agent_clock)
        self._client = SimSpawnerClient(node, runner.spawner_events, runner.spawner_lost)
        runner.spawner = self._client  # pyright: ignore[reportAttributeAccessIssue]
        runner.steps = SimSteps(world, runner)
        runner.post([self._disk()])
        runner.watch_disk(self._measure)
        runner.bring_up_spawner()
        await self._join()
        await runner.is_up.wait()

        def hello() -> Hello:
            assert core.node.booted_at is not None
            return Hello(
                PROTOCOL_VERSION, node.node_id, core.node.boot_id, core.node.booted_at, "sim",
                link.incarnation, link.peer_incarnation, link.received_seq, "10.0.0.1", 4,
                core.held_runs,
            )  # fmt: skip

        session: Any = DialTone(world, node.label)
        await Connection(session, "http://c", node.key, runner, hello, world.rng).run()

    def _disk(self) -> DiskMeasured:
        return DiskMeasured(DISK_BYTES, 0 if self.node.is_disk_full else DISK_BYTES // 2)

    async def _measure(self) -> DiskMeasured:
        await self.node.world.pause(0.1)
        return self._disk()

    async def _join(self) -> None:
        node, world = self.node, self.node.world
        while not node.key:
            try:
                node.key = await world.controller.join(node)
            except (aiohttp.ClientError, Refused, Unavailable):
                await asyncio.sleep(0.5)


class SimJournal(Journal):
    """The real journal on a RAM disk; the process may die before or after a write."""

    def __init__(self, node: SimNode) -> None:
        super().__init__(node.folder)
        self._node = node

    @property
    def wants_compaction(self) -> bool:
        return False

    def append(self, records: Sequence[Record]) -> None:
        world = self._node.world
        world.crash_point("agent", self._node.label)
        super().append(records)
        world.crash_point("agent", self._node.label)

    def compact(self, records: Sequence[Record], machine: str) -> None:
        """Replace what was read by the snapshot of what it says."""
        world = self._node.world
        setting = Setting("/nowhere", machine, "C.UTF-8", world.fresh_id)
        core = AgentCore(setting, records, world.agent_clock())
        self.write_base(self.begin_compaction(), core.snapshot())


class SimSteps(Steps):
    """The real keeper of steps; what the steps do takes time and sometimes fails."""

    def __init__(self, world: World, runner: Runner) -> None:
        nothing: Any = None
        root = Path("/nowhere")
        super().__init__(nothing, nothing, root, root, 1, runner.step_ended)
        self._world = world

    async def _do(self, step: Step) -> StepOutcome:
        await self._world.pause(0.3)
        match step:
            case PrepareUsers(users, _):
                identities = [
                    UserIdentity(None, s, e) for s in AutoUserScope for e in ElevationLevel
                ]
                identities += [UserIdentity(user.name) for user in users]
                return UsersReady({account_key(i): Account("u") for i in identities})
            case PrepareFiles():
                if any("missing" in (file.http_url or "") for file in step.resource_files):
                    return StepFailed(failure("BlobNotFound"))
                return Prepared(step.account or Account("u"))
            case _:
                return Done()
