"""Carry out a plan: commit the placements that still hold, and send each node its tasks."""

from __future__ import annotations

from shoal_controller.core import tasktoken
from shoal_controller.core.account import Account
from shoal_controller.core.changes import NEW, TaskMoved
from shoal_controller.core.job import JobDefinition, JobState
from shoal_controller.core.scheduler import Placement, Plan
from shoal_controller.core.task import TaskDefinition, retries_left
from shoal_controller.operations.context import Context
from shoal_controller.store import jobs, nodes, tasks
from shoal_controller.store.database import Tx
from shoal_protocol.messages import RecallTask, RunTask
from shoal_protocol.specs import RunId, TaskSpec

_PLACED = NEW._replace(is_placed=True)


async def carry_out(ctx: Context, plan: Plan) -> int:
    """Commit a plan and return how many of its placements held."""
    for recall in plan.recalls:
        ctx.index.recalled(recall.node.serial, recall.run)
        ctx.links.send(recall.node.serial, RecallTask(recall.run))
    if not plan.placements:
        return 0
    return await ctx.settle(lambda tx: _place(ctx, tx, plan.placements))


def task_spec(
    account: Account,
    run: RunId,
    job_id: str,
    job: JobDefinition,
    task_id: str,
    definition: TaskDefinition,
    retry_count: int,
) -> TaskSpec:
    """Return what an agent needs to run a task this once."""
    constraints = definition.constraints
    limit, retention = constraints.max_wall_clock_time, constraints.retention_time
    retries_max = constraints.max_task_retry_count or 0
    return TaskSpec(
        job_id=job_id,
        task_id=task_id,
        command_line=definition.command_line,
        resource_files=definition.resource_files,
        output_files=definition.output_files,
        environment=_environment(job, definition),
        user=definition.user,
        slots=definition.required_slots,
        wall_clock_limit_s=None if limit is None else limit.total_seconds(),
        retention_s=float("inf") if retention is None else retention.total_seconds(),
        last_try=not retries_left(retry_count, retries_max),
        token=tasktoken.mint(account, run) if definition.token_access else "",
    )


def _environment(job: JobDefinition, task: TaskDefinition) -> tuple[tuple[str, str], ...]:
    if not job.common_environment:
        return task.environment
    return tuple({**dict(job.common_environment), **dict(task.environment)}.items())


def _place(ctx: Context, tx: Tx, placements: list[Placement]) -> int:
    open_jobs: dict[int, JobDefinition | None] = {}
    open_nodes: dict[int, bool] = {}
    held = 0
    for job, task, node in ((made.job, made.task, made.node) for made in placements):
        if job.serial not in open_jobs:
            open_jobs[job.serial] = _open_job(tx, job.serial)
        if node.serial not in open_nodes:
            open_nodes[node.serial] = nodes.is_open(tx, node.serial)
        definition = open_jobs[job.serial]
        if definition is None or not open_nodes[node.serial]:
            continue
        pool_id = ctx.index.pools[node.pool_key].id
        row = tasks.place(tx, task.serial, task.attempt, node.id, pool_id)
        if row is None:  # ended, deleted or placed since the plan was made
            continue
        held += 1
        run = RunId(task.serial, task.attempt + 1)
        tx.changes.append(
            TaskMoved(
                task.serial,
                job.serial,
                task.slots,
                run.attempt,
                task.affinity_id,
                NEW,
                _PLACED,
                node=node.serial,
            )
        )
        what = tasks.decode_definition(row["definition"])
        spec = task_spec(ctx.account, run, job.id, definition, row["id"], what, row["retry_count"])
        tx.messages.append((node.serial, RunTask(run, spec)))
    return held


def _open_job(tx: Tx, serial: int) -> JobDefinition | None:
    job = jobs.by_serial(tx, serial)
    return job.definition if job is not None and job.state == JobState.ACTIVE else None
