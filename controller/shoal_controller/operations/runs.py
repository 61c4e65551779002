"""Moving tasks: the record, the index and the node's agent are told in one breath.

Used by every operation that changes where a task stands; rules are in core/task.py.
"""

from __future__ import annotations

from datetime import datetime

from shoal_controller.core.changes import Standing, TaskMoved
from shoal_controller.core.ids import fold
from shoal_controller.core.task import (
    Lost,
    Requeued,
    Task,
    TaskEvent,
    Terminated,
    advance,
)
from shoal_controller.operations.context import JOBS, POOLS, SCHEDULING, Context
from shoal_controller.store import tasks
from shoal_controller.store.database import Tx
from shoal_protocol.messages import KillTask


def standing(task: Task) -> Standing:
    return Standing(task.state, task.result, task.is_placed)


def node_serial(ctx: Context, node_id: str | None) -> int | None:
    """Return the serial of a node that still exists, or None."""
    node = None if node_id is None else ctx.index.node_by_id.get(fold(node_id))
    return None if node is None else node.serial


def moved(
    ctx: Context,
    before: Task,
    after: Task | None,
    *,
    is_killed: bool = False,
    run_s: float | None = None,
) -> TaskMoved:
    """Return the change that tells the index where a task stands now."""
    return TaskMoved(
        before.serial,
        before.job_serial,
        before.definition.required_slots,
        before.attempt if after is None else after.attempt,
        before.definition.affinity_id,
        standing(before),
        None if after is None else standing(after),
        node=node_serial(ctx, before.node_id),
        is_killed=is_killed,
        run_s=run_s,
    )


def withdraw(
    ctx: Context,
    tx: Tx,
    task: Task,
    event: Requeued | Terminated | Lost,
    now: datetime,
    *,
    is_node_gone: bool = False,
) -> Task:
    """End the task's current run, if any, by decision of the controller; return the task after it.

    The record changes at once; the node is told to kill what it holds of it, and its slots are free
    once it says that nothing is left.
    is_node_gone   the node holds nothing any more: nobody is to be told
    """
    after = advance(task, event, now)
    tasks.update(tx, after)
    serial = node_serial(ctx, task.node_id)
    is_killed = task.is_placed and not is_node_gone and serial is not None
    tx.changes.append(moved(ctx, task, after, is_killed=is_killed))
    if is_killed and serial is not None:
        tx.messages.append((serial, KillTask(task.run)))
    tx.wakes |= {SCHEDULING, JOBS, POOLS}
    return after


def change(ctx: Context, tx: Tx, task: Task, event: TaskEvent, now: datetime) -> Task:
    """Apply an event that concerns no live run (reactivation) and return the task after it."""
    after = advance(task, event, now)
    tasks.update(tx, after)
    tx.changes.append(moved(ctx, task, after))
    tx.wakes |= {SCHEDULING, JOBS}
    return after
