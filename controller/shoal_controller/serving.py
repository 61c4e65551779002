"""How applications are served, and what becomes of requests that never reach one.

aiohttp answers what it cannot read with a page of plain text and a traceback in the log, so that a
stranger fills the disk. Here each application says in its own form what was wrong, and the log gets
one line at level debug, in words that hold nothing of the request: it may have held a key.
"""

from __future__ import annotations

import asyncio
import logging
import re
import resource
from collections.abc import Callable
from typing import Any, Final

from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import (
    BadHttpMethod,
    BadStatusLine,
    HttpProcessingError,
    InvalidHeader,
    InvalidURLError,
    LineTooLong,
    PayloadEncodingError,
)
from multidict import CIMultiDictProxy

log = logging.getLogger(__name__)

HEADER_BYTES_MAX: Final = 16 * 1024
"""Of the request line, and of one header: 8 KiB of metadata may stand in one."""
HEADERS_MAX: Final = 128
IDLE_S_MAX: Final = 75.0
"""A connection ends when no whole request came so long: since it began, or since the last answer.

However busily its bytes trickle in meanwhile. Clients keep connections for the next request.
"""
UNREAD_S_MAX: Final = 10.0
"""The rest of a body that nobody wants is taken so long, then the connection ends."""
WRITE_S_MAX: Final = 120.0
"""A client that takes nothing of its answer for so long is cut off."""
WAITING_MAX: Final = 2048
"""So many connections may wait for a request; who has waited longest goes for a new one.

A quarter of the descriptors that the process may have, where that is less.
"""
SHUTDOWN_S_MAX: Final = 5.0
"""Requests that are being answered when the end comes have so long."""

BROKEN_BODY: Final = "The body of the request is not what its headers say."

Refuse = Callable[[str, str], web.Response]
"""Makes the answer of an error code that both services know, and the reason in words."""

# The parser's reason, which it puts before the bytes at fault, or a whole message without any.
_REASON: Final = re.compile(
    r"([A-Z][A-Za-z /`'-]{1,80})(?=:\n\n)|Too many headers received\Z"
    r"|Missing 'Host' header in request(?=\.\Z)|Duplicate '[A-Za-z-]{1,40}' header found(?=\.\Z)"
)
_OF_HEADERS: Final = re.compile("header|content-length|transfer-encoding", re.IGNORECASE)


class Runner(web.AppRunner):
    """Serves one application; `setup`, then a site for it, and `cleanup` at the end."""

    def __init__(
        self, app: web.Application, refuse: Refuse, *, auto_decompress: bool = True
    ) -> None:
        """auto_decompress   False: a body with Content-Encoding is passed on as it came"""
        self._protocol: Final[dict[str, Any]] = {
            "access_log": None,
            "auto_decompress": auto_decompress,
            "keepalive_timeout": IDLE_S_MAX,
            "lingering_time": UNREAD_S_MAX,
            "logger": log,
            "max_field_size": HEADER_BYTES_MAX,
            "max_headers": HEADERS_MAX,
            "max_line_size": HEADER_BYTES_MAX,
        }
        self._refuse = refuse
        super().__init__(app, shutdown_timeout=SHUTDOWN_S_MAX, **self._protocol)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(self._refuse, made, self._protocol)


