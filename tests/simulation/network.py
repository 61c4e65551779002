"""The network between agents and the controller: connections that break, frames that vanish.

A `Socket` is one end of a WebSocket, as aiohttp's server and client ends look to those who pump
them. TCP would lose and repeat nothing within a connection; here it may, because the link promises
to stand it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from random import Random
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import WSMessage, WSMsgType

from shoal_protocol.codec import Entry, decode_frame, encode_frame, encode_message
from shoal_protocol.messages import Ping
from tests.simulation.virtual import Process, VirtualLoop, current_process

if TYPE_CHECKING:
    from tests.simulation.world import World

_CLOSED = WSMessage(WSMsgType.CLOSED, None, None)


class Socket:
    """One end of a connection, owned by one process."""

    def __init__(self, network: Network, label: str) -> None:
        self.network = network
        self.label = label
        self.owner = current_process()
        self.peer: Socket = self
        self.is_open = True
        self.is_cut = False  # silently: what is sent vanishes, and nothing arrives
        self.close_code: int | None = None
        self.frame_count = 0
        self.held: bytes | None = None  # waits to be merged with the next frame
        self.arrives_s = 0.0
        self._inbox: deque[WSMessage] = deque()
        self._waiting: asyncio.Future[None] | None = None

    async def receive(self) -> WSMessage:
        """Return the next message, or CLOSED for ever once the connection is over."""
        while not self._inbox:
            if not self.is_open:
                return _CLOSED
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        return self._inbox.popleft()

    async def send_bytes(self, frame: bytes) -> None:
        """Send a frame; raises as aiohttp does when the connection is known to be over."""
        if not self.is_open:
            raise aiohttp.ClientConnectionResetError("the connection is closed")
        self.network.carry(self, frame)

    async def close(self, *, code: int = 1000) -> bool:
        """End the connection; the other end learns of it, unless the network is cut."""
        if self.is_open:
            self.is_open = False
            self.close_code = code
            self.network.tell_closed(self.peer)
        return True

    def put(self, message: WSMessage) -> None:
        """Deliver."""
        self._inbox.append(message)
        self._ring()

    def end(self) -> None:
        """The connection is over, as this end sees it."""
        self.is_open = False
        self._ring()

    def _ring(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Network:
    """All connections; faults happen while `is_faulty`."""

    def __init__(self, world: World, loop: VirtualLoop, rng: Random) -> None:
        self._world = world
        self._loop = loop
        self._rng = rng
        self.loss = self.repeat = self.split = self.merge = 0.0
        self.latency_s_max = 0.01
        self.unreachable: set[str] = set()  # labels of nodes that are cut off
        self.sockets: list[tuple[Socket, Socket]] = []

    def connect(self, label: str, server: Process) -> tuple[Socket, Socket]:
        """Return the client's and the server's end of a new connection."""
        client, serving = Socket(self, label), Socket(self, label)
        serving.owner = server
        client.peer, serving.peer = serving, client
        self.sockets = [pair for pair in self.sockets if any(end.is_open for end in pair)]
        self.sockets.append((client, serving))
        return client, serving

    def latency_s(self) -> float:
        """Return how long something takes to arrive."""
        rng = self._rng
        if rng.random() < 0.02:
            return self.latency_s_max * 50 * rng.random()
        return 0.0001 + self.latency_s_max * rng.random() ** 3

    def carry(self, sender: Socket, frame: bytes) -> None:
        """Take a frame to the other end, or lose it, repeat it, cut it or join it to the next."""
        sender.frame_count += 1
        if sender.is_cut or sender.label in self.unreachable:
            return
        rng = self._rng
        if sender.frame_count == 1:  # the handshake is one frame each way
            if rng.random() >= self.loss:
                self._deliver(sender, frame)
            return
        if sender.held is not None:
            sender.held, before = None, sender.held
            frame = _merged(before, frame)
        if rng.random() < self.loss:
            self._world.trace("lost", sender.label)
            return
        if rng.random() < self.merge:
            sender.held = frame
            self._loop.later(self.latency_s(), self._release, sender)
            return
        frames = _split(frame, rng) if rng.random() < self.split else [frame]
        for part in frames:
            for _ in range(2 if rng.random() < self.repeat else 1):
                self._deliver(sender, part)

    def tell_closed(self, end: Socket) -> None:
        """Let an end know that the connection is over."""
        if not end.is_cut and end.label not in self.unreachable:
            self._loop.later(self.latency_s(), end.end)

    def reset(self, label: str) -> None:
        """Break all connections of a node; either end notices in its own time, or one never."""
        for pair in self.sockets:
            if pair[0].label != label:
                continue
            silent = self._rng.choice([None, *pair])
            for end in pair:
                end.is_cut = True
                if end is not silent:
                    self._loop.later(self.latency_s(), end.end)

    def died(self, process: Process) -> None:
        """Connections of a dead process are closed by its operating system."""
        for pair in self.sockets:
            for end in pair:
                if end.owner is process and end.is_open:
                    end.is_open = False
                    self.tell_closed(end.peer)

    def _release(self, sender: Socket) -> None:
        if sender.held is not None:
            frame, sender.held = sender.held, None
            self._deliver(sender, frame)

    def _deliver(self, sender: Socket, frame: bytes) -> None:
        """In order: one connection is one stream."""
        arrives_s = max(self._loop.time() + self.latency_s(), sender.arrives_s + 1e-6)
        sender.arrives_s = arrives_s
        self._loop.later(arrives_s - self._loop.time(), self._arrive, sender.peer, frame)

    def _arrive(self, end: Socket, frame: bytes) -> None:
        if end.is_open and not end.is_cut and end.label not in self.unreachable:
            if self._world.is_verbose:
                way = ">" if end.owner is self._world.controller.process else "<"
                self._world.note(f"{end.label} {way} {_shown(frame)}")
            end.put(WSMessage(WSMsgType.BINARY, frame, None))


class DialTone:
    """What an agent's connection takes for its aiohttp session."""

    def __init__(self, world: World, label: str) -> None:
        self._world = world
        self._label = label

    async def ws_connect(self, url: str, *, headers: dict[str, str], **_: Any) -> Socket:
        """Dial the controller; raises aiohttp's errors."""
        network = self._world.network
        await asyncio.sleep(network.latency_s())
        controller = self._world.controller
        if self._label in network.unreachable or not controller.is_up:
            raise aiohttp.ClientConnectionError("no answer")
        return await controller.accept(self._label, headers["Authorization"].split(" ", 1)[1])


def _entries(entries: list[Entry]) -> list[bytes]:
    return [encode_message(entry.seq, entry.message) for entry in entries]


def _shown(frame: bytes) -> str:
    ack, entries = decode_frame(frame)
    messages = [_told(entry) for entry in entries if not isinstance(entry.message, Ping)]
    return f"ack {ack}, {'; '.join(messages) or 'nothing'}"


def _told(entry: Entry) -> str:
    message = entry.message
    run = getattr(message, "run", "")
    held = [f"{h.run}:{h.phase}" for h in getattr(message, "runs", ())]
    return f"{entry.seq} {type(message).__name__} {run}{' '.join(held)}"


def _split(frame: bytes, rng: Random) -> list[bytes]:
    ack, entries = decode_frame(frame)
    if len(entries) < 2:
        return [frame]
    at = rng.randrange(1, len(entries))
    return [encode_frame(ack, _entries(entries[:at])), encode_frame(ack, _entries(entries[at:]))]


def _merged(first: bytes, second: bytes) -> bytes:
    (ack, entries), (later_ack, more) = decode_frame(first), decode_frame(second)
    return encode_frame(max(ack, later_ack), _entries([*entries, *more]))
