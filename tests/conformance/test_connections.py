"""Connections that last, flood or starve others: each has its limits, and all else goes on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession

from shoal_controller import serving
from shoal_controller.api.call import http_date
from shoal_protocol.messages import FileEntry, FileReply
from shoal_protocol.sharedkey import SignedParts, sign
from tests.conformance.conftest import (
    ACCOUNT,
    KEY,
    Caller,
    House,
    job_body,
    pool_body,
    served,
    task_body,
    with_run,
)
from tests.conformance.unread import answer_of

JOBS = "/jobs?api-version=2025-06-01"
WAIT_S_MAX = 20.0

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def quick(house: House, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Caller]:
    """A caller of a server whose patience is short."""
    monkeypatch.setattr(serving, "IDLE_S_MAX", 0.5)
    monkeypatch.setattr(serving, "UNREAD_S_MAX", 0.5)
    monkeypatch.setattr(serving, "WRITE_S_MAX", 0.5)
    monkeypatch.setattr(serving, "WAITING_MAX", 20)
    async with served(house) as base, ClientSession(auto_decompress=False) as session:
        yield Caller(base, session, house.clock)


def signed(caller: Caller, method: str = "GET", target: str = JOBS, **headers: str) -> bytes:
    """Return the head of a signed request that does not ask for the connection's end."""
    path, _, query = target.partition("?")
    given = {"ocp-date": http_date(caller.clock.time), **headers}
    parts = SignedParts(method, path, query, {name.lower(): v for name, v in given.items()})
    given["Authorization"] = sign(KEY, ACCOUNT, parts)
    lines = [f"{method} {target} HTTP/1.1", "Host: here:1"]
    lines += [f"{name}: {value}" for name, value in given.items()]
    return "\r\n".join([*lines, "", ""]).encode()


async def dial(caller: Caller) -> Ends:
    return await asyncio.open_connection("127.0.0.1", urlsplit(caller.base).port)


