"""What `shoal run` does: makes what the command needs, streams it, and takes away what it made.

The steps are those a user would take with the other commands; there is nothing special about
the pool, the job or the task.
"""

from __future__ import annotations

import asyncio
import secrets
import shlex
import signal
import sys
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from shoal_cli.bodies import put
from shoal_cli.client import Client, path_of
from shoal_cli.command import Session
from shoal_cli.commands.pool import BROKEN, create_pool, node_failure
from shoal_cli.faults import Failed, Fault, ServiceFault, UsageFault
from shoal_cli.follow import follow_file, has_begun, is_completed, until, wait_gone
from shoal_cli.render import Output

TASK_ID: Final = "main"
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE_S: Final = 3.0
"""A command that has not started after this time is asked about: why does it wait?"""
# What a shell answers for a program that is missing, or cannot be executed.
_EXIT_CODES: Final = {"CommandProgramNotFound": 127, "CommandLaunchFailed": 126}


@dataclass(frozen=True, slots=True)
class Run:
    """What was asked for. `pool_id` None: a pool of `nodes` nodes of `slots` slots is made."""

    words: tuple[str, ...]
    pool_id: str | None = None
    nodes: int = 1
    slots: int = 1
    removes_pool: bool = False
    keeps_job: bool = False
    environment: tuple[dict[str, str], ...] = ()
    files: tuple[str, ...] = ()
    time_limit: str | None = None
    is_elevated: bool = False


@dataclass(slots=True)
class _Made:
    """What exists because of this run, and has to go with it."""

    pool_id: str | None = None
    job_id: str | None = None
    has_task: bool = False
    task_ended: bool = False
    stopped_by: int | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)


async def run_command(session: Session, run: Run) -> int:
    """Run it and return its exit code; 128 + n where signal n ended it or us."""
    made = _Made()
    _obey_signals(made)
    try:
        return await _run(session, run, made)
    except asyncio.CancelledError:
        if made.stopped_by is None:
            raise
        return 128 + made.stopped_by
    finally:
        await _clean(session, run, made)


def _obey_signals(made: _Made) -> None:
    """The first signal ends the task and lets its last output come; the next one ends us."""
    loop = asyncio.get_running_loop()
    me = asyncio.current_task()
    assert me is not None, "called from a task"

    def obey(number: int) -> None:
        is_first = made.stopped_by is None
        made.stopped_by = number
        made.stop.set()
        if not (is_first and made.has_task):
            me.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, obey, number)


async def _run(session: Session, run: Run, made: _Made) -> int:
    client = session.client
    pool_id = run.pool_id or await _pool(session, run, made)
    job_id = f"run-{datetime.now().astimezone():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    task = await _definition(session, run, job_id)
    made.job_id = job_id  # noted first: it may exist although no answer comes
    await client.post("/jobs", {"id": job_id, "poolInfo": {"poolId": pool_id}})
    await client.post(path_of("jobs", job_id, "tasks"), task)
    made.has_task = True
    if run.keeps_job:
        session.out.note(f"job '{job_id}', task '{TASK_ID}'")
    ended = await _stream(session, pool_id, job_id, made)
    if made.stopped_by is not None:
        return 128 + made.stopped_by
    return exit_code(ended, session.out)


async def _pool(session: Session, run: Run, made: _Made) -> str:
    """Return a pool of the wanted shape: last time's if it is still there, else a new one."""
    client = session.client
    shape = f"{run.nodes}x{run.slots}"
    pool_id = f"shoal-run-{secrets.token_hex(4) if run.removes_pool else shape}"
    try:
        found = await client.get(path_of("pools", pool_id))
        if found.get("state") != "deleting":
            return pool_id
        await wait_gone(client, path_of("pools", pool_id))
    except ServiceFault as fault:
        if fault.status != 404:
            raise
    session.out.note(f"making pool '{pool_id}': nodes {run.nodes}, slots {run.slots}")
    if run.removes_pool:
        made.pool_id = pool_id
    try:
        await create_pool(client, pool_id, {}, nodes=run.nodes, slots=run.slots)
    except ServiceFault as fault:
        if fault.code != "PoolExists":  # another `shoal run` was faster
            raise
    return pool_id


async def _definition(session: Session, run: Run, job_id: str) -> dict[str, Any]:
    """Return the task as the API's JSON; files it needs are in storage when this returns."""
    task: dict[str, Any] = {"id": TASK_ID, "commandLine": shlex.join(run.words)}
    put(task, environmentSettings=run.environment)
    if run.time_limit:
        task["constraints"] = {"maxWallClockTime": run.time_limit}
    if run.is_elevated:
        task["userIdentity"] = {"autoUser": {"scope": "pool", "elevationLevel": "admin"}}
    if run.files:
        from shoal_cli.storage import Container

        named = [split_file(text) for text in run.files]
        async with Container(session.client.settings, job_id) as container:
            task["resourceFiles"] = [await container.send(*pair) for pair in named]
    return task


def split_file(text: str) -> tuple[Path, str]:
    """Return a local file and its name in the working directory, from LOCAL[:REMOTE]."""
    local, _, remote = text.partition(":")
    path = Path(local)
    if not path.is_file():
        raise UsageFault(f"'{local}' is not a file here", mend="--file LOCAL[:REMOTE]")
    remote = remote or path.name
    if remote.startswith("/") or ".." in remote.split("/") or not remote.strip("/"):
        raise UsageFault(f"'{remote}' is not a place inside the working directory")
    return path, remote


