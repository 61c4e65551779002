"""Handlers of the caller's own account: what it may hold, and its keys for its owners."""

from __future__ import annotations

from aiohttp import web

from shoal_controller.api.call import Call, encode
from shoal_controller.api.wire import account as wire
from shoal_controller.api.wire.table import Document
from shoal_controller.operations import accounts


async def show_account(call: Call) -> web.Response:
    return plain(wire.write_account(call.ctx.account, call.ctx.public_url))


async def list_keys(call: Call) -> web.Response:
    return plain(wire.write_keys(call.ctx.account))


async def regenerate_key(call: Call) -> web.Response:
    choice = wire.read_key_choice(await call.document())
    return plain(wire.write_keys(await accounts.regenerate_key(call.ctx, *choice)))


def plain(document: Document, status: int = 200) -> web.Response:
    """Answer with a document that nobody on the way is to keep."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return web.Response(status=status, body=encode(document), headers=headers)
