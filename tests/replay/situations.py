"""Which situation an interaction needs, told from what was asked and what was answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from shoal_controller.core.task import Ended, Placed
from shoal_protocol.messages import FileEntry, FileReply, LogsReply
from tests.conformance.conftest import (
    CERTIFICATE,
    certificate_body,
    certificate_name,
    encoded,
    pool_body,
    task_body,
)
from tests.replay import resources, work
from tests.replay.reasons import OTHER_POOL
from tests.replay.recorded import Document, Recorded
from tests.replay.resources import TIME
from tests.replay.stage import NotSetUp, Stage


async def set_up(stage: Stage, recorded: Recorded) -> Recorded:
    """Bring about what an interaction takes for granted; return it as it is to be sent here.

    Raises NotSetUp.
    """
    return await SITUATIONS[recorded.name](stage, recorded) or recorded


async def _nothing(stage: Stage, recorded: Recorded) -> None:
    del stage, recorded


# --- pools ----------------------------------------------------------------------------------------


async def _shown_pools(stage: Stage, recorded: Recorded) -> None:
    for shown in recorded.items:
        await resources.shown_pool(stage, shown)
    if "odata.nextLink" in recorded.document:
        await resources.pool(stage, "another")


async def _create_pool(stage: Stage, recorded: Recorded) -> None:
    if recorded.code == "PoolExists":
        await stage.make("/pools", recorded.asked)


async def _a_pool(stage: Stage, recorded: Recorded) -> None:
    await resources.pool(stage, recorded.arguments["poolId"])


async def _a_resizing_pool(stage: Stage, recorded: Recorded) -> None:
    await stage.make("/pools", pool_body(recorded.arguments["poolId"]))


async def _a_scaling_pool(stage: Stage, recorded: Recorded) -> None:
    await _a_pool(stage, recorded)
    path = f"/pools/{recorded.arguments['poolId']}/enableautoscale"
    await stage.do("POST", path, {"autoScaleFormula": "$TargetDedicatedNodes=0"}, 200)


async def _counted_pools(stage: Stage, recorded: Recorded) -> None:
    for shown in recorded.items:
        await resources.pool(stage, shown["poolId"])


# --- nodes ----------------------------------------------------------------------------------------


async def _shown_nodes(stage: Stage, recorded: Recorded) -> None:
    pool_id = recorded.arguments["poolId"]
    await resources.pool_of_nodes(stage, pool_id, recorded.items)
    for shown in recorded.items:
        await resources.node(stage, pool_id, shown)
        await work.recent_tasks(stage, pool_id, shown["id"], shown)


async def _a_node(stage: Stage, recorded: Recorded) -> None:
    await _a_pool(stage, recorded)
    names = [recorded.arguments.get("nodeId"), *recorded.asked.get("nodeList", ())]
    for name in filter(None, names):
        await resources.node(stage, recorded.arguments["poolId"], {"id": name, "state": "idle"})


async def _a_closed_node(stage: Stage, recorded: Recorded) -> None:
    await _a_node(stage, recorded)
    path = recorded.path.removesuffix("enablescheduling") + "disablescheduling"
    await stage.do("POST", path, None, 200)


async def _a_node_with_logs(stage: Stage, recorded: Recorded) -> None:
    await _a_node(stage, recorded)
    count = recorded.document["numberOfFilesUploaded"]
    stage.house.links.replies = [LogsReply(0, file_count=count)]


# --- jobs, job schedules --------------------------------------------------------------------------


async def _shown_jobs(stage: Stage, recorded: Recorded) -> None:
    for shown in recorded.items:
        await work.shown_job(stage, shown)


async def _create_job(stage: Stage, recorded: Recorded) -> None:
    await resources.pool(stage, recorded.asked["poolInfo"].get("poolId", OTHER_POOL))


async def _a_job(stage: Stage, recorded: Recorded) -> None:
    await work.job(stage, recorded.arguments["jobId"])


async def _a_disabled_job(stage: Stage, recorded: Recorded) -> None:
    await _a_job(stage, recorded)
    await stage.do("POST", f"/jobs/{recorded.arguments['jobId']}/disable", _REQUEUE, 202)
    await work.work_off_jobs(stage)


_REQUEUE: Final = {"disableTasks": "requeue"}


async def _shown_schedules(stage: Stage, recorded: Recorded) -> None:
    for shown in recorded.items:
        await work.shown_schedule(stage, shown)


async def _a_schedule(stage: Stage, recorded: Recorded) -> None:
    await work.schedule(stage, recorded.arguments["jobScheduleId"])


async def _a_disabled_schedule(stage: Stage, recorded: Recorded) -> None:
    await _a_schedule(stage, recorded)
    path = f"/jobschedules/{recorded.arguments['jobScheduleId']}/disable"
    await stage.do("POST", path, None, 204)


async def _jobs_of_schedule(stage: Stage, recorded: Recorded) -> None:
    schedule_id = recorded.arguments["jobScheduleId"]
    for shown in recorded.items:
        await work.schedule_of(stage, schedule_id, shown)


# --- tasks ----------------------------------------------------------------------------------------


async def _shown_tasks(stage: Stage, recorded: Recorded) -> None:
    await work.shown_tasks(stage, recorded.arguments["jobId"], recorded.items)


async def _counted_tasks(stage: Stage, recorded: Recorded) -> None:
    job_id, counts = recorded.arguments["jobId"], recorded.document
    await work.job(stage, job_id)
    if counts["running"] or counts["completed"]:
        raise NotSetUp("tasks that run or ran, of which only the number is known")
    for number in range(counts["active"]):
        await stage.make(f"/jobs/{job_id}/tasks", task_body(f"t{number}"))


async def _a_task(stage: Stage, recorded: Recorded) -> None:
    await _a_job(stage, recorded)
    await stage.make(
        f"/jobs/{recorded.arguments['jobId']}/tasks", task_body(recorded.arguments["taskId"])
    )


async def _a_failed_task(stage: Stage, recorded: Recorded) -> None:
    await _a_task(stage, recorded)
    await resources.node(stage, OTHER_POOL, {"id": "n1", "state": "idle"})
    job_id, task_id = recorded.arguments["jobId"], recorded.arguments["taskId"]
    for event in (Placed("n1", OTHER_POOL), Ended(work.failed_exit(), 0)):
        await work.happen(stage, job_id, task_id, event)


# --- files ----------------------------------------------------------------------------------------


async def _files(stage: Stage, recorded: Recorded) -> None:
    """Let the place of the files be there, and the node's agent answer what it was asked."""
    if "taskId" in recorded.arguments:
        await _a_failed_task(stage, recorded)
    else:
        await _a_node(stage, recorded)
    stage.house.links.replies = [*_replies(recorded)]


