"""A controller that does what a test says: the real protocol on a loopback port, no decisions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

from shoal_protocol.codec import decode_frame, encode_frame, encode_message
from shoal_protocol.link import LinkEnd
from shoal_protocol.messages import (
    PROTOCOL_VERSION,
    Hello,
    Message,
    NodeReport,
    RunEnded,
    Welcome,
)
from shoal_protocol.specs import NodeConfig

TOKEN = "one-time"
KEY = "node-key"


class ScriptedController:
    """Accepts one agent after another and keeps all they say, in order.

    acknowledges   False: what arrives is not acknowledged, as if it never became durable
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self.link = LinkEnd("controller-1")
        self.heard: list[Message] = []
        self.hellos: list[Hello] = []
        self.joins: list[Any] = []
        self.acknowledges = True
        self.url = ""
        self._changed = asyncio.Event()
        self._socket: web.WebSocketResponse | None = None
        self._runner: web.AppRunner | None = None
        self._known = ""

    async def start(self) -> None:
        """Listen on a free port."""
        app = web.Application()
        app.router.add_post("/shoal/v1/join", self._join)
        app.router.add_get("/shoal/v1/link", self._link)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        """Hang up and listen no more."""
        await self.hang_up()
        if self._runner is not None:
            await self._runner.cleanup()

    async def hang_up(self) -> None:
        """Close the present connection."""
        if self._socket is not None:
            await self._socket.close()

    async def restart(self) -> None:
        """Be a new life of the controller, which remembers nothing of the link."""
        self.link = LinkEnd(f"{self.link.incarnation}+")
        self._known = ""
        await self.hang_up()

    def tell(self, *messages: Message) -> None:
        """Send messages, now or with the next connection."""
        for message in messages:
            self.link.send(message, time.monotonic())
        self._changed.set()

    async def write(self, frame: bytes) -> None:
        """Send these very bytes."""
        assert self._socket is not None
        await self._socket.send_bytes(frame)

    async def until(self, condition: Callable[[], Any], what: str = "") -> Any:
        """Wait until `condition` gives something true, and return that."""
        async with asyncio.timeout(30):
            while not (found := condition()):
                await self._heard_more.wait()
        return found

    def all(self, kind: type[Any]) -> list[Any]:
        """Return everything of one kind that was heard."""
        return [message for message in self.heard if type(message) is kind]

    async def hear(self, kind: type[Any], count: int = 1) -> list[Any]:
        """Wait for so many messages of one kind, and return them."""
        return await self.until(lambda: found if len(found := self.all(kind)) >= count else None)

    async def results(self, *names: Any) -> list[RunEnded]:
        """Wait for the results of these runs, in their order."""

        def found() -> list[RunEnded] | None:
            ends = {end.run: end for end in self.all(RunEnded)}
            return [ends[name] for name in names] if all(n in ends for n in names) else None

        return await self.until(found)

    async def ready(self) -> NodeReport:
        """Wait until the node may be given tasks."""
        return await self.until(lambda: next((r for r in self.all(NodeReport) if r.ready), None))

    # --- inside ---

    _more: asyncio.Event | None = None

    @property
    def _heard_more(self) -> asyncio.Event:
        self._more = self._more or asyncio.Event()
        self._more.clear()
        return self._more

    def _note(self) -> None:
        if self._more is not None:
            self._more.set()

    async def _join(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.joins.append(body)
        self._note()
        if body.get("token") != TOKEN:
            said = {"code": "AuthenticationFailed", "message": "The join token is another's."}
            return web.json_response(said, status=403)
        return web.json_response({"key": KEY})

    async def _link(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.Response(status=403)
        socket = web.WebSocketResponse(max_msg_size=8 << 20)
        await socket.prepare(request)
        _, entries = decode_frame(await socket.receive_bytes())
        hello = entries[0].message
        assert isinstance(hello, Hello)
        self.hellos.append(hello)
        welcome = Welcome(
            PROTOCOL_VERSION, self.link.incarnation, self._known, self.link.received_seq,
            self.config,
        )  # fmt: skip
        if hello.incarnation != self._known:
            welcome = Welcome(PROTOCOL_VERSION, self.link.incarnation, self._known, 0, self.config)
        self._known = hello.incarnation
        self.link.connected(
            hello.incarnation, hello.peer_incarnation and self.link.incarnation,
            hello.received_seq, time.monotonic(),
        )  # fmt: skip
        await socket.send_bytes(encode_frame(0, [encode_message(0, welcome)]))
        self._socket = socket
        self._changed.set()
        writer = asyncio.create_task(self._write(socket))
        try:
            async for message in socket:
                if message.type is not WSMsgType.BINARY:
                    break
                for entry in self.link.receive(message.data, time.monotonic()):
                    self.heard.append(entry.message)
                    if entry.seq and self.acknowledges:
                        self.link.acknowledge(entry.seq, self.link.peer_incarnation)
                self._changed.set()
                self._note()
        finally:
            writer.cancel()
            if self._socket is socket:
                self.link.disconnected()
                self._socket = None
            self._note()
        return socket

    async def _write(self, socket: web.WebSocketResponse) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            for frame in self.link.flush(time.monotonic()):
                await socket.send_bytes(frame)
