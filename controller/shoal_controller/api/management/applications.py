"""Handlers of applications."""

from __future__ import annotations

from aiohttp import web

from shoal_controller.api.call import Call
from shoal_controller.api.conditions import read_conditions
from shoal_controller.api.management import wire
from shoal_controller.api.paging import page_size, position
from shoal_controller.core.application import Application
from shoal_controller.core.conditions import Conditions
from shoal_controller.core.listing import ListQuery
from shoal_controller.operations import applications


async def list_applications(call: Call) -> web.Response:
    query = ListQuery(page_size(call), position(call) or "")
    listing = await applications.list_applications(call.ctx, query)
    documents = [wire.write_application(call, item) for item in listing.items]
    return wire.listing(call, documents, listing.next_after)


async def put_application(call: Call) -> web.Response:
    changes = wire.read_application(call, await call.document(is_optional=True))
    found = await applications.put_application(call.ctx, _id(call), changes, conditions(call))
    return _answer(call, found)


async def update_application(call: Call) -> web.Response:
    changes = wire.read_application(call, await call.document())
    found = await applications.update_application(call.ctx, _id(call), changes, conditions(call))
    return _answer(call, found)


async def get_application(call: Call) -> web.Response:
    found = await applications.get_application(call.ctx, _id(call), conditions(call))
    return _answer(call, found)


async def delete_application(call: Call) -> web.Response:
    was_there = await applications.delete_application(call.ctx, _id(call), conditions(call))
    return web.Response(status=200 if was_there else 204)


def conditions(call: Call) -> Conditions:
    """Return what the request's headers demand of the resource."""
    return read_conditions(call.request.headers, call.route.conditional)


def _answer(call: Call, application: Application) -> web.Response:
    return wire.entity(wire.write_application(call, application), application.modified_at)


def _id(call: Call) -> str:
    return call.arguments["applicationName"]
