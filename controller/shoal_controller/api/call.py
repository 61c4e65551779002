"""One request on its way: what a handler may ask of it, and the ways to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote_plus

import msgspec
from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from shoal_controller.core.errors import Refused
from shoal_controller.core.ids import etag
from shoal_controller.serving import BROKEN_BODY

if TYPE_CHECKING:
    from shoal_controller.api.routing import Route
    from shoal_controller.api.versions import Version
    from shoal_controller.operations.context import Context

BODY_BYTES_MAX: Final = 1_048_576
BODY_WAIT_S: Final = 60.0
JSON_TYPE: Final = "application/json;odata=minimalmetadata"

_decode = msgspec.json.Decoder(dict[str, Any]).decode
encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Call:
    """One authenticated request.

    arguments  of the path, percent-decoded
    query      names in lower case; the first value of a repeated name
    base       scheme and host as the client used them: what links begin with
    """

    request: web.Request
    request_id: str
    ctx: Context
    version: Version
    route: Route
    arguments: Mapping[str, str]
    query: Mapping[str, str]
    base: str

    def url(self, *segments: str) -> str:
        """Return an absolute URL; slashes inside a segment stay slashes."""
        return "/".join((self.base, *(quote(segment) for segment in segments)))

    @property
    def own_url(self) -> str:
        """The URL of the request without its query."""
        return self.base + raw_path(self.request)[0]

    async def document(self, *, is_optional: bool = False) -> dict[str, Any]:
        """Return the body, a JSON object.

        is_optional  no body at all is an empty object
        raises       Refused: InvalidRequestBody, RequestBodyTooLarge
        """
        body = await read_body(self.request)
        if is_optional and not body.strip():
            return {}
        try:
            return _decode(body)
        except UNREADABLE as error:
            raise unreadable(error) from None

    # --- answers ----------------------------------------------------------------------------------

    def entity(
        self, fragment: str, document: dict[str, Any], modified_at: datetime | None = None
    ) -> web.Response:
        """Answer with one entity; `fragment` as in wire.md 6."""
        body = encode({"odata.metadata": f"{self.base}/$metadata#{fragment}", **document})
        response = web.Response(body=body, headers={"Content-Type": JSON_TYPE})
        return stamped(response, modified_at)

    def listing(
        self, fragment: str, items: Sequence[Any], next_link: str | None = None
    ) -> web.Response:
        """Answer with a page of a list."""
        document: dict[str, Any] = {
            "odata.metadata": f"{self.base}/$metadata#{fragment}",
            "value": items,
        }
        if next_link is not None:
            document["odata.nextLink"] = next_link
        return web.Response(body=encode(document), headers={"Content-Type": JSON_TYPE})

    def created(self, url: str, modified_at: datetime | None = None) -> web.Response:
        """Answer 201 without a body."""
        headers = {"Location": url, "DataServiceId": url}
        return stamped(web.Response(status=201, headers=headers), modified_at)

    def done(
        self, status: int, modified_at: datetime | None = None, *, with_id: bool = True
    ) -> web.Response:
        """Answer a change or an action without a body."""
        headers = {"DataServiceId": self.own_url} if with_id else {}
        return stamped(web.Response(status=status, headers=headers), modified_at)


def stamped(response: web.Response, modified_at: datetime | None) -> web.Response:
    """Return `response` with the headers that tell the version of the entity."""
    if modified_at is not None:
        response.headers["ETag"] = etag(modified_at)
        response.headers["Last-Modified"] = http_date(modified_at)
    return response


_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


def http_date(at: datetime) -> str:
    """Return a UTC time in the form of RFC 1123, without its fraction of a second."""
    return (
        f"{_DAYS[at.weekday()]}, {at.day:02} {_MONTHS[at.month - 1]} {at.year:04}"
        f" {at.hour:02}:{at.minute:02}:{at.second:02} GMT"
    )


def raw_path(request: web.Request) -> tuple[str, str]:
    """Return path and query as in the request line, nothing decoded."""
    target = request.raw_path
    if not target.startswith("/"):  # absolute form, as proxies send it
        _, _, rest = target.partition("://")
        target = "/" + rest.partition("/")[2]
    path, _, query = target.partition("#")[0].partition("?")
    return path, query


def parse_query(query: str) -> dict[str, str]:
    """Return the parameters, names in lower case; the first value of a repeated name counts."""
    values: dict[str, str] = {}
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            values.setdefault(unquote_plus(name).lower(), unquote_plus(value))
    return values


async def read_body(request: web.Request) -> bytes:
    """Return the whole body, or raise Refused when it is too large or does not come."""
    check_length(request)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WAIT_S):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > BODY_BYTES_MAX:
                    raise too_large()
    except TimeoutError:
        raise Refused("OperationTimedOut", "The request body did not arrive in time.") from None
    except (ClientPayloadError, HttpProcessingError, web.RequestPayloadError):
        raise Refused("InvalidRequestBody", Reason=BROKEN_BODY) from None
    return bytes(body)


UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading JSON raises."""


def unreadable(error: Exception) -> Refused:
    """Return the refusal of a body that is no JSON object."""
    what = {RecursionError: "it is nested too deeply", UnicodeDecodeError: "it is not UTF-8"}
    found = what.get(type(error)) or printable(str(error))
    return Refused("InvalidRequestBody", Reason=f"The body must be a JSON object: {found}.")


def check_length(request: web.Request) -> None:
    """Raise Refused if the request says that its body is too large."""
    length = request.content_length
    if length is not None and length > BODY_BYTES_MAX:
        raise too_large()


def printable(text: str) -> str:
    """Return text as it can be encoded: bytes that were no UTF-8 arrive as lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def too_large() -> Refused:
    """Return the refusal of a body beyond the limit."""
    return Refused("RequestBodyTooLarge", MaxLimit=str(BODY_BYTES_MAX))
