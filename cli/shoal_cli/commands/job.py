"""shoal job: create, list, show, disable, enable, terminate, delete, counts, watch."""

from __future__ import annotations

from typing import Any

import click

from shoal_cli.bodies import odata, put, read_body
from shoal_cli.command import FOLLOW_PATIENCE_S, Session, api_command
from shoal_cli.faults import UsageFault
from shoal_cli.follow import poll, wait_gone
from shoal_cli.options import (
    DURATION,
    ENV,
    ID,
    PAIR,
    Count,
    body_option,
    filter_option,
    limit_option,
    wait_option,
    yes_option,
)


@click.group()
def job() -> None:
    """Jobs: groups of tasks that run on one pool."""


_job = click.argument("job_id", metavar="JOB", type=ID)
_jobs = click.argument("job_ids", metavar="JOB...", type=ID, nargs=-1, required=True)
_force = click.option("--force", is_flag=True, help="Do not wait for nodes that do not answer.")


@api_command(job, "create", doing="create job '{job_id}'")
@_job
@click.option("--pool", "pool_id", type=ID, help="The pool that runs its tasks.")
@click.option("--priority", type=click.IntRange(-1000, 1000), help="Higher goes first. [0]")
@click.option("--parallel", type=Count(-1), help="So many tasks at once; -1: no limit. [-1]")
@click.option("--retries", type=Count(-1), help="How often a failed task is repeated. [0]")
@click.option("--time-limit", type=DURATION, help="The job is ended after this time.")
@click.option("--env", type=ENV, multiple=True, help="NAME=VALUE for every task; may be repeated.")
@click.option("--end-when-complete", is_flag=True, help="End the job when all tasks are completed.")
@click.option("--metadata", type=PAIR, multiple=True, help="A note on the job; may be repeated.")
@click.option("--name", help="A name for people.")
@body_option("job")
async def create(
    session: Session,
    job_id: str,
    pool_id: str | None,
    priority: int | None,
    parallel: int | None,
    retries: int | None,
    time_limit: str | None,
    env: tuple[dict[str, str], ...],
    end_when_complete: bool,
    metadata: tuple[dict[str, str], ...],
    name: str | None,
    body: Any,
) -> None:
    """Make a job for tasks to be added to."""
    wanted = read_body(body, what="job")
    if not isinstance(wanted, dict):
        raise UsageFault("--body of a job must be one JSON object")
    constraints = put({}, maxTaskRetryCount=retries, maxWallClockTime=time_limit)
    put(
        wanted,
        id=job_id,
        priority=priority,
        maxParallelTasks=parallel,
        commonEnvironmentSettings=env,
        metadata=metadata,
        displayName=name,
        poolInfo={"poolId": pool_id} if pool_id else None,
        onAllTasksComplete="terminatejob" if end_when_complete else None,
    )
    if constraints:
        wanted["constraints"] = {**wanted.get("constraints", {}), **constraints}
    if "poolInfo" not in wanted:
        raise UsageFault(
            "no pool is given", mend="--pool POOL; `shoal pool list` shows the pools there are"
        )
    await session.client.post("/jobs", wanted)
    if session.out.format == "table" and not session.out.quiet:
        session.out.done(f"job '{job_id}' is made")
    else:
        await _show(session, job_id)


@api_command(job, "list", doing="list jobs")
@filter_option
@click.option("--state", help="Only jobs in this state: active, completed, disabled...")
@limit_option
async def list_(
    session: Session, filter_: str | None, state: str | None, limit: int | None
) -> None:
    """List jobs."""
    from shoal_cli.views import JOB

    pages = session.client.pages("/jobs", limit=limit, **odata(filter_, state))
    await session.out.list(pages, JOB)


@api_command(job, "show", doing="show job '{job_id}'")
@_job
async def show(session: Session, job_id: str) -> None:
    """Show one job."""
    await _show(session, job_id)


