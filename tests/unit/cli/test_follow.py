"""Following a growing file."""

from __future__ import annotations

import asyncio

from aiohttp import web

from shoal_cli.client import Client
from shoal_cli.follow import follow_file
from tests.unit.cli.service import Request, Service


class Growing:
    """A file that the test writes while it is read; absent until it has a first byte."""

    def __init__(self, service: Service) -> None:
        self.content: bytes | None = None
        service.on("HEAD", "/f", self.answer).on("GET", "/f", self.answer)

    def answer(self, request: Request) -> web.StreamResponse:
        if self.content is None:
            return web.Response(status=404)
        if request.method == "HEAD":
            return web.Response(headers={"Content-Length": str(len(self.content))})
        first, _, last = request.headers["ocp-range"].removeprefix("bytes=").partition("-")
        return web.Response(body=self.content[int(first) : int(last) + 1])


async def test_what_is_written_until_the_end_is_read_once_and_whole(service: Service) -> None:
    file = Growing(service)
    ended = asyncio.Event()
    got = bytearray()
    steps = iter([b"one ", b"one two ", b"one two three"])

    def write(chunk: bytes) -> None:
        got.extend(chunk)
        grow()

    def grow() -> None:
        file.content = next(steps, file.content)
        if file.content == b"one two three":
            ended.set()

    grow()
    async with Client(service.settings) as client:
        assert await follow_file(client, "/f", write, ended)
    assert got == b"one two three"


async def test_a_file_that_begins_anew_is_read_from_its_beginning(service: Service) -> None:
    file = Growing(service)
    file.content = b"first attempt"
    ended = asyncio.Event()
    got: list[bytes] = []
    anew: list[bool] = []

    def write(chunk: bytes) -> None:
        got.append(chunk)
        if len(got) == 1:
            file.content = b"second"
        else:
            ended.set()

    async with Client(service.settings) as client:
        await follow_file(client, "/f", write, ended, restarted=lambda: anew.append(True))
    assert got == [b"first attempt", b"second"]
    assert anew == [True]


async def test_a_file_that_never_was_is_told(service: Service) -> None:
    Growing(service)
    ended = asyncio.Event()
    ended.set()
    async with Client(service.settings) as client:
        assert not await follow_file(client, "/f", lambda _: None, ended)
