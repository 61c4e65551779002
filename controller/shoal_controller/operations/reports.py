"""What agents tell: hellos, and the fate of runs. Repeats and late messages are harmless.

All messages of a frame are one write: it is committed as a whole, and only then acknowledged.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from shoal_controller.core.changes import Standing, TaskMoved
from shoal_controller.core.job import JobState, TaskFailureMode, Terminate, TerminateReason
from shoal_controller.core.node import AWAY, RESTARTING, Node, NodeState, moved
from shoal_controller.core.task import (
    Ended,
    Lost,
    Returned,
    Started,
    Task,
    TaskResult,
    TaskState,
    advance,
    cpu_time,
)
from shoal_controller.core.views import RunView
from shoal_controller.operations import nodereports, runs
from shoal_controller.operations import nodes as node_operations
from shoal_controller.operations.context import JOBS, POOLS, SCHEDULING, Context
from shoal_controller.operations.jobs import move_job
from shoal_controller.operations.joining import unknown_key
from shoal_controller.operations.placements import task_spec
from shoal_controller.store import jobs, nodes, pools, tasks
from shoal_controller.store.columns import span, ticks
from shoal_controller.store.database import Tx
from shoal_protocol.codec import Entry
from shoal_protocol.messages import (
    FilesKept,
    Hello,
    KillTask,
    Message,
    NodeReport,
    RebootNode,
    RunEnded,
    RunGone,
    RunLost,
    RunReturned,
    RunStarted,
    RunTask,
    StartTaskReport,
)
from shoal_protocol.specs import NodeConfig, RunId

_PLACED: Final = Standing(TaskState.ACTIVE, None, True)
_RUNNING: Final = Standing(TaskState.RUNNING, None, True)
_OVER: Final = (RunGone, RunEnded, RunReturned, RunLost)
"""After any of these nothing of the run is left on its node."""
_SUCCEEDED: Final = Standing(TaskState.COMPLETED, TaskResult.SUCCESS, False)


@dataclass(slots=True)
class _Tally:
    """What a frame adds to its node's counters: one write for the frame."""

    run: int = 0
    succeeded: int = 0


# --- connecting -----------------------------------------------------------------------------------


async def agent_hello(
    ctx: Context, node_serial: int, hello: Hello, unacked: Collection[Message]
) -> NodeConfig:
    """Compare what the agent holds with what was assigned, and return the node's configuration.

    unacked   messages that the link repeats anyway
    What was assigned and the agent lacks is sent again, or lost if the node was rebooted; what the
    agent holds and was superseded is killed.
    """
    now = ctx.clock.now()
    held = {held.run: held for held in hello.runs}
    repeated = {message.run for message in unacked if isinstance(message, RunTask)}

    def decide(tx: Tx) -> NodeConfig:
        node = nodes.by_serial(tx, node_serial)
        if node is None:
            raise unknown_key()
        is_new_boot = node.boot_id != hello.boot_id
        node = _booted(tx, node, hello, now) if is_new_boot else nodereports.back(node, now)
        if not is_new_boot and node.state in RESTARTING:
            wipes = node.state == NodeState.REIMAGING
            tx.messages.append((node.serial, RebootNode(hello.boot_id, wipes)))
        if node.join_token_hash:
            node = replace(node, join_token_hash=b"")
        node_operations.put(tx, node)
        assigned = {task.run: task for task in tasks.placed_on(tx, node.id)}
        for run in held.keys() - assigned.keys():
            tx.messages.append((node.serial, KillTask(run)))
        for run, task in assigned.items():
            if run in held or run in repeated:
                continue
            if is_new_boot:
                runs.withdraw(ctx, tx, task, Lost(), now, is_node_gone=True)
            else:
                _send_again(ctx, tx, node, task)
        return _config(ctx, tx, node)

    config = await ctx.settle(decide)
    view = ctx.index.nodes.get(node_serial)
    if view is not None:
        ctx.index.recalls_forgotten(node_serial)
        for run in [run for run in view.dying if run not in held]:
            ctx.index.run_gone(node_serial, run)
        for run, what in held.items():
            current = view.runs.get(run.serial)
            if current is None or current.attempt != run.attempt:
                ctx.index.run_held(node_serial, run, what.slots)
        view.is_connected = True
        view.heard_s = ctx.clock.monotonic()
        ctx.wakes.wake(SCHEDULING)
    return config


