"""The door of the machine's administrator: all accounts, over a Unix socket in the data folder.

Whoever can open that socket can read the accounts' keys in their files as well, so it asks for no
other credentials: only processes of the controller's own user, and root's, are let in.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import msgspec
from aiohttp import web

from shoal_controller.api.accounts import plain
from shoal_controller.api.call import UNREADABLE, read_body, unreadable
from shoal_controller.api.errors import error_response, of_http
from shoal_controller.api.wire import account as wire
from shoal_controller.clock import Clock
from shoal_controller.core.account import Account
from shoal_controller.core.errors import Refused, Unavailable
from shoal_controller.operations import accounts
from shoal_controller.operations.context import Context

log = logging.getLogger(__name__)

ACCOUNTS_PATH: Final = "/shoal/v1/accounts"
_ONE: Final = ACCOUNTS_PATH + "/{name}"
_BASE: Final = "http://localhost"
_CREDENTIALS: Final = struct.Struct("3i")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Tenancy(Protocol):
    """The accounts of a controller; see tenancy.py."""

    @property
    def contexts(self) -> Mapping[str, Context]: ...

    async def create(self, name: str, quotas: Mapping[str, int]) -> Account:
        """Make an account; return it with its fresh keys."""
        ...

    async def delete(self, name: str) -> None:
        """Remove an account with all that is in it."""
        ...


def create_admin_app(tenancy: Tenancy, clock: Clock, endpoint: str) -> web.Application:
    """Return the application; serve it on a Unix socket and nowhere else.

    endpoint  where clients of the accounts reach the Batch API
    """
    admin = _Admin(tenancy, clock, endpoint)
    app = web.Application(middlewares=[admin.answer])
    app.add_routes(
        [
            web.get(ACCOUNTS_PATH, admin.list_accounts),
            web.post(ACCOUNTS_PATH, admin.create_account),
            web.get(_ONE, admin.show_account),
            web.patch(_ONE, admin.change_quotas),
            web.delete(_ONE, admin.delete_account),
            web.post(f"{_ONE}/listkeys", admin.list_keys),
            web.post(f"{_ONE}/regeneratekey", admin.regenerate_key),
        ]
    )
    return app


class _Admin:
    def __init__(self, tenancy: Tenancy, clock: Clock, endpoint: str) -> None:
        self._tenancy = tenancy
        self._clock = clock
        self._endpoint = endpoint

    @web.middleware
    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = str(uuid.uuid4())
        try:
            _check_peer(request)
            return await handler(request)
        except Refused as error:
            refused = error
        except Unavailable as error:
            refused = Refused("ServerBusy", Reason=str(error))
        except web.HTTPException as error:
            refused = of_http(error.status)
        except Exception:
            log.exception("request %s failed: %s %s", request_id, request.method, request.path)
            refused = Refused("InternalError")
        is_head = request.method == "HEAD"
        return error_response(refused, request_id, self._clock.now(), _BASE, is_head=is_head)

    # --- handlers ---------------------------------------------------------------------------------

    async def list_accounts(self, _: web.Request) -> web.StreamResponse:
        held = sorted(self._tenancy.contexts.items())
        return plain({"value": [self._shown(ctx.account) for _, ctx in held]})

    async def create_account(self, request: web.Request) -> web.StreamResponse:
        name, quotas = wire.read_account(await _document(request))
        account = await self._tenancy.create(name, quotas)
        return plain(self._shown(account), status=201)

    async def show_account(self, request: web.Request) -> web.StreamResponse:
        return plain(self._shown(self._named(request).account))

    async def change_quotas(self, request: web.Request) -> web.StreamResponse:
        ctx = self._named(request)
        changes = wire.read_quotas(await _document(request))
        return plain(self._shown(await accounts.change_quotas(ctx, changes)))

    async def delete_account(self, request: web.Request) -> web.StreamResponse:
        await self._tenancy.delete(request.match_info["name"])
        return web.Response(status=204)

    async def list_keys(self, request: web.Request) -> web.StreamResponse:
        return plain(wire.write_keys(self._named(request).account))

    async def regenerate_key(self, request: web.Request) -> web.StreamResponse:
        ctx = self._named(request)
        choice = wire.read_key_choice(await _document(request))
        return plain(wire.write_keys(await accounts.regenerate_key(ctx, *choice)))

    def _named(self, request: web.Request) -> Context:
        name = request.match_info["name"]
        ctx = self._tenancy.contexts.get(name)
        if ctx is None:
            raise Refused("ResourceNotFound", Reason=f"There is no account '{name[:64]}'.")
        return ctx

    def _shown(self, account: Account) -> dict[str, Any]:
        return wire.write_account(account, self._endpoint)


async def _document(request: web.Request) -> dict[str, Any]:
    try:
        return _decode(await read_body(request))
    except UNREADABLE as error:
        raise unreadable(error) from None


def _check_peer(request: web.Request) -> None:
    """Let in processes of our own user and of root. The socket's permissions say so already."""
    peer = None if request.transport is None else request.transport.get_extra_info("socket")
    if peer is None or peer.family != socket.AF_UNIX:
        raise Refused("AuthenticationFailed")
    held = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(held)
    if uid not in (os.getuid(), 0):
        raise Refused("AuthenticationFailed")
