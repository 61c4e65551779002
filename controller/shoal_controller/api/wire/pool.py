"""Pools on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from shoal_controller.api.wire import autoscale
from shoal_controller.api.wire.carried import check_carried
from shoal_controller.api.wire.certificate import read_references, write_references
from shoal_controller.api.wire.common import (
    read_display_name,
    read_metadata,
    read_start_task,
    read_user_account,
    write_start_task,
    write_user_account,
)
from shoal_controller.api.wire.image import check_image
from shoal_controller.api.wire.statistics import expanded_url, write_pool_stats
from shoal_controller.api.wire.table import (
    Document,
    Property,
    Structure,
    is_neutral,
    list_of,
    written_pairs,
)
from shoal_controller.api.wire.task import SERVICE_FILLED, SLOTS_MAX
from shoal_controller.api.wire.values import (
    boolean,
    duration,
    filled_text,
    integer_in,
    one_of,
    text,
    timespan,
    timestamp,
)
from shoal_controller.core.errors import invalid_property, missing_property, not_built
from shoal_controller.core.ids import check_id, etag
from shoal_controller.core.pool import (
    REMOVE_NODES_MAX,
    RESIZE_TIMEOUT_DEFAULT,
    RESIZE_TIMEOUT_MIN,
    AllocationState,
    DeallocationOption,
    JobDefaultOrder,
    NodeFillType,
    PoolDefinition,
    ResizeError,
)
from shoal_controller.operations.pools import PoolView
from shoal_controller.operations.statistics import NodeStatistics

NODES_MAX: Final = 100_000
USERS_MAX: Final = 100
_FILL_TYPES: Final = {NodeFillType.SPREAD: "Spread", NodeFillType.PACK: "Pack"}


def _read_vm_size(value: Any, name: str) -> str:
    return filled_text(value, name).strip().lower()  # as the service shows it


def _read_resize_timeout(value: Any, name: str) -> timedelta:
    timeout = duration(value, name)
    if timeout is None or timeout < RESIZE_TIMEOUT_MIN:
        raise invalid_property(name, value, "It must be a duration of at least 5 minutes.")
    return timeout


_SCHEDULING: Final = Structure(
    (
        Property("nodeFillType", "fill_type", one_of(NodeFillType)),
        Property("jobDefaultOrder", "job_order", one_of(JobDefaultOrder)),
    )
)


def _read_scheduling(value: Any, name: str) -> dict[str, Any]:
    defaults = {"fill_type": NodeFillType.SPREAD, "job_order": JobDefaultOrder.NONE}
    return defaults | _SCHEDULING.read(value, name)


_check_machine: Final = check_carried("VirtualMachineConfiguration")
MACHINE_NOT_BUILT: Final = ("containerConfiguration", "extensions")


def _read_machine(value: Any, name: str) -> Document:
    machine: Document = _check_machine(value, name)
    for key in MACHINE_NOT_BUILT:
        if key in machine:
            if not is_neutral(machine[key]):
                raise not_built(key)
            del machine[key]
    if not is_neutral(machine.get("windowsConfiguration")):
        raise invalid_property("windowsConfiguration", "", "The image is a Linux image.")
    check_image(machine)
    machine["imageReference"].setdefault("version", "latest")
    luns = [disk["lun"] for disk in machine.get("dataDisks", ())]
    for disk in machine.get("dataDisks", ()):
        disk.setdefault("caching", "none")
        disk.setdefault("managedDisk", {}).setdefault("storageAccountType", "standard_lrs")
        if not 0 <= disk["lun"] <= 63 or luns.count(disk["lun"]) > 1:
            raise invalid_property(
                "lun", disk["lun"], "It must be in the range 0 to 63, different for each disk."
            )
    return machine


_check_network: Final = check_carried("NetworkConfiguration")
_NAT_POOLS_MAX: Final = 5
_RESERVED_PORTS: Final = (29876, 29877)


def _read_network(value: Any, name: str) -> Document:
    network: Document = _check_network(value, name)
    network.setdefault("dynamicVNetAssignmentScope", "none")
    network.setdefault("enableAcceleratedNetworking", False)
    pools = network.get("endpointConfiguration", {}).get("inboundNATPools", ())
    if len(pools) > _NAT_POOLS_MAX:
        raise invalid_property("inboundNATPools", len(pools), f"At most {_NAT_POOLS_MAX}.")
    for pool in pools:
        port = pool["backendPort"]
        if not 1 <= port <= 65_535 or port in _RESERVED_PORTS:
            raise invalid_property("backendPort", port, "It is reserved or no port number.")
        first, last = pool["frontendPortRangeStart"], pool["frontendPortRangeEnd"]
        if not 1 <= first <= last <= 65_534 or last - first < 39:
            raise invalid_property(
                "frontendPortRangeStart", first, "A range has at least 40 of the ports 1 to 65534."
            )
        if first <= 55_000 and last >= 50_000:
            raise invalid_property("frontendPortRangeStart", first, "50000 to 55000 are reserved.")
        for rule in pool.get("networkSecurityGroupRules", ()):
            rule.setdefault("sourcePortRanges", ["*"])
    return network


def _read_tags(value: Any, name: str) -> Document:
    if type(value) is not dict or len(value) > 50:
        raise invalid_property(name, value, "It must be an object of up to 50 names and values.")
    return {text(key, name): text(item, key) for key, item in value.items()}


_CARRIED: Final = {
    "virtualMachineConfiguration": _read_machine,
    "networkConfiguration": _read_network,
    "upgradePolicy": check_carried("UpgradePolicy"),
    "resourceTags": _read_tags,
    "targetNodeCommunicationMode": text,
}
"""Properties that are kept as documents. The last two are those of older api-versions only."""

_CARRIED_ROWS: Final = tuple(Property(name, name, read) for name, read in _CARRIED.items())
_NOT_BUILT: Final = frozenset(
    {
        *("applicationPackageReferences", "mountConfiguration"),
        *("applicationLicenses", "identity"),
    }
)
_SHAPING: Final = (
    Property("displayName", "display_name", read_display_name),
    Property("vmSize", "vm_size", _read_vm_size),
    Property("taskSlotsPerNode", "slots_per_node", integer_in(1, SLOTS_MAX)),
    Property("taskSchedulingPolicy", "scheduling", _read_scheduling),
    Property("enableInterNodeCommunication", "inter_node_communication", boolean),
    Property("userAccounts", "user_accounts", list_of(read_user_account, USERS_MAX)),
)
_CHANGING: Final = (
    Property("startTask", "start_task", read_start_task, write_start_task),
    Property("metadata", "metadata", read_metadata),
    Property("certificateReferences", "certificates", read_references, write_references),
)
_TARGETS: Final = (
    Property("targetDedicatedNodes", "dedicated", integer_in(0, NODES_MAX)),
    Property("targetLowPriorityNodes", "low_priority", integer_in(0, NODES_MAX)),
    Property("resizeTimeout", "timeout", _read_resize_timeout),
)
_CREATE: Final = Structure(
    (
        Property("id", "id", check_id, is_required=True),
        *_SHAPING,
        *_CHANGING,
        *_CARRIED_ROWS,
        *_TARGETS,
        *autoscale.OF_POOLS,
    ),
    not_built=_NOT_BUILT,
    ignored=SERVICE_FILLED,
)
_PATCH: Final = Structure(
    (*_SHAPING, *_CHANGING, *_CARRIED_ROWS), not_built=_NOT_BUILT, ignored=SERVICE_FILLED
)
_REPLACE: Final = Structure(
    (*_CHANGING, *(row for row in _CARRIED_ROWS if row.name == "targetNodeCommunicationMode")),
    not_built=_NOT_BUILT,
)
_MUST_REPLACE: Final = ("applicationPackageReferences", "metadata")


@dataclass(frozen=True, slots=True)
class NewPool:
    """A pool to create."""

    id: str
    definition: PoolDefinition
    target_dedicated: int
    target_low_priority: int
    resize_timeout: timedelta
    auto_scale: tuple[str, timedelta] | None


def read_pool(document: Document) -> NewPool:
    """Return the pool that a document asks for, or raise Refused."""
    if document.get("cloudServiceConfiguration") is not None:
        raise invalid_property(
            "cloudServiceConfiguration",
            "",
            "Cloud service pools are retired; use virtualMachineConfiguration.",
        )
    values = _CREATE.read(document, "pool")
    for attribute, name in (
        ("vm_size", "vmSize"),
        ("virtualMachineConfiguration", "virtualMachineConfiguration"),
    ):
        if attribute not in values:
            raise missing_property(name)
    values |= values.pop("scheduling", {})
    carried = {name: values.pop(name) for name in _CARRIED if name in values}
    wanted = autoscale.take_settings(values)
    return NewPool(
        values.pop("id"),
        auto_scale=wanted,
        target_dedicated=values.pop("dedicated", 0),
        target_low_priority=values.pop("low_priority", 0),
        resize_timeout=values.pop("timeout", RESIZE_TIMEOUT_DEFAULT),
        definition=PoolDefinition(**values, carried=carried),
    )


def read_patch(document: Document) -> Mapping[str, Any]:
    """Return the attributes of a pool's definition that a PATCH gives."""
    return _with_carried(_PATCH.read(document, "pool", is_partial=True))


