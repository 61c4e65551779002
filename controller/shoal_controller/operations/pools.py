"""Pools: create, read, change, resize, delete. loops/pools.py works the sizes off."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, NoReturn

from shoal_controller.core import pool as rules
from shoal_controller.core.autoscale.settings import AutoScale, not_evaluated
from shoal_controller.core.changes import NodePut, PoolPut
from shoal_controller.core.conditions import ANY, Conditions
from shoal_controller.core.errors import Refused
from shoal_controller.core.ids import fold
from shoal_controller.core.listing import Listing, ListQuery
from shoal_controller.core.node import NodeState, moved
from shoal_controller.core.pool import (
    AllocationState,
    DeallocationOption,
    Pool,
    PoolDefinition,
    PoolState,
)
from shoal_controller.operations.certificates import check_references
from shoal_controller.operations.context import POOLS, SCHEDULING, Context
from shoal_controller.store import nodes, pages, pools
from shoal_controller.store.database import Tx


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool and how many nodes it has now."""

    pool: Pool
    current_dedicated: int
    current_low_priority: int


async def create_pool(
    ctx: Context,
    pool_id: str,
    definition: PoolDefinition,
    *,
    target_dedicated: int,
    target_low_priority: int,
    resize_timeout: timedelta,
    auto_scale: tuple[str, timedelta] | None = None,
) -> Pool:
    """Create a pool that is `resizing` to its targets, or raise Refused("PoolExists").

    auto_scale  the formula that it is to scale by, and how often
    """
    now = ctx.clock.now()
    settings = None
    if auto_scale is not None:
        run = not_evaluated(now, target_dedicated, target_low_priority)
        settings = AutoScale(*auto_scale, run)

    def decide(tx: Tx) -> Pool:
        (count,) = tx.rows(pools.COUNT)[0]
        if count >= ctx.account.quotas.pool_count:
            raise Refused(
                "PoolQuotaReached",
                Reason=f"The account has {count} pools; the quota is "
                f"{ctx.account.quotas.pool_count}.",
            )
        check_references(tx, definition.certificates)
        pool = Pool(
            serial=0,
            id=pool_id,
            definition=definition,
            created_at=now,
            modified_at=now,
            state=PoolState.ACTIVE,
            state_at=now,
            allocation_state=AllocationState.RESIZING,
            allocation_state_at=now,
            target_dedicated=target_dedicated,
            target_low_priority=target_low_priority,
            resize_timeout=resize_timeout,
            resize_started_at=now,
            auto_scale=settings,
        )
        try:
            pool = replace(pool, serial=pools.insert(tx, pool))
        except sqlite3.IntegrityError:
            raise Refused("PoolExists") from None
        _tell(tx, pool)
        return pool

    return await ctx.settle(decide)


async def get_pool(ctx: Context, pool_id: str, conditions: Conditions = ANY) -> PoolView:
    """Return a pool."""
    rows = await ctx.store.read(pools.GET, (pool_id,))
    if not rows:
        raise Refused("PoolNotFound")
    pool = pools.pool(rows[0])
    conditions.check(pool.modified_at, is_read=True)
    return await _view(ctx, pool)


async def list_pools(ctx: Context, query: ListQuery) -> Listing[PoolView]:
    """Return a page of the account's pools, oldest first."""
    rows, next_after = await pages.page(ctx.store, pages.POOLS, (), query)
    return Listing([await _view(ctx, pools.pool(row)) for row in rows], next_after)


async def patch_pool(
    ctx: Context, pool_id: str, changes: Mapping[str, Any], conditions: Conditions = ANY
) -> Pool:
    """Replace the given attributes of a pool's definition, each as a whole.

    Of `carried` only the given documents are replaced. Nodes take a new start task at their next
    boot. What shapes nodes (size, slots...) can be changed only while the pool has none.
    """
    now = ctx.clock.now()

    def decide(tx: Tx) -> Pool:
        pool = find_pool(tx, pool_id)
        conditions.check(pool.modified_at)
        rules.check_active(pool)
        carried = changes.get("carried", {})
        check_references(tx, changes.get("certificates", ()))
        shaping = changes.keys() - {"start_task", "metadata", "certificates", "carried"}
        shaping |= carried.keys() - {"resourceTags", "targetNodeCommunicationMode"}
        if shaping and nodes.of_pool(tx, pool.id):
            raise Refused(
                "OperationNotValidOnPool",
                Reason="vmSize, taskSlotsPerNode and the like can be changed only while the pool "
                "has no nodes; resize it to 0 first.",
            )
        carried = {**pool.definition.carried, **carried}
        definition = replace(pool.definition, **{**changes, "carried": carried})
        return put(tx, replace(pool, definition=definition, modified_at=now))

    return await ctx.settle(decide)


