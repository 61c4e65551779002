"""Handlers of statistics that belong to no single entity: lifetime totals, usage of pools."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from aiohttp import web

from shoal_controller.api.call import Call
from shoal_controller.api.lists import read_filter
from shoal_controller.api.paging import invalid_parameter, next_link, page_size, position
from shoal_controller.api.wire import statistics as wire
from shoal_controller.api.wire.values import parse_datetime
from shoal_controller.core.odata import fields
from shoal_controller.core.odata.predicate import holds
from shoal_controller.core.statistics import PoolUsage, UsageKey
from shoal_controller.operations import statistics


async def get_job_totals(call: Call) -> web.Response:
    found = await statistics.of_all_tasks(call.ctx)
    return call.entity("jobstats/@Element", wire.write_task_totals(found, call.own_url))


async def get_pool_totals(call: Call) -> web.Response:
    found = await statistics.of_all_nodes(call.ctx)
    return call.entity("poolstats/@Element", wire.write_pool_totals(found, call.own_url))


async def list_pool_usage(call: Call) -> web.Response:
    begin, end = _time(call, "startTime"), _time(call, "endtime")
    if begin is not None and end is not None and end <= begin:
        raise invalid_parameter("endtime", call.query["endtime"], "It is not after startTime.")
    where = read_filter(call, fields.POOL_USAGE)

    def fits(usage: PoolUsage) -> bool:
        return where is None or holds(where, fields.POOL_USAGE, lambda _: usage.pool_id)

    page, has_more = await statistics.list_pool_usage(
        call.ctx, begin, end, fits=fits, after=_after(call), limit=page_size(call)
    )
    link = next_link(call, _token(page[-1].key)) if has_more else None
    documents: list[Any] = [wire.write_pool_usage(usage) for usage in page]
    return call.listing("poolusagemetrics", documents, link)


def _time(call: Call, name: str) -> datetime | None:
    value = call.query.get(name.lower(), "")
    if not value:
        return None
    parsed = parse_datetime(value)
    if parsed is None:
        raise invalid_parameter(name, value, "It must be an ISO 8601 time.")
    return parsed


def _token(key: UsageKey) -> str:
    return json.dumps([key.begin.isoformat(), key.pool_id, key.vm_size])


def _after(call: Call) -> UsageKey | None:
    token = position(call)
    if token is None:
        return None
    begin, pool_id, vm_size = json.loads(token)  # ours: it was signed
    return UsageKey(datetime.fromisoformat(begin), pool_id, vm_size)