def _replies(recorded: Recorded) -> list[FileReply]:
    if "value" in recorded.document:
        entries = sorted(map(_entry, recorded.items), key=lambda entry: entry.name)
        return [FileReply(0, entries=tuple(entries))]
    if recorded.method == "DELETE":
        return [FileReply(0)]
    data = recorded.text.encode()
    mode = int(recorded.answer_headers["ocp-batch-file-mode"].removeprefix("0o"), 8)
    entry = FileEntry(recorded.arguments["filePath"], False, len(data), TIME, mode)
    return [FileReply(0, entries=(entry,)), FileReply(0, data=data), FileReply(0)]


def _entry(shown: Document) -> FileEntry:
    facts = shown.get("properties", {"contentLength": "0", "fileMode": "0o40755"})
    mode = int(facts["fileMode"].removeprefix("0o"), 8)
    return FileEntry(shown["name"], shown["isDirectory"], int(facts["contentLength"]), TIME, mode)


# --- certificates, applications -------------------------------------------------------------------


async def _create_certificate(stage: Stage, recorded: Recorded) -> Recorded:
    del stage
    secrets = {"data": encoded(CERTIFICATE), "password": "secret"}
    return _with_our_certificate(recorded, **secrets)


async def _a_certificate(stage: Stage, recorded: Recorded) -> Recorded:
    await stage.make("/certificates", certificate_body())
    return _with_our_certificate(recorded)