def agent_disconnected(ctx: Context, node_serial: int) -> None:
    """The link is down: nothing more is placed on the node until it is back."""
    view = ctx.index.nodes.get(node_serial)
    if view is not None:
        view.is_connected = False


def agent_heard(ctx: Context, node_serial: int) -> None:
    """Something arrived from the agent: the node is alive."""
    view = ctx.index.nodes.get(node_serial)
    if view is not None:
        view.heard_s = ctx.clock.monotonic()


def _booted(tx: Tx, node: Node, hello: Hello, now: datetime) -> Node:
    pool = pools.get(tx, node.pool_id)
    is_away = node.state in AWAY
    return replace(
        node if is_away else moved(node, NodeState.STARTING, now),
        boot_id=hello.boot_id,
        booted_at=hello.booted_at,
        ip_address=hello.ip_address,
        agent_version=hello.agent_version,
        agent_updated_at=now,
        start_task=None if pool is None else pool.definition.start_task,
        start_task_info=None,
        pending=node.pending if is_away else None,
        errors=(),
    )


def _send_again(ctx: Context, tx: Tx, node: Node, task: Task) -> None:
    job = jobs.by_serial(tx, task.job_serial)
    if job is not None:
        spec = task_spec(
            ctx.account, task.run, job.id, job.definition, task.id, task.definition,
            task.retry_count,
        )  # fmt: skip
        tx.messages.append((node.serial, RunTask(task.run, spec)))


def _config(ctx: Context, tx: Tx, node: Node) -> NodeConfig:
    pool = pools.get(tx, node.pool_id)
    return NodeConfig(
        account_name=ctx.account.name,
        account_url=ctx.public_url + "/",
        pool_id=node.pool_id,
        node_id=node.id,
        is_dedicated=node.is_dedicated,
        slots=node.slots,
        start_task=node.start_task,
        users=() if pool is None else pool.definition.user_accounts,
    )


# --- reports --------------------------------------------------------------------------------------


async def agent_entries(ctx: Context, node_serial: int, entries: Sequence[Entry]) -> None:
    """Commit what the messages of a frame say; the caller acknowledges them afterwards.

    A message that speaks of a run that is not the task's current one changes nothing.
    """
    now = ctx.clock.now()
    await ctx.settle(lambda tx: _take(ctx, tx, node_serial, entries, now))
    view = ctx.index.nodes.get(node_serial)
    if view is None or not view.dying:
        return
    for entry in entries:
        # Not RunGone alone: an order to kill may cross with the run's end or return, and is then
        # not answered any more.
        if isinstance(entry.message, _OVER) and entry.message.run in view.dying:
            ctx.index.run_gone(node_serial, entry.message.run)
            ctx.wakes.wake(SCHEDULING)
            ctx.wakes.wake(POOLS)


