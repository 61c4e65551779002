"""Handlers of accounts: what they are, and their keys."""

from __future__ import annotations

from aiohttp import web

from shoal_controller.api.call import Call
from shoal_controller.api.management import wire
from shoal_controller.core.account import Service
from shoal_controller.operations import accounts


async def list_accounts(call: Call) -> web.Response:
    return wire.listing(call, [wire.write_account(call)])  # credentials are of one account


async def get_account(call: Call) -> web.Response:
    return wire.entity(wire.write_account(call))


async def list_keys(call: Call) -> web.Response:
    return wire.entity(wire.write_keys(call.ctx.account))


async def regenerate_key(call: Call) -> web.Response:
    key_name = wire.read_key_name(await call.document())
    account = await accounts.regenerate_key(call.ctx, Service.BATCH, key_name)
    return wire.entity(wire.write_keys(account))


async def sync_auto_storage_keys(call: Call) -> web.Response:
    del call  # the storage is the account's own: there is nothing that could be out of step
    return web.Response(status=204)