class _Server(web.Server):
    def __init__(self, refuse: Refuse, made: web.Server, protocol: dict[str, Any]) -> None:
        super().__init__(made.request_handler, request_factory=self._new_request)
        self._new_request_of_app = made.request_factory
        self._refuse = refuse
        self._protocol = protocol
        descriptors_max, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._waiting_max = min(WAITING_MAX, max(1, descriptors_max // 4))
        self._waiting: dict[_Connection, None] = {}

    def waits(self, connection: _Connection) -> None:
        """Note that a connection waits for a request; end another one if those are too many."""
        self._waiting[connection] = None
        if len(self._waiting) > self._waiting_max:
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            longest.force_close()

    def waits_no_more(self, connection: _Connection) -> None:
        """Note that a connection has its request, or is no more."""
        self._waiting.pop(connection, None)

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, self._refuse, self._protocol)

    def _new_request(
        self, message: Any, payload: Any, protocol: web.RequestHandler, writer: Any, task: Any
    ) -> web.BaseRequest:
        if "Expect" in message.headers:
            # Other expectations than this one are passed over. aiohttp would answer them with a
            # page of its own, with what was sent in it.
            if message.headers["Expect"].lower() == "100-continue" and protocol.transport:
                protocol.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            headers = message.headers.copy()
            headers.popall("Expect")
            message = message._replace(headers=CIMultiDictProxy(headers))
        return self._new_request_of_app(message, payload, protocol, writer, task)


class _Connection(web.RequestHandler):
    """One connection of a client."""

    __slots__ = ("_body", "_refuse", "_server", "_stuck")

    def __init__(self, server: _Server, refuse: Refuse, protocol: dict[str, Any]) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **protocol)
        self._server = server
        self._refuse = refuse
        self._body: StreamReader | None = None
        self._stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.waits(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._server.waits_no_more(self)
        self._moves()
        super().connection_lost(exc)

    async def _handle_request(
        self, request: web.BaseRequest, start_time: float | None, request_handler: Any
    ) -> tuple[web.StreamResponse, bool]:
        self._server.waits_no_more(self)
        try:
            return await super()._handle_request(request, start_time, request_handler)
        finally:
            if self.transport is not None:
                self._server.waits(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.transport is not None:
            self._stuck = self._loop.call_later(WRITE_S_MAX, self.transport.abort)

    def resume_writing(self) -> None:
        self._moves()
        super().resume_writing()

    def _moves(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._messages:
            return
        message, body = self._messages[-1]
        if isinstance(message, RawRequestMessage):
            self._body = body
        elif self._body is not None and not self._body.is_eof():
            # It broke off here. Nobody else tells who waits for the rest of it.
            self._body.set_exception(web.RequestPayloadError(BROKEN_BODY))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if isinstance(exc, HttpProcessingError):
            code, reason = what_is_wrong(exc)
            _tell(request.remote, reason)
        elif exc is not None and is_gone(request, exc):
            raise exc  # the connection's end, which is no news
        else:
            log.error("a handler failed: %s %s", request.method, request.path, exc_info=exc)
            code, reason = "InternalError", "The server encountered an internal error."
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        response = self._refuse(code, reason)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        # Asked when the rest of a body, which no handler wanted, turns out to be none.
        if isinstance(kw.get("exc_info"), web.RequestPayloadError | HttpProcessingError):
            _tell(self.peername, BROKEN_BODY)
        else:
            super().log_exception(*args, **kw)


def is_gone(request: web.BaseRequest, error: BaseException) -> bool:
    """Return whether an error says that the client hung up, so that nobody waits for an answer."""
    transport = request.transport
    return isinstance(error, ConnectionError) and (transport is None or transport.is_closing())


def what_is_wrong(error: HttpProcessingError) -> tuple[str, str]:
    """Return an error code of both services and a reason for a request that could not be read.

    The reason has words of the parser's own at most, never bytes of the request.
    """
    match error:
        case BadHttpMethod():
            return (
                "InvalidHttpVerb",
                "The request does not begin with an HTTP method; this port does not speak TLS.",
            )
        case BadStatusLine():
            return "InvalidInput", "The request line is none of HTTP/1.0 or HTTP/1.1."
        case InvalidURLError():
            return "InvalidUri", "The target of the request is no URL."
        case LineTooLong():
            return (
                "InvalidInput",
                f"The request line or a header is longer than {HEADER_BYTES_MAX} bytes.",
            )
        case PayloadEncodingError():
            return "InvalidInput", BROKEN_BODY
        case InvalidHeader():
            return "InvalidHeaderValue", "A header of the request is not as HTTP has them."
        case _:
            found = _REASON.match(error.message)
            reason = found[0] if found else "The request is not HTTP"
            if reason == "Pause on PRI/Upgrade":
                reason = "HTTP/2 is not spoken here"
            code = "InvalidHeaderValue" if _OF_HEADERS.search(reason) else "InvalidInput"
            return code, reason + "."


def _tell(peer: object, reason: str) -> None:
    log.debug("refused what %s sent: %s", peer, reason)
