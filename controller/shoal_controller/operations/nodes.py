"""Nodes: read, reboot, open and close to new tasks, leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from shoal_controller.core import node as rules
from shoal_controller.core import views as index_views
from shoal_controller.core.changes import NodePut
from shoal_controller.core.errors import Refused
from shoal_controller.core.listing import Listing, ListQuery
from shoal_controller.core.node import Node, NodeAction, NodeState
from shoal_controller.core.odata import fields
from shoal_controller.core.odata.predicate import holds
from shoal_controller.core.pool import DeallocationOption
from shoal_controller.core.task import Lost, Requeued, Task, TaskState, Terminated
from shoal_controller.operations import runs
from shoal_controller.operations.context import POOLS, SCHEDULING, Context
from shoal_controller.store import nodes, pools, tasks
from shoal_controller.store.database import Row, Tx
from shoal_protocol.messages import RebootNode

_NODES_PER_ROUND: Final = 25
_ROUNDS_MAX: Final = 80
"""A page of a filtered list looks at so many rounds of nodes, then it is short."""


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as users see it.

    recent  its latest tasks, newest last, each with the id of its job
    """

    node: Node
    state: NodeState
    state_at: datetime
    running_count: int
    running_slots: int
    recent: Sequence[tuple[str, Task]]


async def list_nodes(ctx: Context, pool_id: str, query: ListQuery) -> Listing[NodeView]:
    """Return a page of a pool's nodes, oldest first.

    A node's state follows from what runs on it, so nodes are filtered here and not by SQL.
    """
    await _check_pool(ctx, pool_id)
    found: list[NodeView] = []
    after = query.after_serial
    for _ in range(_ROUNDS_MAX):
        rows = await ctx.store.read(nodes.OF_POOL_AFTER, (pool_id, after, _NODES_PER_ROUND))
        for view in await _views(ctx, [nodes.node(row) for row in rows]):
            if query.where is None or holds(query.where, fields.NODES, partial(_value, view)):
                if len(found) == query.limit:
                    return Listing(found, str(found[-1].node.serial))
                found.append(view)
        if len(rows) < _NODES_PER_ROUND:
            return Listing(found)
        after = rows[-1]["serial"]
    return Listing(found, str(after))


async def count_nodes(ctx: Context, pool_id: str) -> Counter[tuple[bool, NodeState]]:
    """Return how many nodes of a pool, dedicated (True) or not, are in which state."""
    counts = Counter[tuple[bool, NodeState]]()
    for row in await ctx.store.read(nodes.STATES_OF_POOL, (pool_id,)):
        view = ctx.index.nodes.get(row["serial"])
        state = rules.shown_as(
            NodeState(row["state"]),
            rules.SchedulingState(row["scheduling_state"]),
            0 if view is None else view.running_count,
        )
        counts[bool(row["is_dedicated"]), state] += 1
    return counts


async def get_node(ctx: Context, pool_id: str, node_id: str) -> NodeView:
    """Return a node of a pool."""
    rows = await ctx.store.read(nodes.GET, (node_id, pool_id))
    if not rows:
        await _check_pool(ctx, pool_id)
        raise Refused("NodeNotFound")
    return (await _views(ctx, [nodes.node(rows[0])]))[0]


async def restart_node(
    ctx: Context, pool_id: str, node_id: str, action: NodeAction, option: DeallocationOption
) -> None:
    """Reboot, reimage, deallocate or start a node, its tasks dealt with as `option` says before."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> None:
        node = rules.restart(find_node(tx, pool_id, node_id), action, option, now)
        put(tx, node)
        clear(ctx, tx, node, option, now)

    await ctx.settle(decide)
    await finish_pending(ctx, node_id)


async def disable_scheduling(
    ctx: Context, pool_id: str, node_id: str, option: DeallocationOption
) -> None:
    """Close a node to new tasks; its running ones are treated as `option` says."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> None:
        node = rules.disable_scheduling(find_node(tx, pool_id, node_id))
        put(tx, _switched(ctx, node, now))
        clear(ctx, tx, node, option, now)

    await ctx.settle(decide)


