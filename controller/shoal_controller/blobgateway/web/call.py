"""A request taken apart, and the answer to it: all that handlers see of HTTP.

Paths are split before they are decoded and never normalised, so `..` or `%2F` in a blob name
stays part of the name.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, Protocol
from urllib.parse import unquote_to_bytes

import aiohttp

from shoal_controller.blobgateway.errors import StorageError, bad_header, bad_query
from shoal_controller.blobgateway.sas import Grant
from shoal_controller.blobgateway.sharedkey import SignedParts
from shoal_controller.blobgateway.storage.reading import BlobReader
from shoal_controller.blobgateway.storage.store import BlobStore, Clock

BODY_WAIT_S: Final = 60.0
XML_BYTES_MAX: Final = 8 * 1024 * 1024
Level = Literal["service", "container", "blob"]


class Source(Protocol):
    """Where the body comes from: aiohttp's StreamReader, or bytes in a batch."""

    async def readany(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class StorageAccount:
    """One account of the gateway: its keys with base64 undone (any is good), and its folder."""

    keys: Sequence[bytes]
    store: BlobStore


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL names. container and blob are decoded; path is as it was on the wire."""

    path: str
    query: tuple[tuple[str, str], ...]
    account: str
    container: str | None
    blob: str | None


@dataclass(slots=True)
class Call:
    """One request, authenticated and routed before a handler gets it.

    version      x-ms-version; parts of a batch have that of the whole
    headers      names in lower case, repeated ones joined by commas
    metadata     x-ms-meta- pairs with the prefix cut off and the case kept
    grant        what its SAS allows; None when SharedKey, which allows everything
    create_only  the SAS lets it write new blobs but not replace any
    """

    method: str
    target: Target
    version: str | None
    headers: dict[str, str]
    metadata: list[tuple[str, str]]
    body: Source
    remote: str | None
    secure: bool
    now: datetime
    request_id: str
    gateway: "Gateway"
    query: dict[str, str] = field(default_factory=dict)
    account: StorageAccount | None = None
    grant: Grant | None = None
    create_only: bool = False

    @property
    def store(self) -> BlobStore:
        assert self.account is not None, "handlers run after authentication"
        return self.account.store

    @property
    def container(self) -> str:
        return self.target.container or ""

    @property
    def blob(self) -> str:
        return self.target.blob or ""

    def signed_parts(self) -> SignedParts:
        return SignedParts(self.method, self.target.path, self.target.query, self.headers)

    def content_length(self, limit: int) -> int:
        """The announced size of the body; raises if there is none or it is above `limit`."""
        text = self.headers.get("content-length")
        if text is None:
            raise StorageError(
                "MissingContentLengthHeader", "The Content-Length header was not specified."
            )
        if not (text.isascii() and text.isdigit()) or len(text) > 19:
            raise bad_header("Content-Length", text[:40], "not a number")
        if int(text) > limit:
            raise StorageError(
                "RequestBodyTooLarge",
                "The request body is too large and exceeds the maximum permissible limit.",
                MaxLimit=str(limit),
            )
        return int(text)

    async def pieces(self, length: int) -> AsyncIterator[bytes]:
        """The body, exactly `length` bytes; raises if less comes or nothing for a minute."""
        got = 0
        while got < length:
            try:
                async with asyncio.timeout(BODY_WAIT_S):
                    piece = await self.body.readany()
            except TimeoutError:
                raise StorageError(
                    "OperationTimedOut", "The request body did not arrive in time."
                ) from None
            if not piece:
                raise StorageError("InvalidInput", "The request body ended before its length.")
            got += len(piece)
            yield piece

    async def small_body(self, limit: int = XML_BYTES_MAX) -> bytes:
        """The whole body in memory; RequestBodyTooLarge above `limit` bytes."""
        length = self.content_length(limit)
        return b"".join([piece async for piece in self.pieces(length)])


class Gateway(Protocol):
    """What handlers may ask of the app around them."""

    accounts: Mapping[str, StorageAccount]
    clock: Clock

    @property
    def http(self) -> aiohttp.ClientSession:
        """The client for copy sources on other servers."""
        ...

    def new_id(self) -> str:
        """A name nothing else has or had, in the form of a GUID."""
        ...

    async def dispatch(self, call: Call) -> "Answer":
        """Authenticate, route and carry out a call; raises StorageError."""
        ...


@dataclass(slots=True)
class Answer:
    """What goes back. A HEAD request gets the headers of the body, not the body.

    reader  streamed instead of `body`, then closed
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    reader: BlobReader | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. A SAS needs one of the letters; "" means that kind of SAS never suffices.

    source  Create a service SAS and Create an account SAS, tables of permissions by operation
    """

    level: Level
    method: str
    restype: str
    comp: str
    handler: Callable[[Call], Awaitable[Answer]]
    service_sas: str
    account_sas: str
    resource_type: str


def parse_target(raw: str) -> Target:
    """Take a request target apart; raises InvalidUri for what no name can come from.

    raw  path and query as on the wire, or an absolute URL
    """
    if not raw.startswith("/"):
        _, found, rest = raw.partition("://")
        raw = "/" + rest.partition("/")[2] if found else raw
    path, _, query = raw.partition("#")[0].partition("?")
    parts = path.split("/", 3)
    if parts[0] or len(parts) < 2:
        raise StorageError("InvalidUri", "The requested URI does not represent any resource.")
    parts += [""] * (4 - len(parts))
    return Target(
        path,
        tuple(_parse_query(query)),
        decode(parts[1]),
        decode(parts[2]) or None,
        decode(parts[3]) or None,
    )


def decode(text: str) -> str:
    """Undo percent-encoding; raises InvalidUri unless it is UTF-8."""
    try:
        return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode()
    except UnicodeDecodeError:
        raise StorageError("InvalidUri", "The requested URI is not UTF-8.") from None


def single_values(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Query parameters by name; one that is repeated is refused, so nobody can read another."""
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise bad_query(name, value[:200], "The parameter is repeated.")
        values[name] = value
    return values


def _parse_query(query: str) -> list[tuple[str, str]]:
    pairs = []
    for part in query.split("&"):
        if part:
            name, _, value = part.replace("+", " ").partition("=")
            pairs.append((decode(name), decode(value)))
    return pairs
