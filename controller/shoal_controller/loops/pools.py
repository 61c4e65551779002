"""Brings pools to their size: makes nodes, lets them leave, and settles the books."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from shoal_controller.core import pool as pool_rules
from shoal_controller.core.changes import NodeGone, NodePut, PoolGone, PoolPut
from shoal_controller.core.errors import Unavailable
from shoal_controller.core.node import Node, NodeState, is_being_started, moved
from shoal_controller.core.pool import Pool, ResizeError
from shoal_controller.core.reconcile import Resize, resize
from shoal_controller.loops.driver import Loop, contained
from shoal_controller.operations import nodes as node_operations
from shoal_controller.operations.context import POOLS, SCHEDULING, Context
from shoal_controller.operations.joining import hash_secret
from shoal_controller.store import nodes, pools, statistics
from shoal_controller.store.database import Tx

log = logging.getLogger(__name__)


class Fleet(Protocol):
    """Where nodes come from, as this loop needs it: the seam to providers."""

    async def create(self, node: Node, join_token: str) -> Mapping[str, Any]:
        """Make the node, or find the one an interrupted call made; return what to keep of it."""
        ...

    async def stop(self, node: Node) -> None:
        """End all processes of the node and keep its files; `create` starts it again."""
        ...

    async def delete(self, node: Node) -> None:
        """Make the node vanish with all its processes and files; harmless when it is gone."""
        ...

    def cores(self, vm_size: str) -> int:
        """Return how many cores a node of that size counts for."""
        ...

    def new_node_id(self, *, is_dedicated: bool) -> str:
        """Return a fresh node id."""
        ...

    def new_secret(self) -> str:
        """Return a fresh random text that nobody can guess."""
        ...


def loop(fleet: Fleet) -> Loop:
    """Return the loop over all pools of an account, its nodes made by `fleet`."""

    async def work_off(ctx: Context) -> bool:
        return await reconcile_pools(ctx, fleet)

    return Loop(POOLS, 1.0, work_off)


async def reconcile_pools(ctx: Context, fleet: Fleet) -> bool:
    """One round: decide per pool, then make and unmake nodes; return whether to go on at once."""
    for row in await ctx.store.read(pools.ALL):
        pool = pools.pool(row)
        if _needs_work(pool):
            with contained(f"pool {pool.id}"):
                await ctx.settle(lambda tx, serial=pool.serial: _resize(ctx, tx, serial, fleet))
    more = False
    for serial in [view.serial for view in ctx.index.nodes.values() if view.is_on_its_way]:
        for row in await ctx.store.read(nodes.BY_SERIAL, (serial,)):
            node = nodes.node(row)
            with contained(f"node {node.id}"):
                try:
                    more |= await _work_on(ctx, fleet, node)
                except Unavailable as err:
                    log.warning("node %s: %s; trying again", node.id, err)
                    await _note_failure(ctx, node, str(err))
    return more


def _needs_work(pool: Pool) -> bool:
    return (
        pool.state == pool_rules.PoolState.DELETING
        or pool.allocation_state != pool_rules.AllocationState.STEADY
    )


def _resize(ctx: Context, tx: Tx, serial: int, fleet: Fleet) -> None:
    now = ctx.clock.now()
    pool = pools.by_serial(tx, serial)
    if pool is None:
        return
    members = nodes.of_pool(tx, pool.id)
    todo = resize(
        pool,
        members,
        _cores_in_use(tx, fleet),
        fleet.cores(pool.definition.vm_size),
        ctx.account.quotas,
        _used_slots(ctx),
        now,
    )
    _create(ctx, tx, pool, todo, fleet, now)
    for node in todo.leave:
        _leave(ctx, tx, node, pool.deallocation_option, now)
    if todo.settle is not None:
        _settle(tx, pool, members, todo.settle, now)
    if todo.is_gone:
        pools.delete(tx, pool.serial)
        tx.changes.append(PoolGone(pool.id))


def _cores_in_use(tx: Tx, fleet: Fleet) -> tuple[int, int]:
    dedicated = low_priority = 0
    for row in tx.rows("SELECT vm_size, is_dedicated, count(*) AS n FROM nodes GROUP BY 1, 2"):
        cores = fleet.cores(row["vm_size"]) * row["n"]
        if row["is_dedicated"]:
            dedicated += cores
        else:
            low_priority += cores
    return dedicated, low_priority


def _used_slots(ctx: Context) -> Callable[[Node], int]:
    def used(node: Node) -> int:
        view = ctx.index.nodes.get(node.serial)
        return 0 if view is None else view.used

    return used


def _create(ctx: Context, tx: Tx, pool: Pool, todo: Resize, fleet: Fleet, now: datetime) -> None:
    for is_dedicated, count in zip((True, False), todo.create, strict=True):
        for _ in range(count):
            node = Node(
                serial=0,
                id=fleet.new_node_id(is_dedicated=is_dedicated),
                pool_id=pool.id,
                state=NodeState.CREATING,
                state_at=now,
                allocated_at=now,
                slots=pool.definition.slots_per_node,
                vm_size=pool.definition.vm_size,
                is_dedicated=is_dedicated,
                start_task=pool.definition.start_task,
            )
            node = replace(node, serial=nodes.insert(tx, node))
            tx.changes.append(NodePut(node))
            tx.wakes.add(POOLS)


def _leave(
    ctx: Context, tx: Tx, node: Node, option: pool_rules.DeallocationOption, now: datetime
) -> None:
    node = replace(moved(node, NodeState.LEAVING_POOL, now), pending=option)
    node_operations.put(tx, node)


def _settle(
    tx: Tx, pool: Pool, members: list[Node], errors: tuple[ResizeError, ...], now: datetime
) -> None:
    after = pool_rules.settled(pool, now, errors)
    pools.update(tx, after)
    tx.changes.append(PoolPut(after))
    for node in members:
        # A resize that ends early gives nodes that still wait for their tasks back to the pool.
        if errors and node.state == NodeState.LEAVING_POOL and _may_stay(node):
            node_operations.put(tx, replace(moved(node, NodeState.IDLE, now), pending=None))


def _may_stay(node: Node) -> bool:
    return node.boot_id != "" and node.pending in (
        pool_rules.DeallocationOption.TASK_COMPLETION,
        pool_rules.DeallocationOption.RETAINED_DATA,
    )


async def _work_on(ctx: Context, fleet: Fleet, node: Node) -> bool:
    """Make, restart or unmake one node, as its state wants it."""
    if node.state == NodeState.CREATING and not node.provider_state:
        await _make(ctx, fleet, node)
    elif node.state == NodeState.LEAVING_POOL:
        return await _unmake(ctx, fleet, node)
    elif node.state == NodeState.DEALLOCATING:
        await _stop(ctx, fleet, node)
    elif node.state == NodeState.STARTING and is_being_started(node):
        await _make(ctx, fleet, node)
    elif node.pending is not None:
        await node_operations.finish_pending(ctx, node.id)
    return False


async def _make(ctx: Context, fleet: Fleet, node: Node) -> None:
    token = fleet.new_secret()

    def promise(tx: Tx) -> None:
        current = nodes.by_serial(tx, node.serial)
        if current is not None:
            nodes.update(tx, replace(current, join_token_hash=hash_secret(token)))

    await ctx.settle(promise)
    state = await fleet.create(node, token)

    def made(tx: Tx) -> None:
        current = nodes.by_serial(tx, node.serial)
        if current is not None:
            # One that was to be started is; how it goes on, its agent tells.
            pending = None if is_being_started(current) else current.pending
            kept = {**state, "made": True}
            node_operations.put(tx, replace(current, provider_state=kept, pending=pending))

    await ctx.settle(made)
    view = ctx.index.nodes.get(node.serial)
    if view is not None:
        view.heard_s = ctx.clock.monotonic()  # its agent has as long to come as any other


async def _stop(ctx: Context, fleet: Fleet, node: Node) -> None:
    """Stop a node that is being deallocated, once nothing keeps it."""
    if not await _is_drained(ctx, node, NodeState.DEALLOCATING):
        return
    await fleet.stop(node)
    now = ctx.clock.now()

    def stopped(tx: Tx) -> None:
        current = nodes.by_serial(tx, node.serial)
        if current is not None and current.state == NodeState.DEALLOCATING:
            after = replace(moved(current, NodeState.DEALLOCATED, now), pending=None)
            node_operations.put(tx, after)

    await ctx.settle(stopped)


async def _is_drained(ctx: Context, node: Node, state: NodeState) -> bool:
    """Deal with the tasks of a node that is in some state; return whether nothing keeps it."""
    now = ctx.clock.now()

    def clear(tx: Tx) -> bool:
        current = nodes.by_serial(tx, node.serial)
        if current is None or current.state != state:
            return False
        option = current.pending or pool_rules.DeallocationOption.REQUEUE
        node_operations.clear(ctx, tx, current, option, now)
        return node_operations.is_drained(tx, current, now)

    return await ctx.settle(clear)


async def _unmake(ctx: Context, fleet: Fleet, node: Node) -> bool:
    """Let a leaving node go once nothing keeps it; return whether it went."""
    if not await _is_drained(ctx, node, NodeState.LEAVING_POOL):
        return False
    await fleet.delete(node)

    def forget(tx: Tx) -> None:
        current = nodes.by_serial(tx, node.serial)
        if current is not None:
            node_operations.lose(ctx, tx, current, ctx.clock.now())
            statistics.add_past_node(tx, current, ctx.clock.now())
            nodes.delete(tx, node.serial)
            tx.changes.append(NodeGone(node.serial))
            tx.wakes |= {POOLS, SCHEDULING}

    await ctx.settle(forget)
    ctx.links.forget(node.serial)
    return True


async def _note_failure(ctx: Context, node: Node, reason: str) -> None:
    """Tell the pool's users what its provider has trouble with."""
    error = ResizeError("AllocationFailed", "A node could not be allocated", (("Reason", reason),))

    def note(tx: Tx) -> None:
        pool = pools.get(tx, node.pool_id)
        if pool is not None and error not in pool.resize_errors:
            after = replace(pool, resize_errors=(*pool.resize_errors, error))
            pools.update(tx, after)
            tx.changes.append(PoolPut(after))

    await ctx.settle(note)