async def trickle(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send a byte now and one soon after, for as long as anybody takes them."""
    with contextlib.suppress(ConnectionError):
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Return all that comes until the server ends the connection, which it has to do."""
    async with asyncio.timeout(WAIT_S_MAX):
        with contextlib.suppress(ConnectionError):
            return await reader.read()
    return b""


async def test_a_connection_that_says_nothing_is_ended(quick: Caller) -> None:
    reader, writer = await dial(quick)
    assert await rest(reader) == b""
    writer.close()


async def test_a_head_that_trickles_in_is_not_waited_for_and_others_are_served(
    quick: Caller,
) -> None:
    ends = [await dial(quick) for _ in range(15)]
    head = b"GET /jobs HTTP/1.1\r\nHost: here\r\nX-Slow: " + b"a" * 10_000
    slow = [asyncio.create_task(trickle(writer, head)) for _, writer in ends]
    for _ in range(10):
        assert (await quick.get("/jobs")).status == 200
    assert [await rest(reader) for reader, _ in ends] == [b""] * len(ends)
    await asyncio.gather(*slow)
    for _, writer in ends:
        writer.close()


async def test_a_kept_connection_is_ended_when_no_other_request_comes(quick: Caller) -> None:
    reader, writer = await dial(quick)
    writer.write(signed(quick))
    answer = await rest(reader)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"Connection: close" not in answer
    writer.close()


async def test_who_waits_longest_goes_when_too_many_wait(quick: Caller) -> None:
    ends = [await dial(quick) for _ in range(60)]
    assert (await quick.get("/jobs")).status == 200
    for reader, writer in ends[:30]:
        assert await rest(reader) == b""
        writer.close()
    reader, writer = ends[-1]
    writer.write(signed(quick, Connection="close"))
    assert (await rest(reader)).startswith(b"HTTP/1.1 200 ")
    for _, writer in ends[30:]:
        writer.close()


async def test_a_request_that_is_answered_is_none_of_those_that_wait(
    quick: Caller, house: House
) -> None:
    reader, writer = await dial(quick)
    await quick.make("/jobs", job_body())
    target = "/jobs/j1/tasks?api-version=2025-06-01"
    writer.write(signed(quick, "POST", target, **{"Content-Length": "100"}))
    await asyncio.sleep(0.1)
    ends = [await dial(quick) for _ in range(60)]
    writer.write(b'{"id":"t1","commandLine":"x"}'.ljust(100))
    async with asyncio.timeout(WAIT_S_MAX):
        assert (await reader.readline()).startswith(b"HTTP/1.1 201 ")
    for _, other in (*ends, (reader, writer)):
        other.close()


@pytest.mark.parametrize("header", ["Content-Length: 100000000", "Transfer-Encoding: chunked"])
async def test_a_body_that_nobody_wants_is_not_taken_for_ever(quick: Caller, header: str) -> None:
    reader, writer = await dial(quick)
    writer.write(f"POST /jobs HTTP/1.1\r\nHost: here\r\n{header}\r\n\r\n".encode())
    slow = asyncio.create_task(trickle(writer, b"1\r\na\r\n" * 10_000))
    answer = await rest(reader)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"MissingRequiredHeader"' in answer
    await slow
    writer.close()


async def test_an_answer_that_is_not_taken_is_cut_off(
    quick: Caller, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    await quick.make("/pools", pool_body(targetDedicatedNodes=1))
    await quick.make("/jobs", job_body())
    await quick.make("/jobs/j1/tasks", task_body())
    await with_run(house)
    entry = FileEntry("big", False, 1 << 30, house.clock.now(), 0o100644)
    piece = FileReply(0, data=bytes(1 << 20))
    house.links.replies = [FileReply(0, entries=(entry,)), *[piece] * 1024]
    reader, writer = await dial(quick)
    writer.write(signed(quick, target="/jobs/j1/tasks/t1/files/big?api-version=2025-06-01"))
    asked = -1
    while asked != len(house.links.requests):
        asked = len(house.links.requests)
        await asyncio.sleep(1.5)
    assert asked < 200  # it was not read to its end
    assert len(await rest(reader)) < 1 << 30
    writer.close()
    assert (await quick.get("/jobs")).status == 200
    assert not caplog.records


async def test_a_client_that_goes_in_the_middle_of_a_file_is_no_news(
    caller: Caller, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    await caller.make("/jobs", job_body())
    await caller.make("/jobs/j1/tasks", task_body())
    await with_run(house)
    entry = FileEntry("big", False, 1 << 30, house.clock.now(), 0o100644)
    house.links.replies = [
        FileReply(0, entries=(entry,)),
        *[FileReply(0, data=bytes(1 << 20))] * 1024,
    ]
    reader, writer = await dial(caller)
    writer.write(signed(caller, target="/jobs/j1/tasks/t1/files/big?api-version=2025-06-01"))
    await reader.readexactly(1 << 20)
    writer.transport.abort()
    await asyncio.sleep(0.3)
    assert (await caller.get("/jobs")).status == 200
    assert not caplog.records


async def test_length_and_chunks_at_once_are_refused_and_nothing_is_smuggled(
    caller: Caller,
) -> None:
    port = urlsplit(caller.base).port
    assert port is not None
    for first, second in (
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 4"),
    ):
        head = f"POST /jobs HTTP/1.1\r\nHost: here\r\n{first}\r\n{second}\r\n\r\n"
        answer = await answer_of(port, head.encode() + b"0\r\n\r\n" + signed(caller))
        assert answer.count(b"HTTP/1.1") + answer.count(b"HTTP/1.0") == 1
        assert answer.split(b" ")[1] == b"400"
        assert b"InvalidHeaderValue" in answer or b"InvalidInput" in answer


async def test_what_follows_a_request_that_could_not_be_read_is_not_looked_at(
    caller: Caller, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    port = urlsplit(caller.base).port
    assert port is not None
    garbage = b"\x00garbage\r\n\r\n" + signed(caller) * 50
    answer = await answer_of(port, signed(caller), garbage)
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert b'"InvalidHttpVerb"' in answer
    assert not caplog.records


async def test_many_requests_at_once_are_answered_in_turn(caller: Caller) -> None:
    reader, writer = await dial(caller)
    writer.write(signed(caller) * 199 + signed(caller, Connection="close"))
    assert (await rest(reader)).count(b"HTTP/1.1 200 ") == 200
    writer.close()
