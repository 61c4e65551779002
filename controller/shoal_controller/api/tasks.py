"""Handlers of tasks."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from shoal_controller.api.call import Call
from shoal_controller.api.conditions import read_conditions
from shoal_controller.api.errors import error_content
from shoal_controller.api.lists import check_expand, listed, read_query, selected
from shoal_controller.api.wire import task as wire
from shoal_controller.core.conditions import Conditions
from shoal_controller.core.errors import Refused
from shoal_controller.core.odata import fields
from shoal_controller.core.task import Task
from shoal_controller.operations import tasks


async def create_tasks(call: Call) -> web.Response:
    documents = wire.read_collection(await call.document())
    answers: list[Refused | None] = []
    new: list[tasks.NewTask] = []
    for document in documents:
        try:
            new.append(_read(call, document))
            answers.append(None)
        except Refused as refused:
            answers.append(refused)
    added = await tasks.add_tasks(call.ctx, call.arguments["jobId"], new)
    job_url = wire.write_job_url(call.base, added.job)
    write_added = wire.added_writer(added.at, job_url)
    rest = zip(new, added.refused, strict=True)
    results: list[Any] = []
    for document, unread in zip(documents, answers, strict=True):
        if unread is not None:
            result = _not_added(call, document, unread, job_url)
        else:
            task, refused = next(rest)
            result = (
                write_added(task.id)
                if refused is None
                else _not_added(call, document, refused, job_url)
            )
        results.append(call.version.show("task_added", result))
    return call.listing("taskaddresult", results)


async def create_task(call: Call) -> web.Response:
    new = _read(call, await call.document())
    added = await tasks.add_task(call.ctx, call.arguments["jobId"], new)
    return call.created(call.url("jobs", added.job.id, "tasks", new.id), added.at)


async def list_tasks(call: Call) -> web.Response:
    query = read_query(call, fields.TASKS)
    job, listing = await tasks.list_tasks(call.ctx, call.arguments["jobId"], query)
    job_url = wire.write_job_url(call.base, job)
    stats_at = call.ctx.clock.now() if check_expand(call) else None

    def write(task: Task) -> dict[str, Any]:
        return call.version.show("task", wire.write_task(task, job_url, call.base, stats_at))

    return await listed(call, "tasks", listing, write)


async def get_task(call: Call) -> web.Response:
    stats_at = call.ctx.clock.now() if check_expand(call) else None
    job, task = await tasks.get_task(call.ctx, *_ids(call), _conditions(call))
    document = wire.write_task(task, wire.write_job_url(call.base, job), call.base, stats_at)
    document = selected(call, call.version.show("task", document))
    return call.entity("tasks/@Element", document, task.modified_at)


async def replace_task(call: Call) -> web.Response:
    constraints = wire.read_update(call.version.take("task_replace", await call.document()))
    task = await tasks.update_task(call.ctx, *_ids(call), constraints, _conditions(call))
    return call.done(200, task.modified_at)


async def delete_task(call: Call) -> web.Response:
    await tasks.delete_task(call.ctx, *_ids(call), _conditions(call))
    return call.done(200, with_id=False)


async def terminate_task(call: Call) -> web.Response:
    task = await tasks.terminate_task(call.ctx, *_ids(call), _conditions(call))
    return call.done(204, task.modified_at)


async def reactivate_task(call: Call) -> web.Response:
    task = await tasks.reactivate_task(call.ctx, *_ids(call), _conditions(call))
    return call.done(204, task.modified_at, with_id=False)


async def list_subtasks(call: Call) -> web.Response:
    await tasks.get_task(call.ctx, *_ids(call))
    return call.listing("subtaskinfo", [])  # no task has subtasks yet


def _read(call: Call, document: Any) -> tasks.NewTask:
    if type(document) is dict:
        document = call.version.take("task_create", document)
    return wire.read_task(document)


def _not_added(call: Call, document: Any, refused: Refused, job_url: str) -> dict[str, Any]:
    error = error_content(refused, call.request_id, call.ctx.clock.now())
    task_id = document.get("id") if type(document) is dict else None
    return wire.write_not_added(task_id if type(task_id) is str else "", error, job_url)


def _ids(call: Call) -> tuple[str, str]:
    return call.arguments["jobId"], call.arguments["taskId"]


def _conditions(call: Call) -> Conditions:
    return read_conditions(call.request.headers, call.route.conditional)
