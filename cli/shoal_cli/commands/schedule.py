"""shoal schedule: create, list, show, jobs, disable, enable, terminate, delete."""

from __future__ import annotations

from typing import Any

import click

from shoal_cli.bodies import odata, put, read_body
from shoal_cli.command import FOLLOW_PATIENCE_S, Session, api_command
from shoal_cli.faults import UsageFault
from shoal_cli.follow import wait_gone
from shoal_cli.options import (
    DURATION,
    ID,
    body_option,
    filter_option,
    limit_option,
    wait_option,
    yes_option,
)


@click.group()
def schedule() -> None:
    """Job schedules: jobs that are made when they are due."""


_schedule = click.argument("schedule_id", metavar="SCHEDULE", type=ID)
_schedules = click.argument("schedule_ids", metavar="SCHEDULE...", type=ID, nargs=-1, required=True)


@api_command(schedule, "create", doing="create job schedule '{schedule_id}'")
@_schedule
@click.option("--pool", "pool_id", type=ID, help="The pool of its jobs.")
@click.option("--every", type=DURATION, help="From one job to the next; without it, one job.")
@click.option("--name", help="A name for people.")
@body_option("job schedule")
async def create(
    session: Session,
    schedule_id: str,
    pool_id: str | None,
    every: str | None,
    name: str | None,
    body: Any,
) -> None:
    """Make a job schedule; the next job comes when it is due and the one before has ended."""
    wanted = read_body(body, what="job schedule")
    if not isinstance(wanted, dict):
        raise UsageFault("--body of a job schedule must be one JSON object")
    put(wanted, id=schedule_id, displayName=name)
    for part, more in (
        ("schedule", put({}, recurrenceInterval=every)),
        ("jobSpecification", {"poolInfo": {"poolId": pool_id}} if pool_id else {}),
    ):
        given = wanted.get(part, {})
        if not isinstance(given, dict):
            raise UsageFault(f"'{part}' in --body of a job schedule must be a JSON object")
        wanted[part] = {**given, **more}
    if "poolInfo" not in wanted["jobSpecification"]:
        raise UsageFault(
            "no pool is given", mend="--pool POOL; `shoal pool list` shows the pools there are"
        )
    await session.client.post("/jobschedules", wanted)
    if session.out.format == "table" and not session.out.quiet:
        session.out.done(f"job schedule '{schedule_id}' is made")
    else:
        await _show(session, schedule_id)


@api_command(schedule, "list", doing="list job schedules")
@filter_option
@click.option("--state", help="Only those in this state: active, disabled, completed...")
@limit_option
async def list_(
    session: Session, filter_: str | None, state: str | None, limit: int | None
) -> None:
    """List job schedules."""
    from shoal_cli.views import JOB_SCHEDULE

    pages = session.client.pages("/jobschedules", limit=limit, **odata(filter_, state))
    await session.out.list(pages, JOB_SCHEDULE)


@api_command(schedule, "show", doing="show job schedule '{schedule_id}'")
@_schedule
async def show(session: Session, schedule_id: str) -> None:
    """Show one job schedule."""
    await _show(session, schedule_id)


async def _show(session: Session, schedule_id: str) -> None:
    from shoal_cli.client import path_of
    from shoal_cli.views import JOB_SCHEDULE

    session.out.show(await session.client.get(path_of("jobschedules", schedule_id)), JOB_SCHEDULE)


@api_command(schedule, "jobs", doing="list the jobs of job schedule '{schedule_id}'")
@_schedule
@limit_option
async def jobs(session: Session, schedule_id: str, limit: int | None) -> None:
    """List the jobs that a job schedule made."""
    from shoal_cli.client import path_of
    from shoal_cli.views import JOB

    pages = session.client.pages(path_of("jobschedules", schedule_id, "jobs"), limit=limit)
    await session.out.list(pages, JOB)


@api_command(schedule, "disable", doing="disable job schedule '{schedule_id}'")
@_schedule
async def disable(session: Session, schedule_id: str) -> None:
    """Let no new job be made until it is enabled again."""
    await _move(session, schedule_id, "disable")
    session.out.done(f"job schedule '{schedule_id}' is disabled")


@api_command(schedule, "enable", doing="enable job schedule '{schedule_id}'")
@_schedule
async def enable(session: Session, schedule_id: str) -> None:
    """Let jobs be made again."""
    await _move(session, schedule_id, "enable")
    session.out.done(f"job schedule '{schedule_id}' is enabled")


@api_command(schedule, "terminate", doing="terminate job schedule '{schedule_ids}'")
@_schedules
@yes_option
async def terminate(session: Session, schedule_ids: tuple[str, ...]) -> None:
    """End job schedules, and the job that each has at work."""
    session.confirm(f"End job schedule {', '.join(schedule_ids)} for good?")
    for schedule_id in schedule_ids:
        await _move(session, schedule_id, "terminate")
        session.out.done(f"job schedule '{schedule_id}' is being terminated")


@api_command(
    schedule, "delete", doing="delete job schedule '{schedule_ids}'", patience_s=FOLLOW_PATIENCE_S
)
@_schedules
@yes_option
@wait_option
async def delete(session: Session, schedule_ids: tuple[str, ...], wait: bool) -> None:
    """Delete job schedules with their jobs, tasks and files."""
    from shoal_cli.client import path_of

    session.confirm(f"Delete job schedule {', '.join(schedule_ids)} with all of its jobs?")
    for schedule_id in schedule_ids:
        await session.client.delete(path_of("jobschedules", schedule_id))
    for schedule_id in schedule_ids:
        if wait:
            await wait_gone(session.client, path_of("jobschedules", schedule_id))
        session.out.done(
            f"job schedule '{schedule_id}' {'has been' if wait else 'is being'} deleted"
        )


async def _move(session: Session, schedule_id: str, action: str) -> None:
    from shoal_cli.client import path_of

    await session.client.post(path_of("jobschedules", schedule_id, action))
