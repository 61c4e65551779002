"""Handlers of nodes."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from shoal_controller.api.call import Call
from shoal_controller.api.lists import listed, read_query, selected
from shoal_controller.api.paging import page_size
from shoal_controller.api.wire import node as wire
from shoal_controller.core.errors import Refused
from shoal_controller.core.listing import Listing
from shoal_controller.core.node import NodeAction
from shoal_controller.core.odata import fields
from shoal_controller.core.pool import DeallocationOption
from shoal_controller.operations import logs, nodes, pools


async def list_nodes(call: Call) -> web.Response:
    query, pool_id = read_query(call, fields.NODES), call.arguments["poolId"]
    pool = (await pools.get_pool(call.ctx, pool_id)).pool
    listing = await nodes.list_nodes(call.ctx, pool_id, query)
    return await listed(
        call,
        "nodes",
        listing,
        lambda view: call.version.show("node", wire.write_node(view, pool, call.base)),
    )


async def get_node(call: Call) -> web.Response:
    pool = (await pools.get_pool(call.ctx, call.arguments["poolId"])).pool
    view = await nodes.get_node(call.ctx, pool.id, call.arguments["nodeId"])
    document = call.version.show("node", wire.write_node(view, pool, call.base))
    return call.entity("nodes/@Element", selected(call, document))


async def reboot_node(call: Call) -> web.Response:
    return await _restart(call, NodeAction.REBOOT, "nodeRebootOption")


async def reimage_node(call: Call) -> web.Response:
    return await _restart(call, NodeAction.REIMAGE, "nodeReimageOption")


async def deallocate_node(call: Call) -> web.Response:
    return await _restart(call, NodeAction.DEALLOCATE, "nodeDeallocateOption")


async def start_node(call: Call) -> web.Response:
    return await _restart(call, NodeAction.START)


async def _restart(call: Call, action: NodeAction, option_name: str | None = None) -> web.Response:
    option = DeallocationOption.REQUEUE
    if option_name is not None:
        document = await call.document(is_optional=True)
        option = wire.read_option(document, option_name, keeps_data=True)
    pool_id, node_id = call.arguments["poolId"], call.arguments["nodeId"]
    await nodes.restart_node(call.ctx, pool_id, node_id, action, option)
    return call.done(202)


async def disable_scheduling(call: Call) -> web.Response:
    document = await call.document(is_optional=True)
    option = wire.read_option(document, "nodeDisableSchedulingOption", keeps_data=False)
    pool_id, node_id = call.arguments["poolId"], call.arguments["nodeId"]
    await nodes.disable_scheduling(call.ctx, pool_id, node_id, option)
    return call.done(200)


async def upload_logs(call: Call) -> web.Response:
    wanted = wire.read_logs(await call.document())
    pool_id, node_id = call.arguments["poolId"], call.arguments["nodeId"]
    directory, count = await logs.upload_logs(call.ctx, pool_id, node_id, wanted, call.request_id)
    return call.entity(
        "Microsoft.Azure.Batch.Protocol.Entities.UploadBatchServiceLogsResult",
        {"virtualDirectoryName": directory, "numberOfFilesUploaded": count},
    )


async def list_extensions(call: Call) -> web.Response:
    page_size(call)
    pool_id, node_id = call.arguments["poolId"], call.arguments["nodeId"]
    await nodes.get_node(call.ctx, pool_id, node_id)
    none: Listing[dict[str, Any]] = Listing(())  # pools that want extensions are refused
    return await listed(call, "extensions", none, lambda extension: extension)


async def get_extension(call: Call) -> web.Response:
    pool_id, node_id = call.arguments["poolId"], call.arguments["nodeId"]
    await nodes.get_node(call.ctx, pool_id, node_id)
    raise Refused("ResourceNotFound", Reason="The node has no extensions.")


async def enable_scheduling(call: Call) -> web.Response:
    pool_id, node_id = call.arguments["poolId"], call.arguments["nodeId"]
    await nodes.enable_scheduling(call.ctx, pool_id, node_id)
    return call.done(200)
