"""Query parameters of lists: prefix, marker, maxresults, include; and markers as text."""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from shoal_controller.blobgateway.errors import StorageError, bad_query, not_provided
from shoal_controller.blobgateway.web.call import Call

PAGE_MAX: Final = 5000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What part of which list. echoed: elements that repeat the request in the answer."""

    prefix: str
    delimiter: str
    start: bytes | None
    limit: int
    include: frozenset[str]
    echoed: dict[str, str]


def parse(query: dict[str, str], includable: set[str]) -> Wanted:
    """Read the parameters of a list; raises InvalidQueryParameterValue and the like.

    includable  values of `include` that change the answer or ask for what cannot be there
    """
    text = query.get("maxresults", str(PAGE_MAX))
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        raise bad_query("maxresults", text[:40], "not a number")
    if int(text) < 1:
        raise StorageError(
            "OutOfRangeQueryParameterValue",
            "One of the query parameters specified in the request URI is outside the permissible "
            "range.",
            QueryParameterName="maxresults",
            QueryParameterValue=text,
            MinimumAllowed="1",
            MaximumAllowed=str(PAGE_MAX),
        )
    include = frozenset(filter(None, query.get("include", "").split(",")))
    for name in sorted(include - includable):
        if name == "uncommittedblobs":
            raise not_provided("query", "include=uncommittedblobs", "Lists of uncommitted blobs")
        raise bad_query("include", name[:40], "not a known value")
    echoed = {
        element: query[name]
        for name, element in (
            ("prefix", "Prefix"),
            ("marker", "Marker"),
            ("maxresults", "MaxResults"),
            ("delimiter", "Delimiter"),
        )
        if query.get(name)
    }
    return Wanted(
        query.get("prefix", ""),
        query.get("delimiter", ""),
        _parse_marker(query.get("marker", "")),
        min(int(text), PAGE_MAX),
        include,
        echoed,
    )


def format_marker(start: bytes | None) -> str:
    return "" if start is None else base64.urlsafe_b64encode(start).decode()


def endpoint(call: Call) -> str:
    """The account's own URL, as the caller addressed it."""
    scheme = "https" if call.secure else "http"
    return f"{scheme}://{call.headers.get('host', '')}/{call.target.account}/"


def _parse_marker(text: str) -> bytes | None:
    if not text:
        return None
    try:
        start = base64.b64decode(text.encode(), altchars=b"-_", validate=True)
        start.decode()
    except (binascii.Error, ValueError):
        raise bad_query("marker", text[:100], "not a marker of this service") from None
    return start
