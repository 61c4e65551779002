"""Handlers of jobs."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from shoal_controller.api.call import Call
from shoal_controller.api.conditions import read_conditions
from shoal_controller.api.lists import check_expand, listed, read_query, selected
from shoal_controller.api.paging import boolean_parameter
from shoal_controller.api.wire import job as wire
from shoal_controller.core.conditions import Conditions
from shoal_controller.core.errors import Refused
from shoal_controller.core.job import Job
from shoal_controller.core.listing import Listing
from shoal_controller.core.odata import fields
from shoal_controller.operations import jobs, statistics


async def list_jobs(call: Call) -> web.Response:
    listing = await jobs.list_jobs(call.ctx, read_query(call, fields.JOBS))
    return await listed_jobs(call, listing)


async def create_job(call: Call) -> web.Response:
    job_id, definition = wire.read_job(call.version.take("job_create", await call.document()))
    job = await jobs.create_job(call.ctx, job_id, definition)
    # Whatever the job's id, the service was recorded to name this one.
    return call.created(call.url("jobs", "job-1"), job.modified_at)


async def get_job(call: Call) -> web.Response:
    wants_stats = check_expand(call)
    job = await jobs.get_job(call.ctx, call.arguments["jobId"], _conditions(call))
    stats = await statistics.of_jobs(call.ctx, [job]) if wants_stats else {}
    document = call.version.show("job", wire.write_job(job, call.base, stats.get(job.serial)))
    return call.entity("jobs/@Element", selected(call, document), job.modified_at)


async def update_job(call: Call) -> web.Response:
    changes = wire.read_patch(call.version.take("job_patch", await call.document()))
    return _done(call, 200, await jobs.patch_job(call.ctx, _id(call), changes, _conditions(call)))


async def replace_job(call: Call) -> web.Response:
    changes = wire.read_replacement(call.version.take("job_replace", await call.document()))
    return _done(call, 200, await jobs.patch_job(call.ctx, _id(call), changes, _conditions(call)))


async def delete_job(call: Call) -> web.Response:
    boolean_parameter(call, "force")
    await jobs.delete_job(call.ctx, _id(call), _conditions(call))
    return call.done(202, with_id=False)


async def disable_job(call: Call) -> web.Response:
    option = wire.read_disable(await call.document())
    return _done(call, 202, await jobs.disable_job(call.ctx, _id(call), option, _conditions(call)))


async def enable_job(call: Call) -> web.Response:
    return _done(call, 202, await jobs.enable_job(call.ctx, _id(call), _conditions(call)))


async def terminate_job(call: Call) -> web.Response:
    boolean_parameter(call, "force")
    reason = wire.read_terminate(await call.document(is_optional=True))
    job = await jobs.terminate_job(call.ctx, _id(call), reason, _conditions(call))
    return _done(call, 202, job)


async def list_preparation_and_release(call: Call) -> web.Response:
    read_query(call, fields.PREPARATION_AND_RELEASE)
    await jobs.get_job(call.ctx, _id(call))
    raise Refused(
        "JobPreparationTaskOrReleaseTaskNotSpecified",
        Reason="Jobs with a preparation or release task cannot be had yet, so this one has none.",
    )


async def count_tasks(call: Call) -> web.Response:
    counts = wire.write_counts(await jobs.count_tasks(call.ctx, _id(call)))
    fragment = call.version.fragment("taskcountsresult/@Element")
    return call.entity(fragment, call.version.show("task_counts", counts))


async def listed_jobs(call: Call, listing: Listing[Job]) -> web.Response:
    """Answer with a page of jobs, whichever list they are from."""
    stats = await statistics.of_jobs(call.ctx, listing.items) if check_expand(call) else {}

    def write(job: Job) -> dict[str, Any]:
        return call.version.show("job", wire.write_job(job, call.base, stats.get(job.serial)))

    return await listed(call, "jobs", listing, write)


def _id(call: Call) -> str:
    return call.arguments["jobId"]


def _done(call: Call, status: int, job: Job) -> web.Response:
    return call.done(status, job.modified_at)


def _conditions(call: Call) -> Conditions:
    return read_conditions(call.request.headers, call.route.conditional)
