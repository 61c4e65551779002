"""Handlers of job schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from shoal_controller.api.call import Call, stamped
from shoal_controller.api.conditions import read_conditions
from shoal_controller.api.jobs import listed_jobs
from shoal_controller.api.lists import check_expand, listed, read_query, selected
from shoal_controller.api.paging import boolean_parameter
from shoal_controller.api.wire import jobschedule as wire
from shoal_controller.core.conditions import Conditions
from shoal_controller.core.jobschedule import JobSchedule
from shoal_controller.core.odata import fields
from shoal_controller.operations import jobschedules, statistics


async def list_schedules(call: Call) -> web.Response:
    query = read_query(call, fields.JOB_SCHEDULES)
    listing = await jobschedules.list_job_schedules(call.ctx, query)
    stats = await _statistics(call, *(view.schedule for view in listing.items))
    return await listed(call, "jobschedules", listing, lambda view: _write(call, view, stats))


async def create_schedule(call: Call) -> web.Response:
    document = call.version.take("job_schedule_create", await call.document())
    schedule_id, definition = wire.read_job_schedule(document)
    made = await jobschedules.create_job_schedule(call.ctx, schedule_id, definition)
    return call.created(call.url("jobschedules", made.id), made.modified_at)


async def get_schedule(call: Call) -> web.Response:
    check_expand(call)
    view = await jobschedules.get_job_schedule(call.ctx, _id(call), _conditions(call))
    stats = await _statistics(call, view.schedule)
    document = selected(call, _write(call, view, stats))
    return call.entity("jobschedules/@Element", document, view.schedule.modified_at)


async def schedule_exists(call: Call) -> web.Response:
    view = await jobschedules.get_job_schedule(call.ctx, _id(call), _conditions(call))
    return stamped(web.Response(), view.schedule.modified_at)


async def update_schedule(call: Call) -> web.Response:
    document = call.version.take("job_schedule_patch", await call.document())
    return _done(
        call,
        200,
        await jobschedules.change_job_schedule(
            call.ctx, _id(call), wire.read_patch(document), _conditions(call)
        ),
    )


async def replace_schedule(call: Call) -> web.Response:
    document = call.version.take("job_schedule_replace", await call.document())
    return _done(
        call,
        200,
        await jobschedules.change_job_schedule(
            call.ctx, _id(call), wire.read_replacement(document), _conditions(call)
        ),
    )


async def disable_schedule(call: Call) -> web.Response:
    after = await jobschedules.disable_job_schedule(call.ctx, _id(call), _conditions(call))
    return _done(call, 204, after)


async def enable_schedule(call: Call) -> web.Response:
    after = await jobschedules.enable_job_schedule(call.ctx, _id(call), _conditions(call))
    return _done(call, 204, after)


async def terminate_schedule(call: Call) -> web.Response:
    boolean_parameter(call, "force")
    after = await jobschedules.terminate_job_schedule(call.ctx, _id(call), _conditions(call))
    return _done(call, 202, after)


async def delete_schedule(call: Call) -> web.Response:
    boolean_parameter(call, "force")
    await jobschedules.delete_job_schedule(call.ctx, _id(call), _conditions(call))
    return call.done(202, with_id=False)


async def list_jobs(call: Call) -> web.Response:
    query = read_query(call, fields.JOBS_OF_SCHEDULE)
    return await listed_jobs(call, await jobschedules.list_jobs(call.ctx, _id(call), query))


async def _statistics(
    call: Call, *schedules: JobSchedule
) -> Mapping[int, statistics.TaskStatistics]:
    return await statistics.of_schedules(call.ctx, schedules) if check_expand(call) else {}


def _write(
    call: Call,
    view: jobschedules.JobScheduleView,
    stats: Mapping[int, statistics.TaskStatistics],
) -> dict[str, Any]:
    document = wire.write_job_schedule(view, call.base, stats.get(view.schedule.serial))
    return call.version.show("job_schedule", document)


def _id(call: Call) -> str:
    return call.arguments["jobScheduleId"]


def _done(call: Call, status: int, schedule: JobSchedule) -> web.Response:
    return call.done(status, schedule.modified_at)


def _conditions(call: Call) -> Conditions:
    return read_conditions(call.request.headers, call.route.conditional)