def _with_our_certificate(recorded: Recorded, **secrets: str) -> Recorded:
    """Return an interaction that speaks of a certificate whose content is known."""
    thumbprint = certificate_name()["thumbprint"]
    shown = _THUMBPRINT
    request = recorded.request
    for name, value in secrets.items():
        request = request.replace(f'"{name}": "REDACTED"', f'"{name}": "{value}"')
    public = recorded.items[0].get("publicData", shown)
    return replace(
        recorded,
        path=recorded.path.replace(shown, thumbprint),
        request=request.replace(shown, thumbprint),
        text=recorded.text.replace(shown, thumbprint).replace(public, encoded(CERTIFICATE)),
        answer_headers={
            name: value.replace(shown, thumbprint)
            for name, value in recorded.answer_headers.items()
        },
    )


_THUMBPRINT: Final = "cff2ab63c8c955aaf71989efa641b906558d9fb7"
"""Of the one certificate in all recordings."""


async def _applications(stage: Stage, recorded: Recorded) -> None:
    for shown in recorded.items:
        await resources.application(stage, shown)


Preparation = Callable[[Stage, Recorded], Awaitable[Recorded | None]]

SITUATIONS: Final[Mapping[str, Preparation]] = {
    # pools
    "list_pools": _shown_pools,
    "get_pool": _shown_pools,
    "create_pool": _create_pool,
    "pool_exists": _a_pool,
    "update_pool": _a_pool,
    "replace_pool_properties": _a_pool,
    "delete_pool": _a_pool,
    "resize_pool": _a_pool,
    "stop_pool_resize": _a_resizing_pool,
    "enable_pool_auto_scale": _a_pool,
    "evaluate_pool_auto_scale": _a_scaling_pool,
    "disable_pool_auto_scale": _a_scaling_pool,
    "upgrade_pool_os": _a_pool,
    "list_pool_usage_metrics": _nothing,
    "get_pool_lifetime_statistics": _nothing,
    # account
    "list_pool_node_counts": _counted_pools,
    "list_node_agent_skus": _nothing,
    "list_supported_images": _nothing,
    # nodes
    "list_nodes": _shown_nodes,
    "get_node": _shown_nodes,
    "remove_nodes": _a_node,
    "reboot_node": _a_node,
    "reimage_node": _a_node,
    "disable_node_scheduling": _a_node,
    "enable_node_scheduling": _a_closed_node,
    "upload_node_logs": _a_node_with_logs,
    "get_remote_desktop": _a_node,
    "create_node_user": _a_node,
    "replace_node_user": _a_node,
    "delete_node_user": _a_node,
    # jobs
    "list_jobs": _shown_jobs,
    "get_job": _shown_jobs,
    "create_job": _create_job,
    "update_job": _a_job,
    "replace_job": _a_job,
    "delete_job": _a_job,
    "disable_job": _a_job,
    "enable_job": _a_disabled_job,
    "terminate_job": _a_job,
    "get_job_task_counts": _counted_tasks,
    "list_job_preparation_and_release_task_status": _a_job,
    "get_job_lifetime_statistics": _nothing,
    # job schedules
    "list_job_schedules": _shown_schedules,
    "get_job_schedule": _shown_schedules,
    "create_job_schedule": _nothing,
    "job_schedule_exists": _a_schedule,
    "update_job_schedule": _a_schedule,
    "replace_job_schedule": _a_schedule,
    "delete_job_schedule": _a_schedule,
    "disable_job_schedule": _a_schedule,
    "enable_job_schedule": _a_disabled_schedule,
    "terminate_job_schedule": _a_schedule,
    "list_jobs_from_schedule": _jobs_of_schedule,
    # tasks
    "list_tasks": _shown_tasks,
    "get_task": _shown_tasks,
    "create_task": _a_job,
    "create_task_collection": _a_job,
    "replace_task": _a_task,
    "terminate_task": _a_task,
    "delete_task": _a_task,
    "list_subtasks": _a_task,
    "reactivate_task": _a_failed_task,
    # files
    "list_task_files": _files,
    "download_task_file": _files,
    "get_task_file_properties": _files,
    "delete_task_file": _files,
    "list_node_files": _files,
    "download_node_file": _files,
    "get_node_file_properties": _files,
    "delete_node_file": _files,
    # certificates, applications
    "create_certificate": _create_certificate,
    "list_certificates": _a_certificate,
    "get_certificate": _a_certificate,
    "delete_certificate": _a_certificate,
    "cancel_certificate_deletion": _a_certificate,
    "list_applications": _applications,
    "get_application": _applications,
}
"""By operation."""
