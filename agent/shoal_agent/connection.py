"""The agent's end of the link: dials the controller, shakes hands, pumps frames, for ever."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from random import Random
from typing import Final

import aiohttp

from shoal_agent.runner import Runner
from shoal_protocol.codec import (
    FRAME_BYTES_MAX,
    BadFrame,
    decode_frame,
    encode_frame,
    encode_message,
)
from shoal_protocol.messages import PROTOCOL_VERSION, Hello, Welcome

logger = logging.getLogger(__name__)

PATH: Final = "/shoal/v1/link"
DIAL_S_MAX: Final = 20.0
SEND_S_MAX: Final = 20.0
BACKOFF_S_MIN: Final = 0.1
BACKOFF_S_MAX: Final = 15.0
LIVED_S_MIN: Final = 5.0
"""A connection that lived so long was a good one: the next is dialled at once."""
BEAT_S: Final = 1.0
_CLOSING: Final = frozenset(
    {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED}
)


class Connection:
    """Keeps a connection to the controller open; there is at most one at a time."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        controller_url: str,
        key: str,
        runner: Runner,
        hello: Callable[[], Hello],
        random: Random | None = None,
    ) -> None:
        """
        hello   returns what is to be told at the start of each connection
        random  spreads the waits between dials; given by tests that must replay
        """
        self._random = random or Random()
        self._session = session
        self._url = controller_url.rstrip("/") + PATH
        self._headers = {"Authorization": f"Bearer {key}"}
        self._runner = runner
        self._hello = hello
        self._wake = asyncio.Event()
        self._redial = asyncio.Event()
        runner.on_output = self._wake.set
        runner.on_redial = self._dial_again

    async def run(self) -> None:
        """Dial, and dial again, until cancelled."""
        backoff_s = BACKOFF_S_MIN
        is_quiet = False
        while True:
            began_s = self._now_s()
            try:
                await self._connect()
            except (aiohttp.ClientError, OSError, BadFrame, TimeoutError, ValueError) as error:
                # Said once for each row of failures: this may go on for days.
                logger.log(
                    logging.DEBUG if is_quiet else logging.WARNING,
                    "no link to %s: %s", self._url, str(error) or type(error).__name__,
                )  # fmt: skip
                is_quiet = True
            finally:
                self._runner.link.disconnected()
            if self._redial.is_set() or self._now_s() - began_s > LIVED_S_MIN:
                backoff_s, is_quiet = BACKOFF_S_MIN, False
            self._redial.clear()
            await asyncio.sleep(backoff_s * self._random.uniform(0.5, 1.0))
            backoff_s = min(BACKOFF_S_MAX, backoff_s * 2)

    def _dial_again(self) -> None:
        self._redial.set()
        self._wake.set()

    def _now_s(self) -> float:
        return self._runner.clock().s

    async def _connect(self) -> None:
        async with asyncio.timeout(DIAL_S_MAX):
            socket = await self._session.ws_connect(
                self._url,
                headers=self._headers,
                max_msg_size=FRAME_BYTES_MAX + 1,
                autoping=True,
                compress=0,
            )
        try:
            async with asyncio.timeout(DIAL_S_MAX):
                hello = encode_frame(0, [encode_message(0, self._hello())])
                await socket.send_bytes(hello)
                self._welcome(await _frame(socket))
            logger.info("linked to %s", self._url)
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self._write(socket))
                beat = group.create_task(self._beat())
                try:
                    await self._read(socket)
                finally:
                    writer.cancel()
                    beat.cancel()
        except ExceptionGroup as errors:
            # Not `except*`: what is raised there leaves as a group again.
            if errors.split((aiohttp.ClientError, OSError, BadFrame, TimeoutError))[1] is not None:
                raise
            raise _first(errors) from None
        finally:
            self._runner.link.disconnected()
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await socket.close()

    def _welcome(self, frame: bytes) -> None:
        _, entries = decode_frame(frame)
        welcome = entries[0].message if len(entries) == 1 else None
        if not isinstance(welcome, Welcome):
            raise BadFrame("a connection begins with Welcome")
        if welcome.protocol_version != PROTOCOL_VERSION:
            raise BadFrame(
                f"the controller speaks protocol {welcome.protocol_version}, "
                f"this agent {PROTOCOL_VERSION}"
            )
        self._runner.connected(welcome, self._now_s())

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            self._runner.received(await _frame(socket), self._now_s())

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        link = self._runner.link
        while True:
            await self._wake.wait()
            self._wake.clear()
            now_s = self._now_s()
            if link.is_silent(now_s):
                raise TimeoutError("the controller has fallen silent")
            if self._redial.is_set():
                raise ConnectionResetError("a new connection is wanted")
            frames = link.flush(now_s)
            if frames:
                async with asyncio.timeout(SEND_S_MAX):
                    for frame in frames:
                        await socket.send_bytes(frame)

    async def _beat(self) -> None:
        """Wake the writer for heartbeats, repeats and silence."""
        while True:
            await asyncio.sleep(BEAT_S)
            self._wake.set()


async def _frame(socket: aiohttp.ClientWebSocketResponse) -> bytes:
    message = await socket.receive()
    if message.type is aiohttp.WSMsgType.BINARY:
        return message.data
    if message.type in _CLOSING:
        raise ConnectionResetError(f"the controller closed the link ({socket.close_code})")
    raise BadFrame(f"a {message.type.name} message where frames are due")


def _first(errors: BaseExceptionGroup[Exception]) -> Exception:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