def read_replacement(document: Document) -> Mapping[str, Any]:
    """Return what `updateproperties` sets; an omitted start task is removed."""
    for name in _MUST_REPLACE:
        if document.get(name) is None:
            raise missing_property(name)
    return _with_carried({"start_task": None, **_REPLACE.read(document, "body")})


def _with_carried(changes: dict[str, Any]) -> dict[str, Any]:
    changes |= changes.pop("scheduling", {})
    carried = {name: changes.pop(name) for name in _CARRIED if name in changes}
    return changes | {"carried": carried} if carried else changes


# --- actions --------------------------------------------------------------------------------------

_RESIZE: Final = Structure(
    (*_TARGETS, Property("nodeDeallocationOption", "option", one_of(DeallocationOption)))
)
_REMOVE: Final = Structure(
    (
        Property("nodeList", "node_ids", list_of(filled_text), is_required=True),
        Property("resizeTimeout", "timeout", _read_resize_timeout),
        Property("nodeDeallocationOption", "option", one_of(DeallocationOption)),
    )
)


def _with_defaults(values: dict[str, Any]) -> dict[str, Any]:
    return {
        "timeout": RESIZE_TIMEOUT_DEFAULT,
        "option": DeallocationOption.REQUEUE,
    } | values


def read_resize(document: Document) -> dict[str, Any]:
    """Return dedicated, low_priority (one may be None), timeout and option."""
    values = _RESIZE.read(document, "body")
    if "dedicated" not in values and "low_priority" not in values:
        raise missing_property("targetDedicatedNodes and/or targetLowPriorityNodes")
    return {"dedicated": None, "low_priority": None} | _with_defaults(values)


