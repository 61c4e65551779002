"""Handlers of what belongs to the whole account: images, node agents, counts of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from aiohttp import web

from shoal_controller.api.call import Call
from shoal_controller.api.lists import read_filter
from shoal_controller.api.paging import next_link, page_size, serial_position
from shoal_controller.api.wire.image import IMAGES, write_agents
from shoal_controller.api.wire.node import write_counts
from shoal_controller.core.errors import Refused
from shoal_controller.core.listing import ListQuery
from shoal_controller.core.odata import fields
from shoal_controller.core.odata.parse import Compare
from shoal_controller.core.odata.predicate import holds
from shoal_controller.operations import nodes, pools

POOLS_PER_PAGE_MAX: Final = 10
_IMAGES: Final = tuple(image.write() for image in IMAGES)
_AGENTS: Final = tuple(write_agents())


async def list_supported_images(call: Call) -> web.Response:
    return _listed(call, "supportedimages", _IMAGES, fields.IMAGES)


async def list_node_agent_skus(call: Call) -> web.Response:
    return _listed(call, "nodeagentskus", _AGENTS, fields.NODE_AGENT_SKUS)


async def list_node_counts(call: Call) -> web.Response:
    query = ListQuery(page_size(call, POOLS_PER_PAGE_MAX), serial_position(call))
    where = read_filter(call)
    if where is not None:
        fields.check(where, fields.NODE_COUNTS)
        if not isinstance(where, Compare):
            raise Refused(
                "InvalidQueryParameterValue",
                QueryParameterName="$filter",
                Reason="Only poolId eq '...' can be asked for.",
            )
        query = replace(query, where=replace(where, path="id"))
    listing = await pools.list_pools(call.ctx, query)
    counts = [await _count(call, view.pool.id) for view in listing.items]
    return call.listing("poolnodecounts", counts, next_link(call, listing.next_after))


def _listed(
    call: Call, fragment: str, documents: Sequence[dict[str, Any]], known: fields.Fields
) -> web.Response:
    """Answer with a page of documents that never change; positions in it are numbers."""
    where, size, after = read_filter(call), page_size(call), serial_position(call)
    if where is not None:
        fields.check(where, known)
        documents = [one for one in documents if holds(where, known, partial(_value, one))]
    page = documents[after : after + size]
    end = after + len(page)
    return call.listing(fragment, page, next_link(call, end if end < len(documents) else None))


async def _count(call: Call, pool_id: str) -> dict[str, Any]:
    counts = await nodes.count_nodes(call.ctx, pool_id)
    return call.version.show("node_counts", write_counts(pool_id, counts))


def _value(document: dict[str, Any], path: str) -> Any:
    return document.get(path)
