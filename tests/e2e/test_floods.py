"""A real controller under floods: it refuses early, its memory stays, and others are served."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest

from shoal_protocol.sharedkey import SignedParts, sign
from tests.e2e.test_controller import end, settings, start
from tests.e2e.test_controller import folder as folder
from tests.raw_client import RawClient

MEGABYTE = 1 << 20
GROWTH_BYTES_MAX = 64 * MEGABYTE
AT_ONCE = 5
CONNECTIONS = 3000
WAIT_S_MAX = 60.0
QUERY = "api-version=2025-06-01"


class Flooded:
    """A controller at work, and its memory before anything came."""

    def __init__(self, process: subprocess.Popen[str], told: dict[str, str]) -> None:
        self.process = process
        self.settings = told
        self.port = int(told["AZURE_BATCH_ENDPOINT"].rpartition(":")[2])
        self._before = self._memory("VmRSS")

    def _memory(self, name: str) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB", text, re.M)
        assert found is not None
        return int(found[1]) * 1024

    def growth(self) -> int:
        """Return by how many bytes it was ever greater than at the begin."""
        return self._memory("VmHWM") - self._before

    def head(self, header: str) -> bytes:
        """Return the signed head of a request that has a body."""
        name, _, value = header.partition(": ")
        given = {"ocp-date": format_datetime(datetime.now(UTC), usegmt=True), name.lower(): value}
        key = base64.b64decode(self.settings["AZURE_BATCH_ACCESS_KEY"])
        signed = sign(key, "myaccount", SignedParts("POST", "/jobs", QUERY, given))
        lines = [f"{name}: {value}" for name, value in given.items()]
        lines = [f"POST /jobs?{QUERY} HTTP/1.1", "Host: a", *lines, f"Authorization: {signed}"]
        return "\r\n".join([*lines, "", ""]).encode()

    async def flood(self, head: bytes, piece: bytes, count: int) -> tuple[bytes, int]:
        """Send a head and a piece many times.

        Return the first line of the answer, nothing where the connection was cut before it could be
        read, and how many bytes behind the head were taken.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        answering = asyncio.create_task(reader.readline())
        taken = 0
        with contextlib.suppress(ConnectionError):
            writer.write(head)
            for _ in range(count):
                writer.write(piece)
                await writer.drain()
                taken += len(piece)
        async with asyncio.timeout(WAIT_S_MAX):
            answer = (await asyncio.gather(answering, return_exceptions=True))[0]
        writer.transport.abort()
        return answer if isinstance(answer, bytes) else b"", taken

    async def floods(self, head: bytes, piece: bytes, count: int) -> list[bytes]:
        """Send several floods at once, while others are served; return the answers that came."""
        sending = [asyncio.create_task(self.flood(head, piece, count)) for _ in range(AT_ONCE)]
        await self.serves()
        answers = [answer for answer, _ in await asyncio.gather(*sending) if answer]
        await self.serves()
        return answers

    async def serves(self) -> None:
        """Ask for something ordinary, which has to be answered."""
        async with asyncio.timeout(WAIT_S_MAX), RawClient(self.settings) as client:
            await client.call("GET", "/jobs")


@pytest.fixture
def flooded(folder: Path) -> Iterator[Flooded]:
    with start(folder) as process:
        found = Flooded(process, settings(folder))
        yield found
        told = end(process)
        lines = [line for line in told.splitlines() if " asyncio: Executing " not in line]
        assert [line for line in lines if " INFO " not in line] == []
        assert len(lines) < 10


@pytest.mark.parametrize(
    ("header", "piece"),
    [
        (f"Content-Length: {100 * MEGABYTE}", bytes(MEGABYTE)),
        ("Transfer-Encoding: chunked", b"100000\r\n" + bytes(MEGABYTE) + b"\r\n"),
    ],
    ids=["length", "chunks"],
)
async def test_a_body_of_100_megabytes_is_refused_and_not_kept(
    flooded: Flooded, header: str, piece: bytes
) -> None:
    answers = await flooded.floods(flooded.head(header), piece, 100)
    assert answers
    assert all(b" 413 " in answer for answer in answers)
    assert flooded.growth() < GROWTH_BYTES_MAX


@pytest.mark.parametrize("piece", [b"[", b'{"a":'], ids=["lists", "objects"])
async def test_a_body_of_a_hundred_thousand_levels_is_refused(
    flooded: Flooded, piece: bytes
) -> None:
    levels = 100_000
    head = flooded.head(f"Content-Length: {levels * len(piece)}")
    assert all(b" 400 " in answer for answer in await flooded.floods(head, piece * levels, 1))
    assert flooded.growth() < GROWTH_BYTES_MAX


@pytest.mark.parametrize(
    ("piece", "count"),
    [
        (b"X-Header: value\r\n", 10_000),
        (b"X-Header: " + b"a" * MEGABYTE, 1),
        (b"X-Header: a\r\n" + b" folded" * 10_000, 10),
        (b"a" * MEGABYTE, 20),
    ],
    ids=["many", "a long one", "folded", "no end"],
)
async def test_a_flood_of_headers_is_refused(flooded: Flooded, piece: bytes, count: int) -> None:
    head = b"GET /jobs HTTP/1.1\r\nHost: a\r\n"
    assert all(b" 400 " in answer for answer in await flooded.floods(head, piece, count))
    assert flooded.growth() < GROWTH_BYTES_MAX


async def test_chunks_of_a_byte_without_end_are_refused(flooded: Flooded) -> None:
    head = flooded.head("Transfer-Encoding: chunked")
    answers = await flooded.floods(head, b"1\r\n \r\n" * 10_000, 120)
    assert answers
    assert all(b" 413 " in answer for answer in answers)
    assert flooded.growth() < GROWTH_BYTES_MAX


async def test_the_head_of_a_chunk_without_end_is_not_heaped_up(flooded: Flooded) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", flooded.port)
    writer.write(flooded.head("Transfer-Encoding: chunked") + b"1;")
    with contextlib.suppress(ConnectionError):
        for _ in range(100):
            writer.write(b"a" * MEGABYTE)
            await writer.drain()
    await flooded.serves()
    assert flooded.growth() < GROWTH_BYTES_MAX
    writer.transport.abort()


async def test_thousands_of_slow_connections_keep_nobody_from_being_served(
    flooded: Flooded,
) -> None:
    writers: list[asyncio.StreamWriter] = []
    for number in range(CONNECTIONS):
        _, writer = await asyncio.open_connection("127.0.0.1", flooded.port)
        writers.append(writer)
        writer.write(b"GET /jobs HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        if number % 500 == 0:
            await flooded.serves()
    for _ in range(3):
        for writer in writers:
            if not writer.is_closing():
                writer.write(b"a")
        await flooded.serves()
        await asyncio.sleep(1)
    open_files = len(list(Path(f"/proc/{flooded.process.pid}/fd").iterdir()))
    assert open_files < 2048 + 200
    assert flooded.growth() < 2 * GROWTH_BYTES_MAX
    for writer in writers:
        writer.transport.abort()


async def test_requests_sent_ahead_without_end_are_not_heaped_up(flooded: Flooded) -> None:
    request = b"GET /jobs HTTP/1.1\r\nHost: a\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", flooded.port)
    writer.write(request * 100_000)  # nobody takes the answers
    for _ in range(5):
        await flooded.serves()
        await asyncio.sleep(0.5)
    assert flooded.growth() < GROWTH_BYTES_MAX
    writer.transport.abort()
    del reader
