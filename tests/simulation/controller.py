"""The controller as one process that can die: everything from its operations to its side of a link.

Real are the context with store and index, the loops, the fleet, the registry, the connections and
the reception; scripted are the disk's delays and troubles, the provider, and the network.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp

from shoal_controller.core.account import Account, Quotas
from shoal_controller.core.changes import NodePut, TaskMoved
from shoal_controller.core.errors import Refused, Unavailable
from shoal_controller.core.scheduler import Limits
from shoal_controller.fleet import Fleet
from shoal_controller.links.connection import Connection
from shoal_controller.links.registry import Registry
from shoal_controller.loops import driver, jobs, jobschedules, liveness, pools, scheduling
from shoal_controller.operations.context import Context
from shoal_controller.providers.base import NodeOrder, ProvidedNode, node_id
from shoal_controller.reception import Reception
from shoal_controller.store.database import Database, Tx
from tests.simulation.network import Socket
from tests.simulation.node import SimNode
from tests.simulation.virtual import Crash, Process, VirtualLoop, wall_time

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")
ACCOUNT = "sim"
LIMITS = Limits(placements_max=7, ahead_s_max=0.5, ahead_count_max=4, window_tasks_max=6)
"""Small, so that every limit is met."""


class ConnectionLost(Exception):
    """A client's request had no answer: nobody knows whether it was carried out."""


class SimClock:
    """The controller's clock; looking at it sometimes takes time, so that groups are cut."""

    def __init__(self, loop: VirtualLoop, rng: Random) -> None:
        self._loop = loop
        self._rng = rng

    def now(self) -> datetime:
        return wall_time(self._loop)

    def monotonic(self) -> float:
        if self._rng.random() < 0.05:
            self._loop.advance(self._rng.choice((0.001, 0.004, 0.06)))
        return self._loop.time()


class SimDatabase(Database):
    """The real store; its disk takes time, fills up, and the process may die around a commit."""

    world: World

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._group: list[Tx] = []

    async def _run_group(self, group: Any) -> None:
        self._group.clear()
        await super()._run_group(group)

    def _run_one(self, write: Any) -> None:
        super()._run_one(write)
        if write.error is None:
            self._group.append(write.tx)

    async def _commit(self) -> None:
        world = self.world
        group, self._group = self._group, []
        await asyncio.sleep(0.0002 + 0.005 * world.rng.random() ** 4)
        world.crash_point("controller", "before a commit")
        if world.happens("disk_full"):
            world.trace("disk full")
            raise sqlite3.OperationalError("database or disk is full")
        await super()._commit()
        world.ledger.is_dirty = True
        for change in (change for tx in group for change in tx.changes):
            if isinstance(change, TaskMoved):
                world.ledger.task_moved(change)
            elif isinstance(change, NodePut):
                world.ledger.node_put(change.node)
        world.crash_point("controller", "after a commit")

    def die(self) -> None:
        """What was not committed is gone."""
        self._writer.rollback()
        self._writer.close()
        assert self._inline_reader is not None
        self._inline_reader.close()


class SimContext(Context):
    """The real context, which may die before anybody hears of what was committed."""

    world: World

    def _committed(self, tx: Tx) -> None:
        self.world.crash_point("controller", "between commit and send")
        super()._committed(tx)


class SimFleet(Fleet):
    """The real fleet with ids from the seed."""

    world: World

    def new_node_id(self, *, is_dedicated: bool) -> str:
        return node_id(self.world.rng.randbytes(32), is_dedicated=is_dedicated)


