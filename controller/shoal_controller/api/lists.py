"""What all lists of entities have in common: $filter, $select, $expand and pages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from aiohttp import web

from shoal_controller.api.call import Call
from shoal_controller.api.paging import (
    PAGE_MAX,
    invalid_parameter,
    next_link,
    page_size,
    serial_position,
)
from shoal_controller.core.listing import Listing, ListQuery
from shoal_controller.core.odata.parse import Filter, parse
from shoal_controller.core.odata.select import parse_select, select

T = TypeVar("T")

_EXPANDABLE: Final = frozenset({"stats"})
_ITEMS_PER_ROUND: Final = 100


def read_filter(call: Call) -> Filter | None:
    """Return the tree of `$filter`, or None."""
    text = call.query.get("$filter", "").strip()
    return parse(text) if text else None


def read_query(call: Call, size_max: int = PAGE_MAX) -> ListQuery:
    """Return which page of a list a request asks for, or raise Refused."""
    check_expand(call)
    return ListQuery(page_size(call, size_max), serial_position(call), read_filter(call))


def check_expand(call: Call) -> bool:
    """Return whether `$expand` asks for statistics; raise Refused if it asks for anything else."""
    value = call.query.get("$expand", "")
    names = {name.strip() for name in value.split(",") if name.strip()}
    if not names <= _EXPANDABLE:
        raise invalid_parameter("$expand", value, "Only stats can be expanded.")
    return bool(names)


def selected(call: Call, document: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a document that `$select` wants."""
    return dict(select(document, parse_select(call.query.get("$select"))))


async def listed(
    call: Call, fragment: str, listing: Listing[T], write: Callable[[T], dict[str, Any]]
) -> web.Response:
    """Answer with a page of a list, each item written by `write`.

    Others get their turn between rounds: a page of 1,000 tasks is some 20 ms of work.
    """
    names = parse_select(call.query.get("$select"))
    documents: list[Any] = []
    for start in range(0, len(listing.items), _ITEMS_PER_ROUND):
        if start:
            await asyncio.sleep(0)
        for item in listing.items[start : start + _ITEMS_PER_ROUND]:
            document = write(item)
            documents.append(document if names is None else select(document, names))
    return call.listing(fragment, documents, next_link(call, listing.next_after))
