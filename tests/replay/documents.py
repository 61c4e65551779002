"""What must have been asked for, told from what was shown: the inverse of an answer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from shoal_controller.api.wire.models import STRUCTURES
from shoal_controller.api.wire.values import INFINITE
from tests.replay.recorded import Document, Recorded, load

_KEPT_A_WEEK_SINCE: Final = "2018-12-01.8.0"

_DEFAULTS: Final = {
    "maxWallClockTime": INFINITE,
    "maxTaskRetryCount": 0,
    "priority": 0,
    "usesTaskDependencies": False,
    "onAllTasksComplete": "noaction",
    "onTaskFailure": "noaction",
    "resizeTimeout": "PT15M",
    "enableAutoScale": False,
    "enableInterNodeCommunication": False,
    "maxTasksPerNode": 1,
    "taskSlotsPerNode": 1,
    "requiredSlots": 1,
    "taskSchedulingPolicy": {"nodeFillType": "Spread"},
    "version": "latest",
    "caching": "none",
    "userIdentity": {"autoUser": {"elevationLevel": "nonadmin"}},
    "runElevated": False,
    "maxParallelTasks": -1,
    "allowTaskPreemption": False,
    "dynamicVNetAssignmentScope": "none",
}
"""What the service fills in: left out, so that Shoal has to."""

_SECRETS: Final = {"UserAccount": {"password": "REDACTED"}, "ContainerRegistry": {"password": "x"}}
"""What is required and never shown."""


def request_for(structure: str, shown: Document, version: str) -> Document:
    """Return the least of a structure that makes what was shown, in the words of a version."""
    told = _inverse(structure, shown, version)
    for asked in _asked(structure, version):
        if _is_shown(asked, shown):  # what was changed since then it does not say
            return {key: value for key, value in told.items() if key not in _FILLED_IN} | asked
    return told


_FILLED_IN: Final = ("userIdentity", "networkConfiguration", "runElevated")
"""What the service shows even where nothing was asked for."""


def _asked(structure: str, version: str) -> Iterator[Document]:
    """Yield the recorded requests that created something of a kind in a version."""
    for recorded in creations():
        if recorded.version == version and recorded.name in _CREATING[structure]:
            if "value" in recorded.asked:
                yield from recorded.asked["value"]
            else:
                yield recorded.asked


_CREATING: Final = {
    "BatchPoolCreateOptions": ("create_pool",),
    "BatchJobCreateOptions": ("create_job",),
    "BatchJobScheduleCreateOptions": ("create_job_schedule",),
    "BatchTaskCreateOptions": ("create_task", "create_task_collection"),
}


@lru_cache
def creations() -> list[Recorded]:
    """Return the interactions that created something."""
    return [recorded for recorded in load() if recorded.name.startswith("create_")]


def _is_shown(asked: Any, shown: Any, name: str = "") -> bool:
    """Return whether all that was asked for is in what was shown; secrets are not."""
    if type(asked) is dict:
        return type(shown) is dict and all(
            key in ("password", "sshPrivateKey") or _is_shown(value, shown.get(key), key)
            for key, value in asked.items()
            if value is not None
        )
    if type(asked) is list:
        return (
            type(shown) is list
            and len(asked) == len(shown)
            and all(_is_shown(*pair) for pair in zip(asked, shown, strict=True))
        )
    if type(asked) is str and type(shown) is str:
        return asked.lower() == shown.lower()
    return asked == shown


def _inverse(structure: str, shown: Document, version: str) -> Document:
    asked: Document = dict(_SECRETS.get(structure, {}))
    for name, value in shown.items():
        member = STRUCTURES[structure].get(name)
        if member is None or not member.is_in(version) or _is_default(name, value, version):
            continue
        inner = member.structure
        if inner in STRUCTURES and type(value) is list:
            asked[name] = [_inverse(inner, item, version) for item in value]
        elif inner in STRUCTURES and type(value) is dict:
            inside = _inverse(inner, value, version)
            if inside:
                asked[name] = inside
        else:
            asked[name] = value
    return asked


def _is_default(name: str, value: Any, version: str) -> bool:
    if name == "retentionTime":
        return value == ("P7D" if version >= _KEPT_A_WEEK_SINCE else INFINITE)
    return name in _DEFAULTS and value == _DEFAULTS[name]