class SimProvider:
    """Nodes that are objects. Making one may fail, or die half made."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def create(self, order: NodeOrder) -> Mapping[str, Any]:
        world = self._world
        await world.pause(0.5)
        if world.happens("provider_fails"):
            raise Unavailable("no machine to be had")
        node = world.nodes.get(order.node_id)
        if node is None:
            label = f"n{len(world.labels) + 1}"
            world.labels[order.node_id] = label
            node = SimNode(world, label, order.node_id, world.folder / label, order.join_token)
            world.nodes[order.node_id] = node
            world.trace("node made", label)
        node.token = order.join_token
        node.is_stopped = False
        node.start_agent()
        world.crash_point("controller", "node made, not noted")
        await world.pause(0.5)
        return {"label": node.label}

    async def list(self) -> Mapping[str, ProvidedNode]:
        return {
            node.node_id: ProvidedNode(node.node_id, {"label": node.label}, True)
            for node in self._world.nodes.values()
        }

    async def stop(self, node_id: str, state: Mapping[str, Any]) -> None:
        world = self._world
        await world.pause(0.5)
        node = world.nodes.get(node_id)
        if node is not None:
            world.trace("node stopped", node.label)
            node.stop()
        world.crash_point("controller", "node stopped, not noted")

    async def delete(self, node_id: str, state: Mapping[str, Any]) -> None:
        world = self._world
        await world.pause(0.5)
        node = world.nodes.pop(node_id, None)
        if node is not None:
            world.trace("node unmade", node.label)
            node.delete()
        world.crash_point("controller", "node unmade, not noted")


class SimController:
    """The controller's machine: a disk, and one process after another."""

    def __init__(self, world: World, path: Path) -> None:
        self._world = world
        self._path = path
        self._answers: set[asyncio.Future[Any]] = set()
        self.process = Process("controller")
        self.ctx: SimContext | None = None
        self.registry: Registry | None = None
        self._reception: Reception | None = None

    @property
    def is_up(self) -> bool:
        return self.ctx is not None

    def start(self) -> None:
        """Begin a new life on the same file."""
        world = self._world
        world.trace("controller starts")
        self.process = Process("controller")
        world.processes.append(self.process)
        self.process.spawn(self._run(self.process))

    def kill(self, why: str) -> None:
        """kill -9, to be started again soon."""
        world = self._world
        if self.ctx is None:
            return
        world.trace("controller dies", why)
        self.process.kill()
        store = self.ctx.store
        assert isinstance(store, SimDatabase)
        store.die()
        world.network.died(self.process)
        self.ctx = None
        for answer in self._answers:
            if not answer.done():
                answer.set_exception(ConnectionLost("the controller died"))
        self._answers.clear()
        world.loop.later(0.05 + 2.0 * world.rng.random(), self.start)

    async def call(self, operation: Callable[[Context], Awaitable[T]]) -> T:
        """Carry out a client's request; raises ConnectionLost when its answer does not arrive."""
        world = self._world
        await world.pause(0.01)
        ctx = self.ctx
        if ctx is None or world.happens("request_lost"):
            raise ConnectionLost("no answer")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._answers.add(answer)
        self.process.spawn(_answer(operation, ctx, answer))
        try:
            result = await answer
        finally:
            self._answers.discard(answer)
        await world.pause(0.01)
        if world.happens("answer_lost"):
            raise ConnectionLost("the answer was lost")
        return result

    async def join(self, node: SimNode) -> str:
        """What POST /shoal/v1/join does."""
        reception = self._reception
        await self._world.pause(0.01)
        if not self.is_up or reception is None or node.label in self._world.network.unreachable:
            raise aiohttp.ClientConnectionError("no answer")
        try:
            return await self.call(lambda _: reception.join(node.node_id, node.token))
        except ConnectionLost as lost:
            raise aiohttp.ClientConnectionError("no answer") from lost

    async def accept(self, label: str, key: str) -> Socket:
        """What GET /shoal/v1/link does, up to the upgrade."""
        reception, registry, process = self._reception, self.registry, self.process
        assert reception is not None
        assert registry is not None
        try:
            ref = await self.call(lambda _: reception.authenticate(key))
        except (ConnectionLost, Refused, Unavailable) as error:
            raise aiohttp.ClientConnectionError(f"no link: {error}") from error
        if process.is_dead:
            raise aiohttp.ClientConnectionError("no answer")
        client, serving = self._world.network.connect(label, process)
        link = registry.node(ref.account, ref.serial, ref.node_id)
        socket: Any = serving
        process.spawn(Connection(socket, link, registry, reception).serve())
        return client

    async def _run(self, process: Process) -> None:
        world = self._world
        clock = SimClock(world.loop, world.rng)
        registry = Registry(clock)
        SimContext.world = SimDatabase.world = SimFleet.world = world
        account = Account(ACCOUNT, (b"1", b"2"), Quotas(dedicated_core_count=12))
        ctx = SimContext(
            account, self._path, clock, registry.of(ACCOUNT), limits=LIMITS, commit_inline=True,
            store_type=SimDatabase,
        )  # fmt: skip
        fleet = SimFleet(ACCOUNT, SimProvider(world))
        self.registry = registry
        self._reception = Reception({ACCOUNT: ctx}, lambda _: fleet.new_secret())
        self.ctx = ctx
        world.ledger.is_dirty = True
        await fleet.delete_unknown(ctx.index.node_by_id)
        for loop in (
            scheduling.LOOP,
            jobs.LOOP,
            jobschedules.LOOP,
            liveness.LOOP,
            pools.loop(fleet),
        ):
            process.spawn(driver.run(ctx, loop))


async def _answer(
    operation: Callable[[Context], Awaitable[T]], ctx: Context, answer: asyncio.Future[T]
) -> None:
    try:
        result = await operation(ctx)
    except (Refused, Unavailable) as error:
        if not answer.done():
            answer.set_exception(error)
    except Crash:
        raise
    else:
        if not answer.done():
            answer.set_result(result)
