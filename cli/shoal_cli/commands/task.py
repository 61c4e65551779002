"""shoal task: create, list, show, terminate, reactivate, delete, logs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

import click

from shoal_cli.bodies import command_line, odata, put, read_body
from shoal_cli.command import FOLLOW_PATIENCE_S, Session, api_command
from shoal_cli.faults import Failed, ServiceFault, UsageFault
from shoal_cli.options import (
    DURATION,
    ENV,
    ID,
    Count,
    body_option,
    filter_option,
    limit_option,
    yes_option,
)

if TYPE_CHECKING:
    from shoal_cli.client import Client

TASKS_PER_REQUEST: Final = 100
"""The most a collection may hold. Source: REST reference, addtaskcollection."""


@click.group()
def task() -> None:
    """Tasks: commands that run on the nodes of their job's pool."""


_job = click.argument("job_id", metavar="JOB", type=ID)
_task = click.argument("task_id", metavar="TASK", type=ID)
_tasks = click.argument("task_ids", metavar="TASK...", type=ID, nargs=-1, required=True)


@api_command(task, "create", doing="add task '{task_id}' to job '{job_id}'")
@_job
@click.argument("task_id", metavar="[TASK]", type=ID, required=False)
@click.argument("words", metavar="[-- COMMAND [ARGS]...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--command-line", "given_line", help="The command as one text, instead of after --.")
@click.option("--env", type=ENV, multiple=True, help="NAME=VALUE for the task; may be repeated.")
@click.option("--slots", type=Count(1), help="How many slots it needs. [1]")
@click.option("--retries", type=Count(-1), help="How often it is repeated when it fails.")
@click.option("--time-limit", type=DURATION, help="It is killed after this time.")
@click.option("--keep-files", type=DURATION, help="How long its files stay. [7d]")
@click.option("--elevated", is_flag=True, help="Run it as administrator of the node.")
@click.option("--name", help="A name for people.")
@body_option("task, or a list of tasks,")
async def create(
    session: Session,
    job_id: str,
    task_id: str | None,
    words: tuple[str, ...],
    given_line: str | None,
    env: tuple[dict[str, str], ...],
    slots: int | None,
    retries: int | None,
    time_limit: str | None,
    keep_files: str | None,
    elevated: bool,
    name: str | None,
    body: Any,
) -> None:
    """Add a task, or with --body a list of them. No shell runs the command: for pipes and
    variables write -- sh -c '...'.
    """
    from shoal_cli.client import path_of
    from shoal_cli.views import TASK

    wanted = read_body(body, what="task")
    many = wanted.get("value") if isinstance(wanted, dict) else wanted
    if many is not None:
        if task_id or words or given_line:
            raise UsageFault("a list of tasks brings its own ids and commands")
        await _add_many(session, job_id, many)
        return
    constraints = put(
        {}, maxTaskRetryCount=retries, maxWallClockTime=time_limit, retentionTime=keep_files
    )
    put(
        wanted,
        id=task_id,
        commandLine=command_line(words, given_line),
        environmentSettings=env,
        requiredSlots=slots,
        displayName=name,
    )
    if constraints:
        wanted["constraints"] = {**wanted.get("constraints", {}), **constraints}
    if elevated:
        wanted["userIdentity"] = {"autoUser": {"scope": "pool", "elevationLevel": "admin"}}
    if not wanted.get("id") or not wanted.get("commandLine"):
        raise UsageFault("a task needs an id and a command: shoal task create JOB TASK -- COMMAND")
    await session.client.post(path_of("jobs", job_id, "tasks"), wanted)
    if session.out.format == "table" and not session.out.quiet:
        session.out.done(f"task '{wanted['id']}' is added to job '{job_id}'")
    else:
        path = path_of("jobs", job_id, "tasks", wanted["id"])
        session.out.show(await session.client.get(path), TASK)


async def _add_many(session: Session, job_id: str, tasks: Any) -> None:
    if not isinstance(tasks, list) or not all(isinstance(t, dict) for t in tasks):
        raise UsageFault("--body must be one task or a list of tasks, as the API's JSON")
    refused: list[str] = []
    added_count = 0
    async for result in add_tasks(session.client, job_id, tasks):
        if result.get("status", "").lower() == "success":
            added_count += 1
            if session.out.quiet:
                print(result.get("taskId"), file=session.out.stream)
            continue
        error = result.get("error") or {}
        text = (error.get("message") or {}).get("value", "").partition("\n")[0]
        refused.append(f"task '{result.get('taskId')}': {error.get('code')}: {text}")
    session.out.done(f"{added_count} tasks are added to job '{job_id}'")
    if refused:
        more = [f"and {len(refused) - 10} more"] if len(refused) > 10 else []
        raise Failed([*refused[:10], *more])


