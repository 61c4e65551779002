"""Pools in rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from shoal_controller.core.autoscale.settings import AutoScale
from shoal_controller.core.pool import (
    AllocationState,
    DeallocationOption,
    Pool,
    PoolDefinition,
    PoolState,
    ResizeError,
)
from shoal_controller.store.columns import (
    decoder,
    encode,
    span,
    ticks,
    ticks_or_none,
    time,
    time_or_none,
)
from shoal_controller.store.database import Row, Tx

GET: Final = "SELECT * FROM pools WHERE id = ?"
BY_SERIAL: Final = "SELECT * FROM pools WHERE serial = ?"
ALL: Final = "SELECT * FROM pools ORDER BY serial"
COUNT: Final = "SELECT count(*) FROM pools"
DELETE: Final = "DELETE FROM pools WHERE serial = ?"
_COLUMNS: Final = (
    "id, definition, vm_size, inter_node_communication, created_at, modified_at, state, state_at,"
    " allocation_state, allocation_state_at, target_dedicated, target_low_priority,"
    " resize_timeout, resize_started_at, deallocation_option, resize_errors, auto_scale,"
    " auto_scale_enabled_at"
)
_INSERT: Final = f"INSERT INTO pools ({_COLUMNS}) VALUES ({', '.join('?' * 18)})"
_UPDATE: Final = f"UPDATE pools SET ({_COLUMNS}) = ({', '.join('?' * 18)}) WHERE serial = ?"

_definition = decoder(PoolDefinition)
_errors = decoder(tuple[ResizeError, ...])
_auto_scale = decoder(AutoScale)


def pool(row: Row) -> Pool:
    """Return the pool of a row."""
    return Pool(
        serial=row["serial"],
        id=row["id"],
        definition=_definition(row["definition"]),
        created_at=time(row["created_at"]),
        modified_at=time(row["modified_at"]),
        state=PoolState(row["state"]),
        state_at=time(row["state_at"]),
        allocation_state=AllocationState(row["allocation_state"]),
        allocation_state_at=time(row["allocation_state_at"]),
        target_dedicated=row["target_dedicated"],
        target_low_priority=row["target_low_priority"],
        resize_timeout=timedelta(microseconds=row["resize_timeout"]),
        resize_started_at=time_or_none(row["resize_started_at"]),
        deallocation_option=DeallocationOption(row["deallocation_option"]),
        resize_errors=_errors(row["resize_errors"]),
        auto_scale=None if row["auto_scale"] is None else _auto_scale(row["auto_scale"]),
        auto_scale_enabled_at=time_or_none(row["auto_scale_enabled_at"]),
    )


def get(tx: Tx, pool_id: str) -> Pool | None:
    """Return the pool of that id, whatever its case, or None."""
    row = tx.row(GET, (pool_id,))
    return None if row is None else pool(row)


def by_serial(tx: Tx, serial: int) -> Pool | None:
    row = tx.row(BY_SERIAL, (serial,))
    return None if row is None else pool(row)


def insert(tx: Tx, new: Pool) -> int:
    """Store a new pool and return its serial."""
    return tx.execute(_INSERT, _values(new)).lastrowid or 0


def update(tx: Tx, changed: Pool) -> None:
    tx.execute(_UPDATE, (*_values(changed), changed.serial))


def delete(tx: Tx, serial: int) -> None:
    tx.execute(DELETE, (serial,))


def _values(pool: Pool) -> tuple[Any, ...]:
    return (
        pool.id,
        encode(pool.definition),
        pool.definition.vm_size,
        int(pool.definition.inter_node_communication),
        ticks(pool.created_at),
        ticks(pool.modified_at),
        pool.state,
        ticks(pool.state_at),
        pool.allocation_state,
        ticks(pool.allocation_state_at),
        pool.target_dedicated,
        pool.target_low_priority,
        span(pool.resize_timeout),
        ticks_or_none(pool.resize_started_at),
        pool.deallocation_option,
        encode(pool.resize_errors),
        None if pool.auto_scale is None else encode(pool.auto_scale),
        ticks_or_none(pool.auto_scale_enabled_at),
    )
