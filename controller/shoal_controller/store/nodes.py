"""Nodes in rows."""

from __future__ import annotations

from typing import Any, Final

from shoal_controller.core.node import Node, NodeAction, NodeState, SchedulingState, StartTaskInfo
from shoal_controller.core.pool import DeallocationOption
from shoal_controller.store.database import Tx
from shoal_controller.store.table import (
    choice,
    choice_or_none,
    moment,
    moment_or_none,
    nested,
    plain,
    table,
    truth,
)
from shoal_protocol.specs import FailureInfo, StartTaskSpec

GET: Final = "SELECT * FROM nodes WHERE id = ? AND pool_id = ?"
BY_ID: Final = "SELECT * FROM nodes WHERE id = ?"
BY_SERIAL: Final = "SELECT * FROM nodes WHERE serial = ?"
BY_KEY: Final = "SELECT * FROM nodes WHERE key_hash = ?"
ALL: Final = "SELECT * FROM nodes ORDER BY serial"
OF_POOL: Final = "SELECT * FROM nodes WHERE pool_id = ? ORDER BY serial"
STATES_OF_POOL: Final = (
    "SELECT serial, state, scheduling_state, is_dedicated FROM nodes WHERE pool_id = ?"
)
OF_POOL_AFTER: Final = (
    "SELECT * FROM nodes WHERE pool_id = ? AND serial > ? ORDER BY serial LIMIT ?"
)
COUNT_TASKS: Final = (
    "UPDATE nodes SET total_tasks_run = total_tasks_run + ?,"
    " total_tasks_succeeded = total_tasks_succeeded + ? WHERE serial = ?"
)
_IS_OPEN: Final = (
    "SELECT 1 FROM nodes WHERE serial = ? AND state = 'idle' AND scheduling_state = 'enabled'"
    " AND pending IS NULL"
)
_TABLE: Final = table(
    "nodes",
    Node,
    *plain("id", "pool_id", "slots", "vm_size", "boot_id", "ip_address", "agent_version"),
    *plain("join_token_hash", "key_hash", "total_tasks_run", "total_tasks_succeeded"),
    *(choice("state", NodeState), moment("state_at"), moment("allocated_at")),
    choice("scheduling_state", SchedulingState),
    truth("is_dedicated"),
    *(moment_or_none("booted_at"), moment_or_none("agent_updated_at")),
    nested("provider_state", dict[str, Any]),
    *(choice_or_none("pending", DeallocationOption), choice("action", NodeAction)),
    nested("start_task", StartTaskSpec | None),
    nested("start_task_info", StartTaskInfo | None),
    nested("errors", tuple[FailureInfo, ...]),
)
node = _TABLE.record
by_serial = _TABLE.by_serial
insert = _TABLE.insert
update = _TABLE.update
delete = _TABLE.delete


def get(tx: Tx, pool_id: str, node_id: str) -> Node | None:
    """Return the node of that id in that pool, or None."""
    return _TABLE.one(tx, GET, (node_id, pool_id))


def by_id(tx: Tx, node_id: str) -> Node | None:
    """Return the node of that id, whatever its pool, or None."""
    return _TABLE.one(tx, BY_ID, (node_id,))


def is_open(tx: Tx, serial: int) -> bool:
    """Return whether new tasks may be placed on a node, without reading all of it."""
    return tx.row(_IS_OPEN, (serial,)) is not None


def of_pool(tx: Tx, pool_id: str) -> list[Node]:
    return _TABLE.all(tx, OF_POOL, (pool_id,))


def count_tasks(tx: Tx, serial: int, run: int, succeeded: int) -> None:
    """Add to what the node has run in its life."""
    tx.execute(COUNT_TASKS, (run, succeeded, serial))
