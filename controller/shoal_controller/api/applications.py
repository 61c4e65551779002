"""Handlers of applications as pools and tasks see them: those with packages to refer to."""

from __future__ import annotations

from aiohttp import web

from shoal_controller.api.call import Call
from shoal_controller.api.lists import listed
from shoal_controller.api.paging import page_size, position
from shoal_controller.api.wire.application import write_usable
from shoal_controller.core.listing import ListQuery
from shoal_controller.operations import applications


async def list_applications(call: Call) -> web.Response:
    query = ListQuery(page_size(call), position(call) or "")
    listing = await applications.list_usable(call.ctx, query)
    return await listed(
        call,
        "listapplicationsummariesresponses",
        listing,
        lambda usable: call.version.show("application", write_usable(usable)),
    )


async def get_application(call: Call) -> web.Response:
    usable = await applications.get_usable(call.ctx, call.arguments["applicationId"])
    document = call.version.show("application", write_usable(usable))
    return call.entity("getapplicationsummaryresponse/@Element", document)
