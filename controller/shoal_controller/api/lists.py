"""What all lists of entities have in common: $filter, $select, $expand and pages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from shoal_controller.api.call import Call, encode
from shoal_controller.api.paging import (
    PAGE_MAX,
    invalid_parameter,
    next_link,
    page_size,
    position,
)
from shoal_controller.api.wire.selectable import SELECTABLE, STRUCTURES
from shoal_controller.core.listing import Listing, ListQuery
from shoal_controller.core.odata.fields import Fields, read
from shoal_controller.core.odata.parse import Filter
from shoal_controller.core.odata.select import Selection, parse_select, select

T = TypeVar("T")

_ITEMS_PER_ROUND: Final = 100


def read_filter(call: Call, fields: Fields) -> Filter | None:
    """Return the tree of `$filter`, or None; raise Refused for what the list does not know."""
    text = call.query.get("$filter", "")
    return read(text, fields) if text.strip() else None


def read_query(call: Call, fields: Fields, size_max: int = PAGE_MAX) -> ListQuery:
    """Return which page of a list a request asks for, or raise Refused.

    fields    what the list can be filtered by
    size_max  so many items are on a page at most
    """
    check_expand(call)
    return ListQuery(page_size(call, size_max), position(call) or "", read_filter(call, fields))


def check_expand(call: Call) -> bool:
    """Return whether `$expand` asks for statistics; raise Refused if it asks for anything else."""
    value = call.query.get("$expand", "")
    names = {name.strip() for name in value.split(",") if name.strip()}
    if not names:
        return False
    if names != {"stats"}:
        raise invalid_parameter("$expand", value, "Only stats can be expanded.")
    return True


def selected(call: Call, document: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a document that `$select` wants, or raise Refused."""
    return select(document, _read_select(call))


async def listed(
    call: Call, fragment: str, listing: Listing[T], write: Callable[[T], dict[str, Any]]
) -> web.Response:
    """Answer with a page of a list, each item written by `write`.

    Others get their turn between rounds: a page of 1,000 tasks is some 20 ms of work.
    """
    selection = _read_select(call)
    documents: list[msgspec.Raw] = []
    for start in range(0, len(listing.items), _ITEMS_PER_ROUND):
        if start:
            await asyncio.sleep(0)
        documents += [
            msgspec.Raw(encode(select(write(item), selection)))
            for item in listing.items[start : start + _ITEMS_PER_ROUND]
        ]
    return call.listing(fragment, documents, next_link(call, listing.next_after))


def noun(path: str) -> str:
    """Return what the entities are that a route's path leads to, as the path calls them."""
    names = [part for part in path.split("/") if part and not part.startswith("{")]
    return names[-1].partition("(")[0]


def _read_select(call: Call) -> Selection | None:
    text = call.query.get("$select")
    if text is None:
        return None
    return parse_select(text, SELECTABLE[noun(call.route.path)], STRUCTURES)
