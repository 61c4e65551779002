"""Pools in rows."""

from __future__ import annotations

from typing import Final

from shoal_controller.core.autoscale.settings import AutoScale
from shoal_controller.core.pool import (
    AllocationState,
    DeallocationOption,
    Pool,
    PoolDefinition,
    PoolState,
    ResizeError,
)
from shoal_controller.store.database import Tx
from shoal_controller.store.table import (
    choice,
    derived,
    duration,
    moment,
    moment_or_none,
    nested,
    nested_or_none,
    plain,
    table,
)

GET: Final = "SELECT * FROM pools WHERE id = ?"
ALL: Final = "SELECT * FROM pools ORDER BY serial"
COUNT: Final = "SELECT count(*) FROM pools"
_TABLE: Final = table(
    "pools",
    Pool,
    *plain("id", "target_dedicated", "target_low_priority"),
    nested("definition", PoolDefinition),
    derived("vm_size", lambda pool: pool.definition.vm_size),
    derived("inter_node_communication", lambda pool: int(pool.definition.inter_node_communication)),
    *(moment("created_at"), moment("modified_at")),
    *(choice("state", PoolState), moment("state_at")),
    *(choice("allocation_state", AllocationState), moment("allocation_state_at")),
    *(duration("resize_timeout"), moment_or_none("resize_started_at")),
    choice("deallocation_option", DeallocationOption),
    nested("resize_errors", tuple[ResizeError, ...]),
    *(nested_or_none("auto_scale", AutoScale), moment_or_none("auto_scale_enabled_at")),
)
pool = _TABLE.record
by_serial = _TABLE.by_serial
insert = _TABLE.insert
update = _TABLE.update
delete = _TABLE.delete


def get(tx: Tx, pool_id: str) -> Pool | None:
    """Return the pool of that id, whatever its case, or None."""
    return _TABLE.one(tx, GET, (pool_id,))
