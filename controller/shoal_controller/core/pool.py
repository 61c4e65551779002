"""A pool: what the user asked for, where it stands, and the rules for changing its size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from shoal_controller.core.autoscale.settings import (
    ENABLE_PAUSE,
    INTERVAL_DEFAULT,
    AutoScale,
    not_evaluated,
)
from shoal_controller.core.certificate import CertificateReference
from shoal_controller.core.errors import Refused
from shoal_protocol.specs import StartTaskSpec, UserAccount

RESIZE_TIMEOUT_DEFAULT: Final = timedelta(minutes=15)
RESIZE_TIMEOUT_MIN: Final = timedelta(minutes=5)
REMOVE_NODES_MAX: Final = 100


class PoolState(StrEnum):
    """The Batch service's pool states."""

    ACTIVE = "active"
    DELETING = "deleting"


class AllocationState(StrEnum):
    """Whether a pool's size is being changed."""

    STEADY = "steady"
    RESIZING = "resizing"
    STOPPING = "stopping"


class NodeFillType(StrEnum):
    """How tasks are spread over the nodes of a pool."""

    SPREAD = "spread"
    PACK = "pack"


class JobDefaultOrder(StrEnum):
    """Which of a pool's jobs of equal priority goes first."""

    NONE = "none"  # they take turns
    CREATION_TIME = "creationtime"  # the older one


class DeallocationOption(StrEnum):
    """What becomes of the tasks on a node that leaves its pool, or restarts."""

    REQUEUE = "requeue"
    TERMINATE = "terminate"
    TASK_COMPLETION = "taskcompletion"
    RETAINED_DATA = "retaineddata"


@dataclass(frozen=True, slots=True)
class ResizeError:
    """Why a pool did not reach its size (reference: semantics 2.8)."""

    code: str
    message: str
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PoolDefinition:
    """What a user asked for when creating a pool.

    carried  documents that Shoal keeps, validates and returns but does not act upon, in wire form:
             virtualMachineConfiguration, networkConfiguration, resourceTags...
    """

    vm_size: str
    display_name: str | None = None
    slots_per_node: int = 1
    fill_type: NodeFillType = NodeFillType.SPREAD
    job_order: JobDefaultOrder = JobDefaultOrder.NONE
    inter_node_communication: bool = False
    start_task: StartTaskSpec | None = None
    user_accounts: tuple[UserAccount, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    certificates: tuple[CertificateReference, ...] = ()
    carried: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool as stored.

    serial             its number in the account, never used again
    resize_started_at  when the current, or last, change of size began
    auto_scale         None: its size is set by hand
    auto_scale_enabled_at  by the last call that did, creation aside
    """

    serial: int
    id: str
    definition: PoolDefinition
    created_at: datetime
    modified_at: datetime
    state: PoolState
    state_at: datetime
    allocation_state: AllocationState
    allocation_state_at: datetime
    target_dedicated: int = 0
    target_low_priority: int = 0
    resize_timeout: timedelta = RESIZE_TIMEOUT_DEFAULT
    resize_started_at: datetime | None = None
    deallocation_option: DeallocationOption = DeallocationOption.REQUEUE
    resize_errors: tuple[ResizeError, ...] = ()
    auto_scale: AutoScale | None = None
    auto_scale_enabled_at: datetime | None = None


def check_active(pool: Pool) -> None:
    """Raise Refused unless the pool may be changed."""
    if pool.state == PoolState.DELETING:
        raise Refused("PoolBeingDeleted")


def resize(
    pool: Pool,
    now: datetime,
    *,
    dedicated: int | None,
    low_priority: int | None,
    timeout: timedelta,
    option: DeallocationOption,
) -> Pool:
    """Return `pool` with new targets and `resizing`; an omitted target keeps its value.

    Raise Refused when the pool is being deleted or resized, or scales by a formula.
    """
    check_active(pool)
    if pool.auto_scale is not None:
        raise Refused(
            "OperationInvalidForCurrentState",
            Reason=f"Pool '{pool.id}' scales by a formula; disable autoscale first.",
        )
    if pool.allocation_state != AllocationState.STEADY:
        raise Refused("PoolBeingResized")
    return replace(
        pool,
        target_dedicated=pool.target_dedicated if dedicated is None else dedicated,
        target_low_priority=pool.target_low_priority if low_priority is None else low_priority,
        resize_timeout=timeout,
        deallocation_option=option,
        resize_started_at=now,
        resize_errors=(),
        allocation_state=AllocationState.RESIZING,
        allocation_state_at=now,
        modified_at=now,
    )


def stop_resize(pool: Pool, now: datetime) -> Pool:
    """Return `pool` as `stopping`; raise Refused unless it is resizing.

    The version tag stays: the service was recorded to answer with that of the resize.
    """
    check_active(pool)
    if pool.allocation_state != AllocationState.RESIZING:
        raise Refused(
            "OperationInvalidForCurrentState",
            Reason=f"Pool '{pool.id}' is {pool.allocation_state}: there is no resize to stop.",
        )
    return replace(pool, allocation_state=AllocationState.STOPPING, allocation_state_at=now)


def enable_auto_scale(
    pool: Pool, now: datetime, formula: str | None, interval: timedelta | None
) -> Pool:
    """Return `pool` scaling by a formula; an omitted formula or interval keeps its value.

    Raise Refused when the pool is being deleted or resized, when it was enabled a moment ago, or
    when there is no formula to keep.
    """
    check_active(pool)
    before, enabled_at = pool.auto_scale, pool.auto_scale_enabled_at
    if enabled_at is not None and now - enabled_at < ENABLE_PAUSE:
        raise Refused(
            "TooManyEnableAutoScaleRequests",
            Reason=f"Autoscale can be enabled once in {ENABLE_PAUSE.seconds} seconds.",
        )
    if pool.allocation_state != AllocationState.STEADY:
        raise Refused("PoolBeingResized")
    if formula is None and before is None:
        raise Refused("InvalidAutoScalingSettings", Reason="autoScaleFormula is missing.")
    settings = AutoScale(
        formula or (before.formula if before else ""),
        interval or (before.interval if before else INTERVAL_DEFAULT),
        not_evaluated(now, pool.target_dedicated, pool.target_low_priority),
    )
    return replace(pool, auto_scale=settings, auto_scale_enabled_at=now, modified_at=now)


def disable_auto_scale(pool: Pool, now: datetime) -> Pool:
    """Return `pool` with the size it has, set by hand; the same pool when that is so already."""
    check_active(pool)
    return pool if pool.auto_scale is None else replace(pool, auto_scale=None, modified_at=now)


def settled(pool: Pool, now: datetime, errors: tuple[ResizeError, ...]) -> Pool:
    """Return `pool` as `steady` at whatever size it has; `errors` say why it is not the target."""
    return replace(
        pool,
        allocation_state=AllocationState.STEADY,
        allocation_state_at=now,
        resize_errors=errors,
    )


def delete(pool: Pool, now: datetime) -> Pool:
    """Return `pool` as `deleting`, on its way to no nodes; raise Refused if it already is."""
    check_active(pool)
    return replace(
        pool,
        state=PoolState.DELETING,
        state_at=now,
        modified_at=now,
        target_dedicated=0,
        target_low_priority=0,
        deallocation_option=DeallocationOption.REQUEUE,
        allocation_state=AllocationState.RESIZING,
        allocation_state_at=now,
        resize_errors=(),
        resize_started_at=now,
    )
