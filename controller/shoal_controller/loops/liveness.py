"""Notices nodes that fell silent: first they are `unknown`, later their tasks run elsewhere."""

from __future__ import annotations

from typing import Final

from shoal_controller.core.node import NodeState, is_being_started, moved
from shoal_controller.core.views import NodeView
from shoal_controller.loops.driver import Loop
from shoal_controller.operations import nodes as node_operations
from shoal_controller.operations.context import Context
from shoal_controller.store import nodes
from shoal_controller.store.database import Tx

UNKNOWN_AFTER_S: Final = 60.0
LOST_AFTER_S: Final = 300.0
_WATCHED: Final = (
    NodeState.STARTING,
    NodeState.WAITING_FOR_START_TASK,
    NodeState.IDLE,
    NodeState.REBOOTING,
    NodeState.REIMAGING,
)


async def watch(ctx: Context) -> bool:
    """One round over all nodes."""
    now_s = ctx.clock.monotonic()
    for view in list(ctx.index.nodes.values()):
        silent_s = now_s - view.heard_s
        if silent_s > LOST_AFTER_S and view.state == NodeState.UNKNOWN:
            await _give_up(ctx, view)
        elif silent_s > UNKNOWN_AFTER_S and view.state in _WATCHED and not view.is_connected:
            await _move(ctx, view, NodeState.UNKNOWN)
    return False


async def _move(ctx: Context, view: NodeView, state: NodeState) -> None:
    now = ctx.clock.now()

    def decide(tx: Tx) -> None:
        node = nodes.by_serial(tx, view.serial)
        if node is not None and node.state in _WATCHED and not is_being_started(node):
            node_operations.put(tx, moved(node, state, now))

    await ctx.settle(decide)


async def _give_up(ctx: Context, view: NodeView) -> None:
    now = ctx.clock.now()

    def decide(tx: Tx) -> None:
        node = nodes.by_serial(tx, view.serial)
        if node is not None and node.state == NodeState.UNKNOWN:
            node_operations.put(tx, moved(node, NodeState.UNUSABLE, now))
            node_operations.lose(ctx, tx, node, now)

    await ctx.settle(decide)


LOOP: Final = Loop("liveness", 5.0, watch)
