"""One open socket: the handshake, then frames in both directions until either side ends it.

Reading, committing and writing overlap. A frame is handed on while the one before it still waits
for the disk; acknowledgements keep the order. Whatever was queued since the last write leaves as
one burst.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final, get_args

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from shoal_controller.core.errors import Refused, Unavailable
from shoal_controller.links.events import LinkEvents
from shoal_controller.links.registry import NodeLink, Registry
from shoal_protocol.codec import (
    FRAME_BYTES_MAX,
    BadFrame,
    Entry,
    decode_frame,
    encode_frame,
    encode_message,
)
from shoal_protocol.messages import (
    PROTOCOL_VERSION,
    Hello,
    Reply,
    RunTask,
    ToController,
    Welcome,
)

log = logging.getLogger(__name__)

HANDSHAKE_S_MAX: Final = 10.0
"""A connection that has not said Hello by then is closed."""
TICK_S: Final = 1.0
"""How often heartbeat and silence are looked at."""
WRITE_S_MAX: Final = 20.0
"""A peer that has not taken a frame for so long is gone."""
ACK_DELAY_S: Final = 0.005
"""An acknowledgement waits so long for a message to travel with: nobody waits for it."""
FRAMES_IN_FLIGHT_MAX: Final = 16
BYTES_IN_FLIGHT_MAX: Final = 2 * FRAME_BYTES_MAX
"""Frames handed on and not yet on disk; with more of them the socket is not read."""

_FROM_AGENT: Final = frozenset(get_args(ToController)) - {Hello}


class Connection:
    """One socket of one node; `serve` runs it to its end."""

    def __init__(
        self, socket: web.WebSocketResponse, link: NodeLink, registry: Registry, events: LinkEvents
    ) -> None:
        self._socket = socket
        self._link = link
        self._registry = registry
        self._clock = registry.clock
        self._events = events
        self._wake = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._failure: Exception | None = None  # of a commit
        self._is_ending = False
        self._acking: asyncio.TimerHandle | None = None
        self._in_flight: deque[tuple[asyncio.Task[None], int]] = deque()
        self._bytes_in_flight = 0
        self._close_code = WSCloseCode.OK

    # --- from the registry ------------------------------------------------------------------------

    def wake(self) -> None:
        """There may be something to write."""
        self._wake.set()

    def stop(self) -> None:
        """Close soon."""
        self._close_code = WSCloseCode.GOING_AWAY
        self._cancel()

    async def stopped(self) -> None:
        """Return when nothing of the connection runs any more, commits included."""
        if self._pump is not None:
            await asyncio.wait([self._pump])

    def _cancel(self) -> None:
        if self._pump is not None and not self._is_ending:
            self._is_ending = True  # a second time would interrupt the wait for the commits
            self._pump.cancel()

    # --- the life of a connection -----------------------------------------------------------------

    async def serve(self) -> None:
        """Run until the peer leaves, misbehaves or falls silent, or `stop` is called."""
        self._pump = pump = asyncio.create_task(self._run(), name=f"link {self._link.ref.node_id}")
        try:
            await asyncio.wait([pump])
        finally:
            if not pump.done():  # the server itself is being cancelled
                self._cancel()
                await asyncio.wait([pump])
            error = self._failure or (None if pump.cancelled() else pump.exception())
            if error is not None:
                self._note(error)
        # Short and bounded: a peer that is gone does not answer the closing handshake.
        await self._socket.close(code=self._close_code)

    async def _run(self) -> None:
        try:
            await self._shake_hands()
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(self._write())
                ticking = tasks.create_task(self._tick())
                await self._read()
                writing.cancel()
                ticking.cancel()
        finally:
            self._is_ending = True
            # What is on its way to the disk arrives there whatever becomes of the connection; the
            # next one begins behind it.
            if self._in_flight:
                await asyncio.wait([task for task, _ in self._in_flight])
            if self._acking is not None:
                self._acking.cancel()
            if self._link.wire is self:
                self._link.lost()
                self._events.disconnected(self._link.ref)

    def _note(self, error: BaseException) -> None:
        """Say once why a connection ended other than by the peer's leave."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        ref, counts = self._link.ref, self._registry.counts
        match error:
            case BadFrame():
                self._close_code = WSCloseCode.PROTOCOL_ERROR
                counts.bad_frame_count += 1
                self._link.bad_frame_count += 1
                # A broken agent comes again and again; it is worth a line each doubling.
                if self._link.bad_frame_count.bit_count() == 1:
                    log.warning(
                        "node %s of account %s sent a bad frame (%d so far): %s",
                        ref.node_id,
                        ref.account,
                        self._link.bad_frame_count,
                        error,
                    )
            case Refused():
                self._close_code = WSCloseCode.POLICY_VIOLATION
                counts.refused_count += 1
                log.info("node %s of account %s was refused: %s", ref.node_id, ref.account, error)
            case _Silent():
                counts.silent_count += 1
                log.info("node %s of account %s: %s", ref.node_id, ref.account, error)
            case Unavailable() | OSError():
                self._close_code = WSCloseCode.TRY_AGAIN_LATER
                log.warning("link of node %s, %s: %s", ref.node_id, ref.account, error)
            case _:
                self._close_code = WSCloseCode.INTERNAL_ERROR
                log.error("link of node %s, %s", ref.node_id, ref.account, exc_info=error)

    # --- handshake --------------------------------------------------------------------------------

    async def _shake_hands(self) -> None:
        link, end = self._link, self._link.end
        try:
            async with asyncio.timeout(HANDSHAKE_S_MAX):
                message = await self._socket.receive()
        except TimeoutError as err:
            raise _Silent(f"no Hello within {HANDSHAKE_S_MAX:g} s") from err
        hello = _hello(_data(message), link.ref.node_id)
        while (old := link.wire) is not None:
            self._registry.counts.replaced_count += 1
            old.stop()
            await old.stopped()
        link.wire = self
        self._registry.counts.connection_count += 1
        # Until the agent has had a Welcome from this life of ours, its numbers mean an older one:
        # it is told that we know nothing of it, so that it counts from 1 as we do. That holds too
        # when an earlier handshake reached us and its Welcome did not arrive.
        known = end.peer_incarnation if hello.peer_incarnation == end.incarnation else ""
        held = {run.run for run in hello.runs}
        end.connected(
            hello.incarnation,
            hello.peer_incarnation,
            hello.received_seq,
            self._clock.monotonic(),
            # An earlier life of the agent took these on. Told again after their end was
            # acknowledged and forgotten, they would run once more.
            lambda message: isinstance(message, RunTask) and message.run in held,
        )
        config = await self._events.hello(link.ref, hello, end)
        welcome = Welcome(PROTOCOL_VERSION, end.incarnation, known, end.received_seq, config)
        await self._send(encode_frame(0, [encode_message(0, welcome)]))
        self._events.heard(link.ref)

    # --- reading ----------------------------------------------------------------------------------

    async def _read(self) -> None:
        link, end, events = self._link, self._link.end, self._events
        while True:
            message = await self._socket.receive()
            if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED):
                return
            frame = _data(message)
            entries = end.receive(frame, self._clock.monotonic())
            events.heard(link.ref)
            reliable: list[Entry] = []
            for entry in entries:
                if type(entry.message) not in _FROM_AGENT:
                    raise BadFrame(f"{type(entry.message).__name__} from an agent")
                if entry.seq:
                    reliable.append(entry)
                elif isinstance(entry.message, Reply):
                    link.reply(entry.message)
            if reliable:
                await self._hand_on(reliable, len(frame))
            if end.has_output:  # a repeat, whose acknowledgement got lost
                self._acknowledge_soon()

    async def _hand_on(self, entries: list[Entry], size: int) -> None:
        before = self._in_flight[-1][0] if self._in_flight else None
        task = asyncio.create_task(self._commit(entries, before))
        self._in_flight.append((task, size))
        self._bytes_in_flight += size
        while self._in_flight and (
            self._in_flight[0][0].done()
            or len(self._in_flight) > FRAMES_IN_FLIGHT_MAX
            or self._bytes_in_flight > BYTES_IN_FLIGHT_MAX
        ):
            oldest, oldest_size = self._in_flight[0]
            await asyncio.wait([oldest])
            self._in_flight.popleft()
            self._bytes_in_flight -= oldest_size

    async def _commit(self, entries: list[Entry], before: asyncio.Task[None] | None) -> None:
        end = self._link.end
        peer = end.peer_incarnation
        try:
            await self._events.entries(self._link.ref, entries)
        except Exception as err:  # told by serve(); the agent repeats from here
            self._failure = self._failure or err
            self._cancel()
        if before is not None and not before.done():
            await asyncio.wait([before])
        if self._failure is None:
            end.acknowledge(entries[-1].seq, peer)
            self._acknowledge_soon()

    def _acknowledge_soon(self) -> None:
        if self._acking is None:
            loop = asyncio.get_running_loop()
            self._acking = loop.call_later(ACK_DELAY_S, self._acknowledge)

    def _acknowledge(self) -> None:
        self._acking = None
        self._wake.set()

    # --- writing ----------------------------------------------------------------------------------

    async def _write(self) -> None:
        end, clock = self._link.end, self._clock
        while True:
            for frame in end.flush(clock.monotonic()):
                await self._send(frame)
            await self._wake.wait()
            self._wake.clear()

    async def _send(self, frame: bytes) -> None:
        sending = self._socket.send_bytes(frame)
        try:
            async with asyncio.timeout(WRITE_S_MAX):
                await sending
        except TimeoutError as err:
            raise _Silent(f"took no frame for {WRITE_S_MAX:g} s") from err
        except ConnectionError as err:  # aiohttp's ClientConnectionResetError is one
            raise _Silent(f"the connection broke: {err}") from err

    async def _tick(self) -> None:
        end, clock = self._link.end, self._clock
        while True:
            await asyncio.sleep(TICK_S)
            # A full pipeline is not read, so its silence is ours.
            if not self._in_flight and end.is_silent(clock.monotonic()):
                raise _Silent("nothing was heard for too long")
            self._wake.set()  # heartbeats and repeats are due in flush


class _Silent(Exception):
    """The peer does not answer, or the connection broke under us."""


def _hello(frame: bytes, node_id: str) -> Hello:
    """Return the Hello that a connection must begin with; raise BadFrame or Refused."""
    _, entries = decode_frame(frame)
    if len(entries) != 1 or not isinstance(hello := entries[0].message, Hello):
        raise BadFrame("a connection begins with a frame that holds one Hello")
    if hello.protocol_version != PROTOCOL_VERSION:
        raise Refused(
            "OperationInvalidForCurrentState",
            f"the agent speaks protocol {hello.protocol_version}, this controller"
            f" {PROTOCOL_VERSION}",
        )
    if hello.node_id != node_id:
        raise Refused(
            "AuthenticationFailed", f"the key of {node_id} came with the name {hello.node_id[:80]}"
        )
    return hello


def _data(message: WSMessage) -> bytes:
    if message.type == WSMsgType.BINARY:
        return message.data
    if message.type == WSMsgType.TEXT:
        raise BadFrame("a text frame")
    if message.type == WSMsgType.ERROR:
        raise BadFrame(f"not a WebSocket frame: {message.data}")
    raise _Silent("the connection closed before the handshake")