async def resize_pool(
    ctx: Context,
    pool_id: str,
    *,
    dedicated: int | None,
    low_priority: int | None,
    timeout: timedelta,
    option: DeallocationOption,
    conditions: Conditions = ANY,
) -> Pool:
    """Begin to change a pool's size."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> Pool:
        pool = find_pool(tx, pool_id)
        conditions.check(pool.modified_at)
        after = rules.resize(
            pool,
            now,
            dedicated=dedicated,
            low_priority=low_priority,
            timeout=timeout,
            option=option,
        )
        return put(tx, after)

    return await ctx.settle(decide)


async def stop_resize(ctx: Context, pool_id: str, conditions: Conditions = ANY) -> Pool:
    """Stop changing a pool's size; it settles at what it has."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> Pool:
        pool = find_pool(tx, pool_id)
        conditions.check(pool.modified_at)
        return put(tx, rules.stop_resize(pool, now))

    return await ctx.settle(decide)


async def remove_nodes(
    ctx: Context,
    pool_id: str,
    node_ids: Sequence[str],
    *,
    timeout: timedelta,
    option: DeallocationOption,
    conditions: Conditions = ANY,
) -> Pool:
    """Begin to remove particular nodes; the pool's targets fall by as many."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> Pool:
        pool = find_pool(tx, pool_id)
        conditions.check(pool.modified_at)
        rules.check_active(pool)
        leaving = {}
        for node_id in node_ids:
            node = nodes.get(tx, pool.id, node_id)
            if node is None:
                raise Refused("NodeNotFound", Reason=f"Pool '{pool.id}' has no node '{node_id}'.")
            if node.state != NodeState.LEAVING_POOL:
                leaving[node.serial] = node
        dedicated = sum(node.is_dedicated for node in leaving.values())
        after = rules.resize(
            pool,
            now,
            dedicated=max(0, pool.target_dedicated - dedicated),
            low_priority=max(0, pool.target_low_priority - len(leaving) + dedicated),
            timeout=timeout,
            option=option,
        )
        for node in leaving.values():
            gone = replace(moved(node, NodeState.LEAVING_POOL, now), pending=option)
            nodes.update(tx, gone)
            tx.changes.append(NodePut(gone))
        return put(tx, after)

    return await ctx.settle(decide)


async def delete_pool(ctx: Context, pool_id: str, conditions: Conditions = ANY) -> None:
    """Begin to delete a pool: its nodes leave, its tasks return to their queues."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> None:
        pool = find_pool(tx, pool_id)
        conditions.check(pool.modified_at)
        put(tx, rules.delete(pool, now))

    await ctx.settle(decide)


async def refuse_upgrade(ctx: Context, pool_id: str, conditions: Conditions) -> NoReturn:
    """Raise Refused: what is absent or in the way, or that there are no cloud service pools."""

    def decide(tx: Tx) -> None:
        pool = find_pool(tx, pool_id)
        conditions.check(pool.modified_at)
        rules.check_active(pool)

    await ctx.settle(decide)
    raise Refused(
        "PoolNotEligibleForOSVersionUpgrade",
        Reason="Only pools created with cloudServiceConfiguration have a guest OS to upgrade.",
    )


def find_pool(tx: Tx, pool_id: str) -> Pool:
    """Return a pool within a write, or raise Refused."""
    pool = pools.get(tx, pool_id)
    if pool is None:
        raise Refused("PoolNotFound")
    return pool


def put(tx: Tx, pool: Pool) -> Pool:
    """Store a changed pool and return it; tell the index and the loops."""
    pools.update(tx, pool)
    _tell(tx, pool)
    return pool


def _tell(tx: Tx, pool: Pool) -> None:
    tx.changes.append(PoolPut(pool))
    tx.wakes |= {POOLS, SCHEDULING}


async def _view(ctx: Context, pool: Pool) -> PoolView:
    view = ctx.index.pools.get(fold(pool.id))
    kinds = [] if view is None else [node.is_dedicated for node in view.nodes.values()]
    return PoolView(pool, sum(kinds), len(kinds) - sum(kinds))
