"""The two addresses that agents dial: join once, then one WebSocket for ever.

Both stand in front of the Batch API on its port: an agent knows no account key, so the API's own
authentication never sees it.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from shoal_controller.core.errors import Refused, Unavailable
from shoal_controller.links.connection import Connection
from shoal_controller.links.events import LinkEvents
from shoal_controller.links.registry import Registry
from shoal_protocol.codec import FRAME_BYTES_MAX

JOIN_PATH: Final = "/shoal/v1/join"
LINK_PATH: Final = "/shoal/v1/link"
JOIN_BYTES_MAX: Final = 4096
JOIN_S_MAX: Final = 10.0
CLOSE_S_MAX: Final = 1.0
_BEARER: Final = re.compile(r"Bearer ([\x21-\x7e]{1,512})\Z")


class _Join(msgspec.Struct):
    node_id: str
    token: str


class Listener:
    """Accepts agents."""

    def __init__(self, registry: Registry, events: LinkEvents) -> None:
        self._registry = registry
        self._events = events
        self._handlers: dict[tuple[str, str], Handler] = {
            ("POST", JOIN_PATH): self.join,
            ("GET", LINK_PATH): self.link,
        }

    def routes(self) -> list[web.RouteDef]:
        """Return the two routes, for an application of their own."""
        return [web.post(JOIN_PATH, self.join), web.get(LINK_PATH, self.link)]

    @property
    def middleware(self) -> Middleware:
        """Return a middleware that takes agents' requests before an application sees them."""
        handlers = self._handlers

        @web.middleware
        async def agents_first(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await handlers.get((request.method, request.path), handler)(request)

        return agents_first

    async def join(self, request: web.Request) -> web.StreamResponse:
        """Exchange {"node_id", "token"} for {"key"}; 403, saying why, when they do not fit."""
        try:
            async with asyncio.timeout(JOIN_S_MAX):
                body = await _body(request)
            order = msgspec.json.decode(body, type=_Join)
            key = await self._events.join(order.node_id, order.token)
        except (msgspec.MsgspecError, ValueError, TimeoutError, web.RequestPayloadError):
            return _error(400, "InvalidRequestBody", "A join is {node_id, token} as JSON.")
        except Refused as err:
            self._registry.counts.refused_count += 1
            return _error(err.status, err.code, err.message)
        except Unavailable as err:
            return _error(503, "ServerBusy", str(err))
        return web.json_response({"key": key})

    async def link(self, request: web.Request) -> web.StreamResponse:
        """Upgrade to the WebSocket of the node whose key the request bears; 403 without one."""
        bearer = _BEARER.match(request.headers.get("Authorization", ""))
        try:
            if bearer is None:
                raise Refused(
                    "AuthenticationFailed", "An agent shows the key of its node: Bearer KEY."
                )
            ref = await self._events.authenticate(bearer[1])
        except Refused as err:
            self._registry.counts.refused_count += 1
            return _error(err.status, err.code, err.message)
        except Unavailable as err:
            return _error(503, "ServerBusy", str(err))
        # Frames are dense already and both ends are often one machine: no compression.
        socket = web.WebSocketResponse(
            compress=False, max_msg_size=FRAME_BYTES_MAX + 1024, timeout=CLOSE_S_MAX
        )
        if not socket.can_prepare(request):
            return _error(400, "InvalidHeaderValue", "This address speaks WebSocket only.")
        await socket.prepare(request)
        link = self._registry.node(ref.account, ref.serial, ref.node_id)
        await Connection(socket, link, self._registry, self._events).serve()
        return socket


async def _body(request: web.Request) -> bytes:
    body = b""
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > JOIN_BYTES_MAX:
            raise ValueError("too long")
    return body


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status)