async def _show(session: Session, job_id: str) -> None:
    from shoal_cli.client import path_of
    from shoal_cli.views import JOB

    session.out.show(await session.client.get(path_of("jobs", job_id)), JOB)


@api_command(job, "counts", doing="count the tasks of job '{job_id}'")
@_job
async def counts(session: Session, job_id: str) -> None:
    """Count a job's tasks by state."""
    from shoal_cli.client import path_of
    from shoal_cli.views import COUNTS

    session.out.show(await session.client.get(path_of("jobs", job_id, "taskcounts")), COUNTS)


@api_command(job, "disable", doing="disable job '{job_id}'", patience_s=FOLLOW_PATIENCE_S)
@_job
@click.option(
    "--running",
    type=click.Choice(["requeue", "terminate", "wait"]),
    default="requeue",
    help="What becomes of its running tasks. [requeue]",
)
@wait_option
async def disable(session: Session, job_id: str, running: str, wait: bool) -> None:
    """Let no task of a job run until it is enabled again."""
    from shoal_cli.client import path_of

    await session.client.post(path_of("jobs", job_id, "disable"), {"disableTasks": running})
    if wait:
        await _until_left(session, job_id, "disabling")
    session.out.done(f"job '{job_id}' {'is' if wait else 'is being'} disabled")


@api_command(job, "enable", doing="enable job '{job_id}'")
@_job
async def enable(session: Session, job_id: str) -> None:
    """Let the tasks of a disabled job run again."""
    from shoal_cli.client import path_of

    await session.client.post(path_of("jobs", job_id, "enable"))
    session.out.done(f"job '{job_id}' is enabled")


@api_command(job, "terminate", doing="terminate job '{job_ids}'", patience_s=FOLLOW_PATIENCE_S)
@_jobs
@click.option("--reason", help="Kept with the job.")
@_force
@yes_option
@wait_option
async def terminate(
    session: Session, job_ids: tuple[str, ...], reason: str | None, force: bool, wait: bool
) -> None:
    """End jobs: running tasks are killed, no task can be added; results stay."""
    from shoal_cli.client import path_of

    session.confirm(f"End job {', '.join(job_ids)} for good?")
    query = {"force": "true"} if force else {}
    for job_id in job_ids:
        body = {"terminateReason": reason} if reason else None
        await session.client.post(path_of("jobs", job_id, "terminate"), body, **query)
    for job_id in job_ids:
        if wait:
            await _until_left(session, job_id, "terminating")
        session.out.done(f"job '{job_id}' {'is' if wait else 'is being'} terminated")


@api_command(job, "delete", doing="delete job '{job_ids}'", patience_s=FOLLOW_PATIENCE_S)
@_jobs
@_force
@yes_option
@wait_option
async def delete(session: Session, job_ids: tuple[str, ...], force: bool, wait: bool) -> None:
    """Delete jobs with their tasks and the tasks' files."""
    from shoal_cli.client import path_of

    session.confirm(f"Delete job {', '.join(job_ids)} with all tasks and files?")
    query = {"force": "true"} if force else {}
    for job_id in job_ids:
        await session.client.delete(path_of("jobs", job_id), **query)
    for job_id in job_ids:
        if wait:
            await wait_gone(session.client, path_of("jobs", job_id))
        session.out.done(f"job '{job_id}' {'has been' if wait else 'is being'} deleted")


async def _until_left(session: Session, job_id: str, state: str) -> None:
    from shoal_cli.client import path_of

    async def left() -> bool:
        return (await session.client.get(path_of("jobs", job_id))).get("state") != state

    await poll(left)


@api_command(job, "watch", doing="watch job '{job_id}'", patience_s=FOLLOW_PATIENCE_S)
@_job
@click.option("--plain", is_flag=True, help="Lines instead of a bar, also at a terminal.")
async def watch(session: Session, job_id: str, plain: bool) -> int:
    """Follow a job until all its tasks are completed; exit code 1 if some failed."""
    from shoal_cli.watch import watch_job

    return await watch_job(session.client, job_id, session.out, plain=plain)