def _take(ctx: Context, tx: Tx, node_serial: int, entries: Sequence[Entry], now: datetime) -> None:
    tally = _Tally()
    view = ctx.index.nodes.get(node_serial)
    held = {} if view is None else view.runs
    for entry in entries:
        match entry.message:
            case RunStarted(run, at):
                known = held.get(run.serial)
                if known is not None and tasks.start(tx, run, ticks(at)):
                    tx.changes.append(_change(known, node_serial, _PLACED, _RUNNING))
            case RunEnded(run, exit_info):
                known = held.get(run.serial)
                is_plain = exit_info.failure is None and exit_info.started_at is not None
                if known is not None and known.attempt == run.attempt and is_plain:
                    _succeed(tx, known, node_serial, run, entry.message, tally)
                else:
                    _end(ctx, tx, run, entry.message, tally, now)
            case RunReturned(run):
                _change_run(ctx, tx, run, Returned(), now)
            case RunLost(run):
                _change_run(ctx, tx, run, Lost(), now)
            case StartTaskReport():
                nodereports.start_task(tx, node_serial, entry.message, now)
            case NodeReport():
                nodereports.node_report(ctx, tx, node_serial, entry.message, now)
            case FilesKept(serials):
                nodereports.files_kept(tx, node_serial, serials)
            case _:
                pass
    if tally.run:
        nodes.count_tasks(tx, node_serial, tally.run, tally.succeeded)
        tx.wakes |= {SCHEDULING, JOBS}
        if view is not None and view.is_on_its_way:
            tx.wakes.add(POOLS)


def _change(
    run: RunView,
    node_serial: int,
    before: Standing,
    after: Standing,
    run_s: float | None = None,
) -> TaskMoved:
    return TaskMoved(
        run.serial,
        run.job_serial,
        run.slots,
        run.attempt,
        None,
        before,
        after,
        node=node_serial,
        run_s=run_s,
    )


def _succeed(
    tx: Tx,
    known: RunView,
    node_serial: int,
    run: RunId,
    message: RunEnded,
    tally: _Tally,
) -> None:
    """The way of most runs: exit code 0, two small statements, no record made."""
    ended = message.exit
    assert ended.started_at is not None
    # Not from the index: an earlier write of the same group may have started it just now.
    state = tasks.placed_state(tx, run)
    cpu = (span(cpu_time(ended.user_cpu_s)), span(cpu_time(ended.system_cpu_s)))
    started, over = ticks(ended.started_at), ticks(ended.ended_at)
    if state is None or not tasks.succeed(tx, run, started, over, cpu):
        return
    before = Standing(state, None, True)
    run_s = (ended.ended_at - ended.started_at).total_seconds()
    tx.changes.append(_change(known, node_serial, before, _SUCCEEDED, run_s))
    tally.run += 1
    tally.succeeded += 1


def _end(ctx: Context, tx: Tx, run: RunId, message: RunEnded, tally: _Tally, now: datetime) -> None:
    task = _current(tx, run)
    if task is None:
        return
    constraints = task.definition.constraints
    after = advance(task, Ended(message.exit, constraints.max_task_retry_count or 0), now)
    tasks.update(tx, after)
    started = message.exit.started_at or task.started_at
    run_s = None if started is None else (message.exit.ended_at - started).total_seconds()
    tx.changes.append(runs.moved(ctx, task, after, run_s=run_s))
    tally.run += 1
    tally.succeeded += message.exit.failure is None
    if after.result == TaskResult.FAILURE:
        _task_failed(tx, task, now)


def _task_failed(tx: Tx, task: Task, now: datetime) -> None:
    """Without exit conditions a failure's built-in action is to end the job (semantics 6.8)."""
    job = jobs.by_serial(tx, task.job_serial)
    if (
        job is not None
        and job.state == JobState.ACTIVE
        and job.definition.on_task_failure == TaskFailureMode.PERFORM_EXIT_OPTIONS_JOB_ACTION
    ):
        move_job(tx, job, Terminate(TerminateReason.TASK_FAILED), now)


def _change_run(
    ctx: Context, tx: Tx, run: RunId, event: Returned | Lost | Started, now: datetime
) -> None:
    task = _current(tx, run)
    if task is None:
        return
    after = advance(task, event, now)
    tasks.update(tx, after)
    tx.changes.append(runs.moved(ctx, task, after))
    tx.wakes |= {SCHEDULING, JOBS, POOLS}


def _current(tx: Tx, run: RunId) -> Task | None:
    """Return the task whose current run this is, or None when it has been superseded."""
    task = tasks.by_serial(tx, run.serial)
    return task if task is not None and task.is_placed and task.attempt == run.attempt else None
