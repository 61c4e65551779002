"""Jobs, job schedules and tasks as recorded documents show them; see resources.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from shoal_controller.core.task import (
    Ended,
    Placed,
    Reactivated,
    Started,
    Task,
    TaskEvent,
    TaskState,
    Terminated,
    advance,
)
from shoal_controller.loops.jobs import work_off
from shoal_controller.operations import runs
from shoal_controller.store import tasks
from shoal_controller.store.database import Tx
from shoal_protocol.specs import ErrorCategory, ExitInfo, FailureInfo
from tests.conformance.conftest import job_body, task_body
from tests.replay.documents import request_for
from tests.replay.reasons import OTHER_POOL
from tests.replay.recorded import Document
from tests.replay.resources import TIME, node, pool, time_of
from tests.replay.stage import NotSetUp, Stage

# --- jobs, job schedules --------------------------------------------------------------------------


async def job(stage: Stage, job_id: str, pool_id: str = OTHER_POOL) -> None:
    """Let there be a job of which nothing is known; once, if asked for again."""
    if any(view.id == job_id for view in stage.ctx.index.jobs.values()):
        return
    await pool(stage, pool_id)
    await stage.make("/jobs", job_body(job_id, poolInfo={"poolId": pool_id}))


async def shown_job(stage: Stage, shown: Document) -> None:
    """Let there be a job that is shown so."""
    if shown["state"] != "active":
        raise NotSetUp(f"a job that is {shown['state']}")
    asked = request_for("BatchJobCreateOptions", shown, stage.version)
    await pool(stage, asked["poolInfo"].get("poolId", OTHER_POOL))
    await stage.make("/jobs", asked)


async def work_off_jobs(stage: Stage) -> None:
    """Let the loop of jobs do what there is to do."""
    await work_off(stage.ctx)


async def schedule(stage: Stage, schedule_id: str, **specification: Any) -> None:
    """Let there be a job schedule that has made its first job."""
    asked = {"poolInfo": {"poolId": OTHER_POOL}} | specification
    document = {"id": schedule_id, "schedule": {}, "jobSpecification": asked}
    await stage.make("/jobschedules", document)


async def shown_schedule(stage: Stage, shown: Document) -> None:
    """Let there be a job schedule that is shown so."""
    await stage.make(
        "/jobschedules", request_for("BatchJobScheduleCreateOptions", shown, stage.version)
    )


async def schedule_of(stage: Stage, schedule_id: str, shown: Document) -> None:
    """Let there be the job schedule that made a job that is shown so."""
    asked = request_for("BatchJobCreateOptions", shown, stage.version)
    del asked["id"]
    await schedule(stage, schedule_id, **asked)


# --- tasks ----------------------------------------------------------------------------------------


async def shown_tasks(stage: Stage, job_id: str, all_shown: Sequence[Document]) -> None:
    """Let a job have tasks that are shown so."""
    for shown in all_shown:
        place = shown.get("nodeInfo", {})
        if place.get("nodeId"):
            await pool(stage, place["poolId"])
            if place["nodeId"].lower() not in stage.ctx.index.node_by_id:
                await node(stage, place["poolId"], {"id": place["nodeId"], "state": "idle"})
        await job(stage, job_id, place.get("poolId", OTHER_POOL))
        asked = request_for("BatchTaskCreateOptions", shown, stage.version)
        await _task(stage, job_id, asked, shown)


async def recent_tasks(stage: Stage, pool_id: str, node_id: str, shown: Document) -> None:
    """Let a node have run the tasks that it is shown to have run lately."""
    for recent in shown.get("recentTasks", ()):
        await job(stage, recent["jobId"], pool_id)
        told = {
            "id": recent["taskId"],
            "state": recent["taskState"],
            "nodeInfo": {"nodeId": node_id, "poolId": pool_id},
            "executionInfo": recent["executionInfo"],
        }
        await _task(stage, recent["jobId"], task_body(recent["taskId"]), told)


async def _task(stage: Stage, job_id: str, asked: Document, shown: Document) -> None:
    await stage.make(f"/jobs/{job_id}/tasks", asked)
    for event in _events(shown):
        await happen(stage, job_id, shown["id"], event)


_PREPARING: Final = object()
"""A task waits on its node for the job preparation task."""


def _events(shown: Document) -> list[Any]:
    """Return what happened to a task until it stood as it is shown."""
    info, place = shown.get("executionInfo", {}), shown.get("nodeInfo", {})
    failure = info.get("failureInfo", info.get("schedulingError"))
    events: list[Any] = []
    if place.get("nodeId"):
        events.append(Placed(place["nodeId"], place["poolId"]))
    if "preparing" in (shown["state"], shown.get("previousState")):
        events.append(_PREPARING)
    if shown["state"] == "preparing":
        return events
    if shown["state"] == "active":
        return [Terminated(), Reactivated()] if shown.get("previousState") == "completed" else []
    if "startTime" in info:
        events.append(Started(time_of(info["startTime"]) or TIME))
    if shown["state"] == "running":
        return events
    is_ended_by_user = failure is not None and failure["code"] == "TaskEnded"
    return [*events, Terminated() if is_ended_by_user else Ended(_exit(info, failure), 0)]


def _exit(info: Document, failure: Document | None) -> ExitInfo:
    ended_at, started_at = time_of(info["endTime"]) or TIME, time_of(info.get("startTime"))
    if failure is None:
        return ExitInfo(ended_at, started_at, info.get("exitCode"))
    details = tuple((item["name"], item["value"]) for item in failure.get("details", ()))
    category = ErrorCategory(failure["category"])
    told = FailureInfo(category, failure["code"], failure["message"], details)
    return ExitInfo(ended_at, started_at, info.get("exitCode"), told)


def failed_exit() -> ExitInfo:
    """Return how a run ends whose command fails."""
    category = ErrorCategory.USER_ERROR
    failure = FailureInfo(category, "FailureExitCode", "The task exited with a nonzero exit code")
    return ExitInfo(TIME, TIME - timedelta(seconds=1), 1, failure)


async def happen(stage: Stage, job_id: str, task_id: str, event: TaskEvent | object) -> None:
    """Let something happen to a task, as its node's agent or the scheduler would tell it."""
    ctx = stage.ctx
    serial = next(view.serial for view in ctx.index.jobs.values() if view.id == job_id)
    now = ctx.clock.now()

    def decide(tx: Tx) -> None:
        before = tasks.get(tx, serial, task_id)
        assert before is not None
        after = _after(before, event, now)
        tasks.update(tx, after)
        node_serial = runs.node_serial(ctx, after.node_id)
        tx.changes.append(runs.moved(ctx, before, after)._replace(node=node_serial))

    await ctx.settle(decide)


def _after(task: Task, event: Any, now: datetime) -> Task:
    if event is _PREPARING:
        return _in_state(task, TaskState.PREPARING)
    if task.state == TaskState.PREPARING:  # no move leads out of it yet
        task = _in_state(task, TaskState.RUNNING)
        return task if isinstance(event, Started) else advance(task, event, now)
    return advance(task, event, now)


def _in_state(task: Task, state: TaskState) -> Task:
    previous = {"previous_state": task.state, "previous_state_at": task.state_at}
    return replace(task, state=state, state_at=TIME, started_at=TIME, **previous)
