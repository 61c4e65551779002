"""Autoscale of pools: enable, disable, try. What a formula asks for is not carried out yet."""

from __future__ import annotations

from datetime import timedelta
from typing import NoReturn

from shoal_controller.core import pool as rules
from shoal_controller.core.conditions import Conditions
from shoal_controller.core.errors import Refused
from shoal_controller.core.pool import Pool
from shoal_controller.operations import pools as operations
from shoal_controller.operations.context import Context
from shoal_controller.store.database import Tx


async def enable_auto_scale(
    ctx: Context,
    pool_id: str,
    formula: str | None,
    interval: timedelta | None,
    conditions: Conditions,
) -> Pool:
    """Let a pool scale by a formula; what is None keeps its value."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> Pool:
        pool = operations.find_pool(tx, pool_id)
        conditions.check(pool.modified_at)
        return operations.put(tx, rules.enable_auto_scale(pool, now, formula, interval))

    return await ctx.settle(decide)


async def disable_auto_scale(ctx: Context, pool_id: str) -> Pool:
    """Let a pool keep the size it has; harmless where autoscale is off."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> Pool:
        pool = operations.find_pool(tx, pool_id)
        after = rules.disable_auto_scale(pool, now)
        return pool if after is pool else operations.put(tx, after)

    return await ctx.settle(decide)


async def refuse_evaluation(ctx: Context, pool_id: str) -> NoReturn:
    """Raise Refused: what is absent or in the way, or that formulas are not evaluated yet."""
    pool = (await operations.get_pool(ctx, pool_id)).pool
    rules.check_active(pool)
    if pool.auto_scale is None:
        raise Refused(
            "OperationInvalidForCurrentState",
            Reason=f"Pool '{pool.id}' does not scale by a formula; enable autoscale first.",
        )
    raise Refused(
        "NotImplemented",
        Reason="Shoal keeps autoscale formulas but cannot evaluate them yet: what reads and "
        "computes them is missing.",
    )
