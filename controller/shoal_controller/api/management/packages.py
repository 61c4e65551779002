"""Handlers of packages."""

from __future__ import annotations

from aiohttp import web

from shoal_controller.api.call import Call
from shoal_controller.api.management import wire
from shoal_controller.api.management.applications import conditions
from shoal_controller.api.paging import page_size, position
from shoal_controller.core.listing import ListQuery
from shoal_controller.operations import packages
from shoal_controller.operations.packages import PackageView


async def list_packages(call: Call) -> web.Response:
    query = ListQuery(page_size(call), position(call) or "")
    listing = await packages.list_packages(call.ctx, call.arguments["applicationName"], query)
    documents = [wire.write_package(call, view) for view in listing.items]
    return wire.listing(call, documents, listing.next_after)


async def put_package(call: Call) -> web.Response:
    tags = wire.read_package(call, await call.document(is_optional=True))
    return _answer(
        call, await packages.put_package(call.ctx, *_names(call), tags, conditions(call))
    )


async def get_package(call: Call) -> web.Response:
    return _answer(call, await packages.get_package(call.ctx, *_names(call), conditions(call)))


async def delete_package(call: Call) -> web.Response:
    was_there = await packages.delete_package(call.ctx, *_names(call), conditions(call))
    return web.Response(status=200 if was_there else 204)


async def activate_package(call: Call) -> web.Response:
    wire.check_activation(await call.document())
    return _answer(call, await packages.activate_package(call.ctx, *_names(call)))


def _answer(call: Call, view: PackageView) -> web.Response:
    return wire.entity(wire.write_package(call, view), view.package.modified_at)


def _names(call: Call) -> tuple[str, str]:
    return call.arguments["applicationName"], call.arguments["versionName"]
