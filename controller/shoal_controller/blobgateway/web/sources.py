"""Where a copy reads from: a blob of this gateway, or any other http server.

The gateway fetches on behalf of whoever may write, so it never follows redirects and never asks
link-local addresses and their like: clouds hand out the machine's credentials there.
"""

import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from shoal_controller.blobgateway.conditions import parse_conditions
from shoal_controller.blobgateway.errors import StorageError, bad_header
from shoal_controller.blobgateway.names import check_metadata, is_visible
from shoal_controller.blobgateway.ranges import ByteRange
from shoal_controller.blobgateway.records import Properties
from shoal_controller.blobgateway.web.access import authorize_source
from shoal_controller.blobgateway.web.call import Call, parse_target, single_values

URL_CHARS_MAX: Final = 16 * 1024
# Where clouds tell machines their secrets, besides 169.254.169.254: AWS by IPv6, Azure, Alibaba.
METADATA_SERVICES: Final = ("fd00:ec2::254", "168.63.129.16", "100.100.100.200")
TIMEOUT: Final = aiohttp.ClientTimeout(total=None, connect=20, sock_read=60)
_PASSED_ON: Final = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")


@dataclass(frozen=True, slots=True)
class Opened:
    """An open source: its bytes in pieces, their count if it said, and what it is."""

    pieces: AsyncIterator[bytes]
    length: int | None
    properties: Properties


@asynccontextmanager
async def open_source(call: Call, wanted: ByteRange | None = None) -> AsyncIterator[Opened]:
    """Open what x-ms-copy-source names, or raise CannotVerifyCopySource and the like."""
    url = call.headers.get("x-ms-copy-source", "")
    authority = _check_url(url)
    if authority == call.headers.get("host", "").lower():
        async with _open_here(call, url, wanted) as opened:
            yield opened
    else:
        async with _open_there(call, url, wanted) as opened:
            yield opened


def new_session() -> aiohttp.ClientSession:
    """The client for sources elsewhere; close it when the gateway stops."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=_Resolver(), limit=32),
        timeout=TIMEOUT,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity"},
    )


class _Resolver(AbstractResolver):
    """The system's resolver without forbidden answers."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        allowed = [entry for entry in found if not _is_forbidden(entry["host"])]
        if not allowed:
            raise OSError(f"{host} has no address that may be copied from")
        return allowed

    async def close(self) -> None:
        await self._inner.close()


def _check_url(url: str) -> str:
    """The lower-case host and port of a usable source URL."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        usable = parts.scheme in ("http", "https") and host and "@" not in parts.netloc
        usable = usable and parts.port != 0
    except ValueError:
        usable, host, parts = False, "", urlsplit("")
    if not usable or len(url) > URL_CHARS_MAX or not is_visible(url) or _is_forbidden(host):
        raise bad_header("x-ms-copy-source", url[:200], "not a URL that can be copied from")
    return parts.netloc.lower()


def _is_forbidden(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_link_local or str(mapped or address) in METADATA_SERVICES


@asynccontextmanager
async def _open_here(call: Call, url: str, wanted: ByteRange | None) -> AsyncIterator[Opened]:
    target = parse_target(url)
    if target.container is None or target.blob is None:
        raise bad_header("x-ms-copy-source", url[:200], "does not name a blob")
    store = authorize_source(call, target).store
    single_values(target.query)
    try:
        reader = await store.open_blob(
            target.container,
            target.blob,
            wanted,
            parse_conditions(call.headers, "x-ms-source-"),
        )
    except StorageError as error:
        raise _unreadable(error.status, error.message) from None
    async with reader:
        yield Opened(reader.pieces(), reader.count, reader.blob.properties)


@asynccontextmanager
async def _open_there(call: Call, url: str, wanted: ByteRange | None) -> AsyncIterator[Opened]:
    sent = {
        name: call.headers["x-ms-source-" + name]
        for name in _PASSED_ON
        if "x-ms-source-" + name in call.headers
    }
    if wanted is not None:
        last = "" if wanted.last is None else str(wanted.last)
        sent["Range"] = f"bytes={wanted.first}-{last}"
    try:
        async with call.gateway.http.get(
            URL(url, encoded=True), headers=sent, allow_redirects=False
        ) as response:
            if response.status != (200 if wanted is None else 206):
                raise _unreadable(response.status, f"The source answered {response.status}.")
            yield Opened(_fetched(response), response.content_length, _properties(response))
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _unreadable(400, f"Could not read the copy source: {type(error).__name__}.") from None


async def _fetched(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for piece in response.content.iter_any():
        yield piece


def _properties(response: aiohttp.ClientResponse) -> Properties:
    """What the source says of itself, as far as it can be stored."""
    told = {name.lower(): value for name, value in response.headers.items() if is_visible(value)}
    pairs = [
        (name[len("x-ms-meta-") :], value)
        for name, value in response.headers.items()
        if name.lower().startswith("x-ms-meta-")
    ]
    try:
        metadata = check_metadata(pairs)
    except StorageError:
        metadata = {}
    return Properties(
        content_type=told.get("content-type") or "application/octet-stream",
        content_encoding=told.get("content-encoding"),
        content_language=told.get("content-language"),
        content_disposition=told.get("content-disposition"),
        cache_control=told.get("cache-control"),
        metadata=metadata,
    )


def _unreadable(status: int, message: str) -> StorageError:
    if status in (304, 412):
        return StorageError(
            "SourceConditionNotMet",
            "The source condition specified using HTTP conditional header(s) is not met.",
        )
    known = {401: 403, 403: 403, 404: 404}
    if status == 416:
        return StorageError("InvalidRange", message)
    return StorageError("CannotVerifyCopySource", message, status=known.get(status, 400))


async def limited(pieces: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """`pieces`, with RequestBodyTooLarge once there are more than `limit` bytes."""
    count = 0
    async for piece in pieces:
        count += len(piece)
        if count > limit:
            raise StorageError(
                "RequestBodyTooLarge", "The copy source is too large.", MaxLimit=str(limit)
            )
        yield piece