def read_removal(document: Document) -> dict[str, Any]:
    """Return node_ids, timeout and option."""
    values = _REMOVE.read(document, "body")
    count = len(values["node_ids"])
    if not 1 <= count <= REMOVE_NODES_MAX:
        raise invalid_property("nodeList", count, f"It must have 1 to {REMOVE_NODES_MAX} ids.")
    return _with_defaults(values)


_UPGRADE: Final = Structure(
    (Property("targetOSVersion", "version", filled_text, is_required=True),)
)


def check_upgrade(document: Document) -> None:
    """Raise Refused unless a document names the version of a guest OS."""
    _UPGRADE.read(document, "body")


# --- out ------------------------------------------------------------------------------------------


def write_pool(view: PoolView, base: str, stats: NodeStatistics | None = None) -> Document:
    """Return a pool as users see it, with what only older api-versions show."""
    pool = view.pool
    definition = pool.definition
    document: Document = {"id": pool.id}
    if definition.display_name is not None:
        document["displayName"] = definition.display_name
    document |= {
        "url": f"{base}/pools/{pool.id}",
        "eTag": etag(pool.modified_at),
        "lastModified": timestamp(pool.modified_at),
        "creationTime": timestamp(pool.created_at),
        "state": pool.state,
        "stateTransitionTime": timestamp(pool.state_at),
        "allocationState": pool.allocation_state,
        "allocationStateTransitionTime": timestamp(pool.allocation_state_at),
        "vmSize": definition.vm_size,
        "resizeTimeout": timespan(pool.resize_timeout),
    }
    if pool.resize_errors and pool.allocation_state == AllocationState.STEADY:
        document["resizeErrors"] = [_write_resize_error(error) for error in pool.resize_errors]
    document |= {
        "currentDedicatedNodes": view.current_dedicated,
        "targetDedicatedNodes": pool.target_dedicated,
        "currentLowPriorityNodes": view.current_low_priority,
        "targetLowPriorityNodes": pool.target_low_priority,
        "enableAutoScale": pool.auto_scale is not None,
    }
    if pool.auto_scale is not None:
        document |= autoscale.write_settings(pool.auto_scale)
    document |= {
        "enableInterNodeCommunication": definition.inter_node_communication,
        "certificateReferences": write_references(definition.certificates),
        "taskSlotsPerNode": definition.slots_per_node,
        "taskSchedulingPolicy": _write_scheduling(definition),
    }
    if definition.start_task is not None:
        document["startTask"] = write_start_task(definition.start_task)
    if definition.user_accounts:
        document["userAccounts"] = [write_user_account(user) for user in definition.user_accounts]
    if definition.metadata:
        document["metadata"] = written_pairs(definition.metadata)
    if stats is not None:
        document["stats"] = write_pool_stats(stats, expanded_url(document["url"]))
    return {**document, **definition.carried}


def _write_scheduling(definition: PoolDefinition) -> Document:
    policy: Document = {"nodeFillType": _FILL_TYPES[definition.fill_type]}
    if definition.job_order != JobDefaultOrder.NONE:
        policy["jobDefaultOrder"] = definition.job_order
    return policy


def _write_resize_error(error: ResizeError) -> Document:
    document: Document = {"code": error.code, "message": error.message}
    return document | {"values": written_pairs(error.values)} if error.values else document
