"""The agent's end of a link over a real WebSocket, and a controller that only remembers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime

import aiohttp
from aiohttp import web

from shoal_controller.clock import SystemClock
from shoal_controller.core.errors import Refused
from shoal_controller.links.events import NodeRef
from shoal_controller.links.listener import LINK_PATH, Listener
from shoal_controller.links.registry import Registry
from shoal_protocol.codec import Entry, decode_frame, encode_frame, encode_message
from shoal_protocol.link import LinkEnd
from shoal_protocol.messages import PROTOCOL_VERSION, Hello, Message, RunEnded, Welcome
from shoal_protocol.specs import ExitInfo, NodeConfig, RunId

AT = datetime(2026, 1, 1, tzinfo=UTC)
REF = NodeRef("acc", 7, "tvmps_1_d")
CLOCK = SystemClock()


def ended(serial: int) -> RunEnded:
    return RunEnded(RunId(serial, 1), ExitInfo(AT, AT, 0))


class Remembering:
    """LinkEvents that keep what they are told."""

    def __init__(self) -> None:
        self.taken: list[Message] = []
        self.hellos: list[Hello] = []
        self.disconnected_count = 0
        self.heard_count = 0
        self.on_entries: Callable[[Sequence[Entry]], None] = lambda entries: None
        self.commit = asyncio.Event()
        self.commit.set()
        self.changed = asyncio.Condition()

    async def join(self, node_id: str, token: str) -> str:
        if (node_id, token) != (REF.node_id, "once"):
            raise Refused("AuthenticationFailed")
        return "acc:key"

    async def authenticate(self, key: str) -> NodeRef:
        if key != "acc:key":
            raise Refused("AuthenticationFailed")
        return REF

    async def hello(self, ref: NodeRef, hello: Hello, end: LinkEnd) -> NodeConfig:
        self.hellos.append(hello)
        await self._notify()
        return NodeConfig("acc", "http://localhost", "p", ref.node_id)

    async def entries(self, ref: NodeRef, entries: Sequence[Entry]) -> None:
        self.on_entries(entries)
        self.taken.extend(entry.message for entry in entries)
        await self._notify()
        await self.commit.wait()

    def disconnected(self, ref: NodeRef) -> None:
        self.disconnected_count += 1
        self._telling = asyncio.create_task(self._notify())

    def heard(self, ref: NodeRef) -> None:
        self.heard_count += 1

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Return once `is_so` holds; it is asked after each call from the link."""
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(is_so)

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()


class House:
    """A listener on a free port with its registry and what it told."""

    def __init__(self, url: str, registry: Registry, events: Remembering) -> None:
        self.url = url
        self.registry = registry
        self.events = events
        self.links = registry.of(REF.account)

    @contextlib.asynccontextmanager
    async def socket(self, key: str = "acc:key") -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                self.url + LINK_PATH, headers={"Authorization": f"Bearer {key}"}, autoclose=True
            ) as socket,
        ):
            yield socket


@contextlib.asynccontextmanager
async def a_house() -> AsyncIterator[House]:
    registry, events = Registry(CLOCK), Remembering()
    app = web.Application(middlewares=[Listener(registry, events).middleware])
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield House(f"http://{host}:{port}", registry, events)
    finally:
        await registry.close()
        await runner.cleanup()


class Agent:
    """One life of an agent: its end of the link and what it was told, acknowledged at once."""

    def __init__(self, incarnation: str = "agent-1") -> None:
        self.end = LinkEnd(incarnation)
        self.told: list[Message] = []
        self.replies: Callable[[Message], Message | None] = lambda message: None

    def hello(self) -> Hello:
        return Hello(
            PROTOCOL_VERSION,
            REF.node_id,
            "boot-1",
            AT,
            "0",
            self.end.incarnation,
            self.end.peer_incarnation,
            self.end.received_seq,
            "127.0.0.1",
            2,
        )

    async def shake_hands(self, socket: aiohttp.ClientWebSocketResponse) -> Welcome:
        await socket.send_bytes(encode_frame(0, [encode_message(0, self.hello())]))
        _, entries = decode_frame(await socket.receive_bytes(timeout=20))
        welcome = entries[0].message
        assert isinstance(welcome, Welcome)
        self.end.connected(
            welcome.incarnation, welcome.peer_incarnation, welcome.received_seq, CLOCK.monotonic()
        )
        return welcome

    async def flush(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        for frame in self.end.flush(CLOCK.monotonic()):
            await socket.send_bytes(frame)

    async def take(self, socket: aiohttp.ClientWebSocketResponse) -> bool:
        """Receive one frame, keep and acknowledge its messages; False when the socket closed."""
        message = await socket.receive(timeout=20)
        if message.type != aiohttp.WSMsgType.BINARY:
            self.end.disconnected()
            return False
        for entry in self.end.receive(message.data, CLOCK.monotonic()):
            self.told.append(entry.message)
            self.end.acknowledge(entry.seq, self.end.peer_incarnation)
            if (reply := self.replies(entry.message)) is not None:
                self.end.send(reply, CLOCK.monotonic())
        await self.flush(socket)
        return True

    def send(self, *messages: Message) -> None:
        for message in messages:
            self.end.send(message, CLOCK.monotonic())