async def _stream(session: Session, pool_id: str, job_id: str, made: _Made) -> dict[str, Any]:
    """Show both streams until the task has ended; return it as it ended."""
    client = session.client
    path = path_of("jobs", job_id, "tasks", TASK_ID)

    async def fetch() -> dict[str, Any]:
        return await client.get(path)

    async with _Explainer(session, pool_id):
        task = await until(fetch, has_begun, stop=made.stop, most_s=0.5)
    ended = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as group:
            if has_begun(task):
                for name, stream in (("stdout.txt", sys.stdout), ("stderr.txt", sys.stderr)):
                    where = path + path_of("files", name)
                    group.create_task(follow_file(client, where, _writer(stream.buffer), ended))
            task = await until(fetch, is_completed, stop=made.stop, most_s=0.5)
            if not is_completed(task):
                await _terminate(session, path)
                task = await until(fetch, is_completed)
            made.task_ended = True
            ended.set()
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return task


async def _terminate(session: Session, path: str) -> None:
    try:
        await session.client.post(f"{path}/terminate")
    except ServiceFault as fault:
        if fault.code not in ("TaskCompleted", "JobCompleted"):  # it ended by itself meanwhile
            raise


def _writer(stream: BinaryIO) -> Any:
    def write(chunk: bytes) -> None:
        stream.write(chunk)
        stream.flush()

    return write


class _Explainer:
    """While it is open, says on the error stream why the command has not started yet."""

    def __init__(self, session: Session, pool_id: str) -> None:
        self._session = session
        self._pool_id = pool_id
        self._work: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._work = asyncio.create_task(self._explain())

    async def __aexit__(self, *_: object) -> None:
        assert self._work is not None, "entered before it is left"
        self._work.cancel()
        await asyncio.wait([self._work])

    async def _explain(self) -> None:
        said = ""
        while True:
            await asyncio.sleep(_PATIENCE_S)
            try:
                reason = await waiting_reason(self._session, self._pool_id)
            except Fault as fault:  # the command may start all the same
                reason = "; ".join(fault.why)
            if reason != said:
                self._session.out.note(f"waiting: {reason}")
            said = reason


async def waiting_reason(session: Session, pool_id: str) -> str:
    """Return why a task of the pool has not started, from what its nodes do."""
    path = path_of("pools", pool_id)
    pool = await session.client.get(path)
    nodes = [n async for page in session.client.pages(f"{path}/nodes") for n in page]
    if errors := pool.get("resizeErrors"):
        return "; ".join(f"{e.get('code')}: {e.get('message')}" for e in errors)
    if not nodes:
        wanted = pool.get("targetDedicatedNodes", 0) + pool.get("targetLowPriorityNodes", 0)
        if wanted == 0:
            return f"pool '{pool_id}' has no nodes; give it some: shoal pool resize {pool_id} 1"
        return f"pool '{pool_id}' has no node yet; it is {pool.get('allocationState')}"
    broken = [n for n in nodes if n.get("state") in BROKEN]
    if len(broken) == len(nodes):
        return "; ".join(node_failure(pool_id, broken).why)
    states: dict[str, int] = {}
    for node in nodes:
        states[str(node.get("state"))] = states.get(str(node.get("state")), 0) + 1
    shown = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return f"nodes of pool '{pool_id}': {shown}"


def exit_code(task: dict[str, Any], out: Output) -> int:
    """Return the exit code for a task that ended; tell why where the code alone does not."""
    info = task.get("executionInfo") or {}
    failure = info.get("failureInfo") or {}
    code = info.get("exitCode")
    if failure and failure.get("code") != "FailureExitCode":
        details = [f"{d.get('name')}: {d.get('value')}" for d in failure.get("details") or []]
        text = "; ".join([f"{failure.get('code')}: {failure.get('message')}", *details])
        out.note(f"shoal: {text}")
    if code is None:
        return _EXIT_CODES.get(str(failure.get("code")), 1) if failure else 0
    if code < 0:
        return 128 - code
    return code if code <= 255 else 1


async def _clean(session: Session, run: Run, made: _Made) -> None:
    """Take away what the run made. A failure here is told, and changes no exit code."""
    client = session.client
    client.patience_s = min(client.patience_s, 10.0)
    try:
        if made.job_id and not run.keeps_job:
            await _delete(client, path_of("jobs", made.job_id))
        elif made.has_task and not made.task_ended and made.job_id:
            await _terminate(session, path_of("jobs", made.job_id, "tasks", TASK_ID))
        if made.pool_id:
            await _delete(client, path_of("pools", made.pool_id))
        if run.files and made.job_id and not run.keeps_job:
            from shoal_cli.storage import Container

            async with Container(client.settings, made.job_id) as container:
                await container.delete()
    except (Fault, Failed) as fault:
        session.out.note(f"shoal: could not clean up: {'; '.join(fault.why)}")


async def _delete(client: Client, path: str) -> None:
    try:
        await client.delete(path)
    except ServiceFault as fault:
        if fault.status != 404:  # it was never made
            raise