async def add_tasks(
    client: Client, job_id: str, tasks: list[dict[str, Any]]
) -> AsyncIterator[dict[str, Any]]:
    """Add tasks in collections of at most 100 and yield each one's result.

    A request too large is halved, as the published clients do; one task too large is refused.
    """
    from shoal_cli.client import path_of

    path = path_of("jobs", job_id, "addtaskcollection")
    at, at_once = 0, TASKS_PER_REQUEST
    while at < len(tasks):
        part = tasks[at : at + at_once]
        try:
            answer = await client.post(path, {"value": part})
        except ServiceFault as fault:
            if fault.code != "RequestBodyTooLarge" or len(part) == 1:
                raise
            at_once = len(part) // 2
            continue
        at += len(part)
        for result in answer.get("value") or []:
            yield result


@api_command(task, "list", doing="list the tasks of job '{job_id}'")
@_job
@filter_option
@click.option("--state", help="Only tasks in this state: active, preparing, running, completed.")
@click.option("--failed", is_flag=True, help="Only tasks that failed.")
@limit_option
async def list_(
    session: Session,
    job_id: str,
    filter_: str | None,
    state: str | None,
    failed: bool,
    limit: int | None,
) -> None:
    """List the tasks of a job."""
    from shoal_cli.client import path_of
    from shoal_cli.views import TASK

    if failed:
        only = "executionInfo/result eq 'failure'"
        filter_ = f"({filter_}) and {only}" if filter_ else only
    query = odata(filter_, state)
    pages = session.client.pages(path_of("jobs", job_id, "tasks"), limit=limit, **query)
    await session.out.list(pages, TASK)


@api_command(task, "show", doing="show task '{task_id}' of job '{job_id}'")
@_job
@_task
async def show(session: Session, job_id: str, task_id: str) -> None:
    """Show one task."""
    from shoal_cli.client import path_of
    from shoal_cli.views import TASK

    session.out.show(await session.client.get(path_of("jobs", job_id, "tasks", task_id)), TASK)


@api_command(task, "terminate", doing="terminate task '{task_ids}' of job '{job_id}'")
@_job
@_tasks
async def terminate(session: Session, job_id: str, task_ids: tuple[str, ...]) -> None:
    """End tasks; what runs of them is killed."""
    from shoal_cli.client import path_of

    for task_id in task_ids:
        await session.client.post(path_of("jobs", job_id, "tasks", task_id, "terminate"))
        session.out.done(f"task '{task_id}' is terminated")


@api_command(task, "reactivate", doing="reactivate task '{task_ids}' of job '{job_id}'")
@_job
@_tasks
async def reactivate(session: Session, job_id: str, task_ids: tuple[str, ...]) -> None:
    """Let failed tasks run again."""
    from shoal_cli.client import path_of

    for task_id in task_ids:
        await session.client.post(path_of("jobs", job_id, "tasks", task_id, "reactivate"))
        session.out.done(f"task '{task_id}' is active again")


@api_command(task, "delete", doing="delete task '{task_ids}' of job '{job_id}'")
@_job
@_tasks
@yes_option
async def delete(session: Session, job_id: str, task_ids: tuple[str, ...]) -> None:
    """Delete tasks and their files; what runs of them is killed."""
    from shoal_cli.client import path_of

    session.confirm(f"Delete task {', '.join(task_ids)} of job {job_id} with all files?")
    for task_id in task_ids:
        await session.client.delete(path_of("jobs", job_id, "tasks", task_id))
        session.out.done(f"task '{task_id}' has been deleted")


@api_command(
    task, "logs", doing="read the output of task '{task_id}' of job '{job_id}'",
    patience_s=FOLLOW_PATIENCE_S, has_answer=False,
)  # fmt: skip
@_job
@_task
@click.option("-f", "--follow", is_flag=True, help="Go on until the task ends.")
@click.option("--stderr", is_flag=True, help="What it wrote to its error stream.")
async def logs(session: Session, job_id: str, task_id: str, follow: bool, stderr: bool) -> None:
    """Write what a task printed."""
    from shoal_cli.client import path_of
    from shoal_cli.follow import follow_file, has_begun, is_completed, until

    client = session.client
    task_path = path_of("jobs", job_id, "tasks", task_id)
    path = task_path + path_of("files", "stderr.txt" if stderr else "stdout.txt")

    def write(chunk: bytes) -> None:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()

    if not follow:
        async for chunk in client.read_file(path):
            write(chunk)
        return

    async def fetch() -> dict[str, Any]:
        return await client.get(task_path)

    ended = asyncio.Event()
    found = await until(fetch, has_begun)
    if is_completed(found):
        ended.set()
    try:
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(
                follow_file(
                    client,
                    path,
                    write,
                    ended,
                    restarted=lambda: session.out.note("--- the task runs again ---"),
                )
            )
            await until(fetch, is_completed)
            ended.set()
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    if not reading.result():
        await client.file_facts(path)  # says why there is nothing
