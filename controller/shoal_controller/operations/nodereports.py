"""What agents tell of their nodes: start task, errors, room on the disk, and files they keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from shoal_controller.core.node import AWAY, RESTARTING, Node, NodeState, StartTaskInfo, moved
from shoal_controller.operations import nodes as node_operations
from shoal_controller.operations.context import Context
from shoal_controller.store import nodes, tasks
from shoal_controller.store.database import Tx
from shoal_protocol.messages import FILES_KEPT_MAX, NodeReport, StartTaskReport, TasksGone

SERIAL_MAX: Final = (1 << 63) - 1
_PREPARING: Final = (
    NodeState.STARTING,
    NodeState.WAITING_FOR_START_TASK,
    NodeState.UNUSABLE,
    NodeState.UNKNOWN,
)


def start_task(tx: Tx, node_serial: int, report: StartTaskReport, now: datetime) -> None:
    """Note where a node's start task stands."""
    node = nodes.by_serial(tx, node_serial)
    if node is None or node.boot_id != report.boot_id:
        return
    info = StartTaskInfo(
        report.running, report.started_at, report.retry_count, report.last_retry_at, report.exit
    )
    after = replace(node, start_task_info=info)
    waits = node.start_task is not None and node.start_task.wait_for_success
    if waits and node.state in (NodeState.STARTING, NodeState.WAITING_FOR_START_TASK):
        is_failed = report.final and report.exit is not None and report.exit.failure is not None
        state = NodeState.START_TASK_FAILED if is_failed else NodeState.WAITING_FOR_START_TASK
        after = moved(after, state, now)
    node_operations.put(tx, after)


def node_report(ctx: Context, tx: Tx, node_serial: int, report: NodeReport, now: datetime) -> None:
    """Note a node's condition. With errors it is unusable, and what it held runs elsewhere."""
    node = nodes.by_serial(tx, node_serial)
    if node is None or node.boot_id != report.boot_id:
        return
    after = replace(node, errors=report.errors)
    if report.errors:
        # One that leaves or restarts goes on with that.
        if node.state not in AWAY | RESTARTING:
            after = moved(after, NodeState.UNUSABLE, now)
            node_operations.lose(ctx, tx, node, now, is_gone=False)
    elif report.ready and node.state in _PREPARING:
        after = moved(after, NodeState.IDLE, now)
    elif node.errors and node.state == NodeState.UNUSABLE:
        after = back(after, now, is_ready=False)
    node_operations.put(tx, after)


def back(node: Node, now: datetime, *, is_ready: bool = True) -> Node:
    """Return a node that was out of reach or unusable as it stands by what is known of its boot.

    is_ready   False: its agent still prepares it
    """
    if node.state not in (NodeState.UNKNOWN, NodeState.UNUSABLE) or node.errors:
        return node
    start, info = node.start_task, node.start_task_info
    if start is None or not start.wait_for_success:
        return moved(node, NodeState.IDLE if is_ready else NodeState.STARTING, now)
    if info is None:
        return moved(node, NodeState.STARTING, now)
    if info.is_running or info.exit is None:
        return moved(node, NodeState.WAITING_FOR_START_TASK, now)
    is_good = info.exit.failure is None
    return moved(node, NodeState.IDLE if is_good else NodeState.START_TASK_FAILED, now)


def files_kept(tx: Tx, node_serial: int, serials: Sequence[int]) -> None:
    """Name those whose tasks were deleted: what said so before may have been lost on its way."""
    named = [serial for serial in serials[:FILES_KEPT_MAX] if 0 < serial <= SERIAL_MAX]
    if gone := tasks.gone(tx, named):
        tx.messages.append((node_serial, TasksGone(gone)))
