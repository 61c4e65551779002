"""Handlers of logins on nodes: users, and where to log in."""

from __future__ import annotations

from aiohttp import web

from shoal_controller.api.call import Call
from shoal_controller.api.wire import node as wire
from shoal_controller.api.wire.common import read_user_name
from shoal_controller.operations import logins


async def create_user(call: Call) -> web.Response:
    wire.check_user(await call.document())
    await logins.refuse_user(call.ctx, *_ids(call))


async def replace_user(call: Call) -> web.Response:
    read_user_name(call.arguments["userName"], "userName")
    wire.check_user_update(await call.document())
    await logins.refuse_user(call.ctx, *_ids(call))


async def delete_user(call: Call) -> web.Response:
    read_user_name(call.arguments["userName"], "userName")
    await logins.refuse_user(call.ctx, *_ids(call))


async def get_remote_login(call: Call) -> web.Response:
    await logins.refuse_remote_login(call.ctx, *_ids(call))


async def get_remote_desktop(call: Call) -> web.Response:
    await logins.refuse_remote_desktop(call.ctx, *_ids(call))


def _ids(call: Call) -> tuple[str, str]:
    return call.arguments["poolId"], call.arguments["nodeId"]
