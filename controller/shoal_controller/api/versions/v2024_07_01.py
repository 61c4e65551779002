"""2024-07-01.20.0, beside 2025-06-01. Source: versions.md 3 and 8."""

from __future__ import annotations

from shoal_controller.api.versions.step import Document, Step

_POOL = frozenset({"certificateReferences", "resourceTags", "targetNodeCommunicationMode"})


def _up(document: Document) -> Document:
    """Data disks had their storage type outside of `managedDisk`."""
    machine = document.get("virtualMachineConfiguration")
    if type(machine) is not dict or type(machine.get("dataDisks")) is not list:
        return document
    disks = [_disk_up(disk) if type(disk) is dict else disk for disk in machine["dataDisks"]]
    return document | {"virtualMachineConfiguration": machine | {"dataDisks": disks}}


def _disk_up(disk: Document) -> Document:
    if disk.get("storageAccountType") is None:
        return disk
    kept = {name: value for name, value in disk.items() if name != "storageAccountType"}
    return kept | {"managedDisk": {"storageAccountType": disk["storageAccountType"]}}


def _down(document: Document) -> Document:
    machine = document.get("virtualMachineConfiguration")
    if machine is None or "dataDisks" not in machine:
        return document
    disks = [_disk_down(disk) for disk in machine["dataDisks"]]
    return document | {"virtualMachineConfiguration": machine | {"dataDisks": disks}}


def _disk_down(disk: Document) -> Document:
    kept = {name: value for name, value in disk.items() if name != "managedDisk"}
    storage = disk.get("managedDisk", {}).get("storageAccountType")
    return kept if storage is None else kept | {"storageAccountType": storage}


STEP = Step(
    "2024-07-01.20.0",
    only_here={
        "pool_create": _POOL,
        "pool_patch": _POOL,
        "pool_replace": frozenset({"certificateReferences", "targetNodeCommunicationMode"}),
        "pool": _POOL | {"currentNodeCommunicationMode"},
        "node": frozenset({"certificateReferences"}),
        "task_create": frozenset({"authenticationTokenSettings"}),
        "task": frozenset({"authenticationTokenSettings"}),
    },
    up={"pool_create": _up, "pool_patch": _up},
    down={"pool": _down},
)