async def enable_scheduling(ctx: Context, pool_id: str, node_id: str) -> None:
    """Open a node to new tasks again."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> None:
        put(tx, _switched(ctx, rules.enable_scheduling(find_node(tx, pool_id, node_id)), now))

    await ctx.settle(decide)


def _switched(ctx: Context, node: Node, now: datetime) -> Node:
    """Return a node whose scheduling state was changed: an idle one turns offline, or back."""
    view = ctx.index.nodes.get(node.serial)
    is_idle = node.state == NodeState.IDLE and (view is None or view.running_count == 0)
    return replace(node, state_at=now) if is_idle else node


# --- used by operations and loops -----------------------------------------------------------------


def find_node(tx: Tx, pool_id: str, node_id: str) -> Node:
    """Return a node within a write, or raise Refused naming what is absent."""
    node = nodes.get(tx, pool_id, node_id)
    if node is None:
        raise Refused("NodeNotFound" if pools.get(tx, pool_id) else "PoolNotFound")
    return node


def put(tx: Tx, node: Node) -> None:
    """Store a changed node and tell the index and the loops."""
    nodes.update(tx, node)
    tx.changes.append(NodePut(node))
    tx.wakes |= {POOLS, SCHEDULING}


def clear(ctx: Context, tx: Tx, node: Node, option: DeallocationOption, now: datetime) -> None:
    """Take from a node what `option` takes from it at once.

    Where tasks are to end by themselves that is nothing: what the node has not begun is recalled by
    the scheduler, and returns only if the node has truly not begun it.
    """
    if option not in (DeallocationOption.REQUEUE, DeallocationOption.TERMINATE):
        return
    for task in tasks.placed_on(tx, node.id):
        is_ended = option == DeallocationOption.TERMINATE and task.state != TaskState.ACTIVE
        runs.withdraw(ctx, tx, task, Terminated() if is_ended else Requeued(), now)


def lose(ctx: Context, tx: Tx, node: Node, now: datetime, *, is_gone: bool = True) -> None:
    """Everything the node held is lost: its tasks run again elsewhere.

    is_gone   nobody is there to be told; False: the node is to kill what it holds
    """
    for task in tasks.placed_on(tx, node.id):
        runs.withdraw(ctx, tx, task, Lost(), now, is_node_gone=is_gone)


async def finish_pending(ctx: Context, node_id: str) -> None:
    """Restart a node whose reboot or reimage waited for its tasks, when none is left."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> None:
        node = nodes.by_id(tx, node_id)
        if node is None or node.pending is None or node.state not in rules.REBOOTABLE:
            return
        if is_drained(tx, node, now):
            put(tx, rules.restarting(node, now))
            wipes = node.action == NodeAction.REIMAGE
            tx.messages.append((node.serial, RebootNode(node.boot_id, wipes)))

    await ctx.settle(decide)


def is_drained(tx: Tx, node: Node, now: datetime) -> bool:
    """Return whether nothing keeps a node with a pending reboot or removal."""
    if tasks.placed_on(tx, node.id):
        return False
    if node.pending != DeallocationOption.RETAINED_DATA:
        return True
    return not any(
        constraints.retention_time is None or task.ended_at + constraints.retention_time > now
        for task in tasks.ended_on(tx, node.id)
        if task.ended_at is not None
        for constraints in (task.definition.constraints,)
    )


async def _check_pool(ctx: Context, pool_id: str) -> None:
    if not await ctx.store.read(pools.GET, (pool_id,)):
        raise Refused("PoolNotFound")


async def _views(ctx: Context, some: Sequence[Node]) -> list[NodeView]:
    views = {node.serial: ctx.index.nodes.get(node.serial) for node in some}
    serials = [serial for view in views.values() if view is not None for serial in view.recent]
    rows: list[Row] = []
    if serials:
        marks = ",".join("?" * len(serials))
        rows = await ctx.store.read(tasks.RECENT_OF_NODE.format(marks), serials)
    recent = {row["serial"]: tasks.task(row) for row in rows}
    return [_view(ctx, node, views[node.serial], recent) for node in some]


def _view(
    ctx: Context, node: Node, view: index_views.NodeView | None, latest: Mapping[int, Task]
) -> NodeView:
    running = 0 if view is None else view.running_count
    recent: list[tuple[str, Task]] = []
    for serial in () if view is None else view.recent:
        task = latest.get(serial)
        job_view = None if task is None else ctx.index.jobs.get(task.job_serial)
        if task is not None and job_view is not None:
            recent.append((job_view.id, task))
    state = rules.shown_state(node, running)
    state_at = node.state_at
    if node.state == NodeState.IDLE and view is not None:
        if view.switched_s is not None:
            state_at = max(state_at, ctx.wall_time(view.switched_s))
        else:  # not since this process began: as exact as its last tasks tell
            state_at = max([state_at, *(task.state_at for _, task in recent)])
    slots = 0 if view is None else view.running_slots
    return NodeView(node, state, state_at, running, slots, recent)


def _value(view: NodeView, path: str) -> Any:
    """Return a node's value of a property that can be filtered."""
    node, info = view.node, view.node.start_task_info
    ended = None if info is None else info.exit
    match path:
        case "state":
            return view.state
        case "stateTransitionTime":
            return view.state_at
        case "lastBootTime":
            return node.booted_at
        case "allocationTime":
            return node.allocated_at
        case "startTaskInfo/startTime":
            return info and info.started_at
        case "startTaskInfo/state":
            return info and ("running" if info.is_running else "completed")
        case "startTaskInfo/exitCode":
            return ended and ended.exit_code
        case "startTaskInfo/endTime":
            return ended and ended.ended_at
        case _:
            return ended and ("success" if ended.failure is None else "failure")
