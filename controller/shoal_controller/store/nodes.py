"""Nodes in rows."""

from __future__ import annotations

from typing import Any, Final

from shoal_controller.core.node import Node, NodeAction, NodeState, SchedulingState, StartTaskInfo
from shoal_controller.core.pool import DeallocationOption
from shoal_controller.store.columns import (
    decoder,
    encode,
    ticks,
    ticks_or_none,
    time,
    time_or_none,
)
from shoal_controller.store.database import Row, Tx
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
DELETE: Final = "DELETE FROM nodes WHERE serial = ?"
COUNT_TASKS: Final = (
    "UPDATE nodes SET total_tasks_run = total_tasks_run + ?,"
    " total_tasks_succeeded = total_tasks_succeeded + ? WHERE serial = ?"
)
_IS_OPEN: Final = (
    "SELECT 1 FROM nodes WHERE serial = ? AND state = 'idle' AND scheduling_state = 'enabled'"
    " AND pending IS NULL"
)
_COLUMNS: Final = (
    "id, pool_id, state, state_at, allocated_at, slots, vm_size, is_dedicated, scheduling_state,"
    " boot_id, booted_at, ip_address, agent_version, agent_updated_at, join_token_hash, key_hash,"
    " provider_state, pending, start_task, start_task_info, errors, total_tasks_run,"
    " total_tasks_succeeded, action"
)
_INSERT: Final = f"INSERT INTO nodes ({_COLUMNS}) VALUES ({', '.join('?' * 24)})"
_UPDATE: Final = f"UPDATE nodes SET ({_COLUMNS}) = ({', '.join('?' * 24)}) WHERE serial = ?"

_start_task = decoder(StartTaskSpec | None)
_start_task_info = decoder(StartTaskInfo | None)
_errors = decoder(tuple[FailureInfo, ...])
_json = decoder(dict[str, Any])


def node(row: Row) -> Node:
    """Return the node of a row."""
    pending = row["pending"]
    return Node(
        serial=row["serial"],
        id=row["id"],
        pool_id=row["pool_id"],
        state=NodeState(row["state"]),
        state_at=time(row["state_at"]),
        allocated_at=time(row["allocated_at"]),
        slots=row["slots"],
        vm_size=row["vm_size"],
        is_dedicated=bool(row["is_dedicated"]),
        scheduling_state=SchedulingState(row["scheduling_state"]),
        boot_id=row["boot_id"],
        booted_at=time_or_none(row["booted_at"]),
        ip_address=row["ip_address"],
        agent_version=row["agent_version"],
        agent_updated_at=time_or_none(row["agent_updated_at"]),
        join_token_hash=row["join_token_hash"],
        key_hash=row["key_hash"],
        provider_state=_json(row["provider_state"]),
        pending=None if pending is None else DeallocationOption(pending),
        start_task=_start_task(row["start_task"]),
        start_task_info=_start_task_info(row["start_task_info"]),
        errors=_errors(row["errors"]),
        total_tasks_run=row["total_tasks_run"],
        total_tasks_succeeded=row["total_tasks_succeeded"],
        action=NodeAction(row["action"]),
    )


def get(tx: Tx, pool_id: str, node_id: str) -> Node | None:
    row = tx.row(GET, (node_id, pool_id))
    return None if row is None else node(row)


def by_id(tx: Tx, node_id: str) -> Node | None:
    row = tx.row(BY_ID, (node_id,))
    return None if row is None else node(row)


def by_serial(tx: Tx, serial: int) -> Node | None:
    row = tx.row(BY_SERIAL, (serial,))
    return None if row is None else node(row)


def is_open(tx: Tx, serial: int) -> bool:
    """Return whether new tasks may be placed on a node, without reading all of it."""
    return tx.row(_IS_OPEN, (serial,)) is not None


def of_pool(tx: Tx, pool_id: str) -> list[Node]:
    return [node(row) for row in tx.rows(OF_POOL, (pool_id,))]


def insert(tx: Tx, new: Node) -> int:
    """Store a new node and return its serial."""
    return tx.execute(_INSERT, _values(new)).lastrowid or 0


def update(tx: Tx, changed: Node) -> None:
    tx.execute(_UPDATE, (*_values(changed), changed.serial))


def count_tasks(tx: Tx, serial: int, run: int, succeeded: int) -> None:
    """Add to what the node has run in its life."""
    tx.execute(COUNT_TASKS, (run, succeeded, serial))


def delete(tx: Tx, serial: int) -> None:
    tx.execute(DELETE, (serial,))


def _values(node: Node) -> tuple[Any, ...]:
    return (
        node.id,
        node.pool_id,
        node.state,
        ticks(node.state_at),
        ticks(node.allocated_at),
        node.slots,
        node.vm_size,
        int(node.is_dedicated),
        node.scheduling_state,
        node.boot_id,
        ticks_or_none(node.booted_at),
        node.ip_address,
        node.agent_version,
        ticks_or_none(node.agent_updated_at),
        node.join_token_hash,
        node.key_hash,
        encode(node.provider_state),
        node.pending,
        encode(node.start_task),
        encode(node.start_task_info),
        encode(node.errors),
        node.total_tasks_run,
        node.total_tasks_succeeded,
        node.action,
    )
