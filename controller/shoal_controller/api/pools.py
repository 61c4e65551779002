"""Handlers of pools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from shoal_controller.api.call import Call, stamped
from shoal_controller.api.conditions import read_conditions
from shoal_controller.api.lists import check_expand, listed, read_query, selected
from shoal_controller.api.wire import autoscale
from shoal_controller.api.wire import pool as wire
from shoal_controller.core.conditions import Conditions
from shoal_controller.core.odata import fields
from shoal_controller.core.pool import Pool
from shoal_controller.operations import autoscaling, pools, statistics


async def list_pools(call: Call) -> web.Response:
    listing = await pools.list_pools(call.ctx, read_query(call, fields.POOLS))
    stats = await _statistics(call, *(view.pool for view in listing.items))
    return await listed(call, "pools", listing, lambda view: _write(call, view, stats))


async def create_pool(call: Call) -> web.Response:
    new = wire.read_pool(call.version.take("pool_create", await call.document()))
    pool = await pools.create_pool(
        call.ctx,
        new.id,
        new.definition,
        target_dedicated=new.target_dedicated,
        target_low_priority=new.target_low_priority,
        resize_timeout=new.resize_timeout,
        auto_scale=new.auto_scale,
    )
    return call.created(call.url("pools", pool.id), pool.modified_at)


async def get_pool(call: Call) -> web.Response:
    check_expand(call)
    view = await pools.get_pool(call.ctx, call.arguments["poolId"], _conditions(call))
    document = selected(call, _write(call, view, await _statistics(call, view.pool)))
    return call.entity("pools/@Element", document, view.pool.modified_at)


async def pool_exists(call: Call) -> web.Response:
    view = await pools.get_pool(call.ctx, call.arguments["poolId"], _conditions(call))
    return stamped(web.Response(), view.pool.modified_at)


async def update_pool(call: Call) -> web.Response:
    document = call.version.take("pool_patch", await call.document())
    return await _change(call, 200, wire.read_patch(document))


async def replace_properties(call: Call) -> web.Response:
    document = call.version.take("pool_replace", await call.document())
    return await _change(call, 204, wire.read_replacement(document))


async def delete_pool(call: Call) -> web.Response:
    await pools.delete_pool(call.ctx, call.arguments["poolId"], _conditions(call))
    return call.done(202, with_id=False)


async def resize_pool(call: Call) -> web.Response:
    values = wire.read_resize(call.version.take("pool_resize", await call.document()))
    pool = await pools.resize_pool(
        call.ctx, call.arguments["poolId"], conditions=_conditions(call), **values
    )
    return call.done(202, pool.modified_at)


async def stop_resize(call: Call) -> web.Response:
    pool = await pools.stop_resize(call.ctx, call.arguments["poolId"], _conditions(call))
    return call.done(202, pool.modified_at)


async def remove_nodes(call: Call) -> web.Response:
    values = wire.read_removal(await call.document())
    pool = await pools.remove_nodes(
        call.ctx, call.arguments["poolId"], conditions=_conditions(call), **values
    )
    return call.done(202, pool.modified_at)


async def enable_auto_scale(call: Call) -> web.Response:
    formula, interval = autoscale.read_enable(await call.document())
    pool = await autoscaling.enable_auto_scale(
        call.ctx, call.arguments["poolId"], formula, interval, _conditions(call)
    )
    return call.done(200, pool.modified_at)


async def disable_auto_scale(call: Call) -> web.Response:
    pool = await autoscaling.disable_auto_scale(call.ctx, call.arguments["poolId"])
    return call.done(200, pool.modified_at)


async def evaluate_auto_scale(call: Call) -> web.Response:
    autoscale.check_evaluate(await call.document())
    await autoscaling.refuse_evaluation(call.ctx, call.arguments["poolId"])


async def upgrade_os(call: Call) -> web.Response:
    wire.check_upgrade(await call.document())
    await pools.refuse_upgrade(call.ctx, call.arguments["poolId"], _conditions(call))


async def _statistics(call: Call, *shown: Pool) -> Mapping[int, statistics.NodeStatistics]:
    return await statistics.of_pools(call.ctx, shown) if check_expand(call) else {}


def _write(
    call: Call, view: pools.PoolView, stats: Mapping[int, statistics.NodeStatistics]
) -> dict[str, Any]:
    document = wire.write_pool(view, call.base, stats.get(view.pool.serial))
    return call.version.show("pool", document)


async def _change(call: Call, status: int, changes: Mapping[str, Any]) -> web.Response:
    pool_id = call.arguments["poolId"]
    pool = await pools.patch_pool(call.ctx, pool_id, changes, _conditions(call))
    return call.done(status, pool.modified_at)


def _conditions(call: Call) -> Conditions:
    return read_conditions(call.request.headers, call.route.conditional)
