"""A client that sends what it is told, byte by byte, and reads what comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

ANSWER_S_MAX: Final = 20.0
"""Whatever is asked, an answer or the end of the connection comes before that."""
CUT_OFF_S: Final = 0.05
"""So long a request that was cut off is waited for: the server waits for its rest, rightly."""

Header = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came; header names in lower case.

    is_last  the server closes the connection behind it
    """

    status: int
    headers: dict[str, str]
    body: bytes
    is_last: bool = False


class NoAnswer(Exception):
    """The server closed the connection, or waits for the rest of a request."""


class Broken(Exception):
    """What came is no HTTP, or nothing came in time."""


@dataclass(slots=True)
class Wire:
    """Connections to one port, kept open between requests as long as the server keeps them."""

    port: int
    _reader: asyncio.StreamReader | None = None
    _writer: asyncio.StreamWriter | None = field(default=None)

    async def send(self, request: bytes, *, is_head: bool, is_cut_off: bool = False) -> Reply:
        """Send bytes and return the answer; raise NoAnswer or Broken.

        is_cut_off  more is missing than the server can know: no answer is no fault
        """
        for is_fresh in (self._writer is None, True):
            reader, writer = await self._opened()
            try:
                async with asyncio.timeout(CUT_OFF_S if is_cut_off else ANSWER_S_MAX):
                    with contextlib.suppress(ConnectionError):  # it may answer and close early
                        writer.write(request)
                        await writer.drain()
                    reply = await _read(reader, is_head=is_head)
            except TimeoutError:
                self.close()
                if is_cut_off:
                    raise NoAnswer from None
                raise Broken(f"no answer within {ANSWER_S_MAX} s") from None
            except (NoAnswer, ConnectionError):
                self.close()
                if is_fresh:
                    raise NoAnswer from None
            else:
                if reply.is_last or is_cut_off:
                    self.close()
                return reply
        raise AssertionError

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self._reader, self._writer


def message(method: str, target: bytes, headers: Sequence[Header], body: bytes) -> bytes:
    """Return a request as it goes over the wire; nothing is added to what is given."""
    lines = [method.encode("utf-8", "surrogateescape") + b" " + target + b" HTTP/1.1"]
    lines += [name.encode() + b": " + value for name, value in headers]
    return b"\r\n".join([*lines, b"", body])


async def _read(reader: asyncio.StreamReader, *, is_head: bool) -> Reply:
    while True:
        status, is_last, headers = await _read_head(reader)
        if status >= 200 or status == 101:
            break
    if is_head or status in (101, 204, 304):
        return Reply(status, headers, b"", is_last)
    if headers.get("transfer-encoding") == "chunked":
        return Reply(status, headers, await _read_chunks(reader), is_last)
    length = headers.get("content-length")
    if length is None:
        return Reply(status, headers, await reader.read(), is_last)
    try:
        return Reply(status, headers, await reader.readexactly(int(length)), is_last)
    except asyncio.IncompleteReadError as error:
        raise Broken(f"{length} bytes were promised, {len(error.partial)} came") from None


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, bool, dict[str, str]]:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise Broken(f"it broke off in its head: {error.partial!r}") from None
        raise NoAnswer from None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    version, _, rest = first.partition(" ")
    if version not in ("HTTP/1.1", "HTTP/1.0") or not rest[:3].isdigit():
        raise Broken(f"no status line: {first!r}")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    kept = headers.get("connection", "close" if version == "HTTP/1.0" else "").lower()
    return int(rest[:3]), kept == "close", headers


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return body
