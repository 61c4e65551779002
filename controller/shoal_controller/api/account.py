"""Handlers of what belongs to the whole account: images, counts of nodes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, Final

from aiohttp import web

from shoal_controller.api.call import Call
from shoal_controller.api.lists import read_filter
from shoal_controller.api.paging import (
    invalid_parameter,
    next_link,
    page_size,
    position,
    serial_position,
)
from shoal_controller.api.wire.image import IMAGES
from shoal_controller.api.wire.node import write_counts
from shoal_controller.core.listing import ListQuery
from shoal_controller.core.odata import fields
from shoal_controller.core.odata.parse import Compare
from shoal_controller.core.odata.predicate import holds
from shoal_controller.operations import nodes, pools

POOLS_PER_PAGE_MAX: Final = 10
_DOCUMENTS: Final = tuple(image.write() for image in IMAGES)


async def list_supported_images(call: Call) -> web.Response:
    where = read_filter(call, fields.IMAGES)
    size, after = page_size(call), serial_position(call)
    images = _DOCUMENTS
    if where is not None:
        images = tuple(
            image for image in images if holds(where, fields.IMAGES, partial(_value, image))
        )
    page = images[after : after + size]
    end = after + len(page)
    return call.listing(
        "supportedimages", page, next_link(call, end if end < len(images) else None)
    )


async def list_node_counts(call: Call) -> web.Response:
    query = ListQuery(page_size(call, POOLS_PER_PAGE_MAX), position(call) or "")
    where = read_filter(call, fields.NODE_COUNTS)
    if where is not None:
        if not isinstance(where, Compare):
            raise invalid_parameter(
                "$filter", call.query["$filter"], "Only one poolId eq '...' can be asked for."
            )
        query = replace(query, where=replace(where, path="id"))
    listing = await pools.list_pools(call.ctx, query)
    counts = [await _count(call, view.pool.id) for view in listing.items]
    return call.listing("poolnodecounts", counts, next_link(call, listing.next_after))


async def _count(call: Call, pool_id: str) -> dict[str, Any]:
    counts = await nodes.count_nodes(call.ctx, pool_id)
    return call.version.show("node_counts", write_counts(pool_id, counts))


def _value(image: dict[str, Any], path: str) -> Any:
    return image.get(path)
