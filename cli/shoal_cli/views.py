"""Which facts of each resource people and scripts see, and in which order. Pure.

A column's place in its list is a promise to scripts that read tsv: new ones go to the end of the
list, and only what fits is shown in a table (`wide` columns are left to `show`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One fact of a resource.

    get    returns its value from the API's JSON: text, number, or None
    kind   how people see it: text, long (one line, cut), id, node, state, outcome, time, size,
           duration, number
    wide   not in the table of a list
    """

    title: str
    get: Callable[[Json], Any]
    kind: str = "text"
    wide: bool = False


def at(*names: str) -> Callable[[Json], Any]:
    """Return a getter that follows property names and gives None where the way ends."""

    def get(resource: Json) -> Any:
        value: Any = resource
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    return get


def _errors(name: str) -> Callable[[Json], Any]:
    def get(resource: Json) -> str | None:
        found = resource.get(name)
        if not isinstance(found, list) or not found:
            return None
        return "; ".join(f"{e.get('code')}: {e.get('message')}" for e in found)

    return get


def _failure(*names: str) -> Callable[[Json], Any]:
    def get(resource: Json) -> str | None:
        info = at(*names)(resource)
        if not isinstance(info, dict):
            return None
        details = [f"{d.get('name')}: {d.get('value')}" for d in info.get("details") or []]
        return "; ".join([f"{info.get('code')}: {info.get('message')}", *details])

    return get


def _image(pool: Json) -> str | None:
    return image_name(at("virtualMachineConfiguration", "imageReference")(pool))


def image_name(reference: Any) -> str | None:
    """Return an image's parts joined as `shoal pool create --image` takes them."""
    if not isinstance(reference, dict):
        return None
    if "publisher" not in reference:
        return reference.get("virtualMachineImageId")
    names = ("publisher", "offer", "sku")
    return ":".join(str(reference.get(name, "")) for name in names)


def outcome(task: Json) -> str | None:
    """Return in one word or number how a task ended: `0`, `3`, `-9`, a failure code, or None."""
    info = task.get("executionInfo") or {}
    if "exitCode" in info and task.get("state") == "completed":
        return str(info["exitCode"])
    failure = info.get("failureInfo") or {}
    return failure.get("code") if task.get("state") == "completed" else None


def _pairs(name: str) -> Callable[[Json], Any]:
    def get(resource: Json) -> str | None:
        found = resource.get(name) or []
        return ", ".join(f"{p.get('name')}={p.get('value')}" for p in found) or None

    return get


def _size(file: Json) -> int | None:
    length = at("properties", "contentLength")(file)
    return int(length) if isinstance(length, str) and length.isdigit() else None


def _file_name(file: Json) -> str:
    return str(file.get("name", "")) + ("/" if file.get("isDirectory") else "")


def _mode(file: Json) -> str | None:
    mode = at("properties", "fileMode")(file)
    return mode.removeprefix("0o")[-4:] if isinstance(mode, str) else None


def package_state(package: Json) -> str:
    """Return a package's version, with its state unless it is the usual one."""
    state = str(at("properties", "state")(package)).lower()
    return f"{package.get('name')}" + ("" if state == "active" else f" ({state})")


def application_columns(versions: Mapping[str, Sequence[str]]) -> Sequence[Column]:
    """Return the columns of applications. `versions`: what to tell of each one's packages."""
    return (
        Column("id", at("name"), "id"),
        Column("default", at("properties", "defaultVersion")),
        Column("versions", lambda found: ", ".join(versions.get(str(found.get("name")), ()))),
        Column("updates", at("properties", "allowUpdates")),
        Column("name", at("properties", "displayName")),
    )


POOL: Final[Sequence[Column]] = (
    Column("id", at("id"), "id"),
    Column("state", at("state"), "state"),
    Column("allocation", at("allocationState"), "state"),
    Column("nodes", at("currentDedicatedNodes"), "number"),
    Column("target", at("targetDedicatedNodes"), "number"),
    Column("low priority", at("currentLowPriorityNodes"), "number", wide=True),
    Column("low target", at("targetLowPriorityNodes"), "number", wide=True),
    Column("slots", at("taskSlotsPerNode"), "number"),
    Column("size", at("vmSize"), wide=True),
    Column("image", _image, wide=True),
    Column("created", at("creationTime"), "time"),
    Column("fill", at("taskSchedulingPolicy", "nodeFillType"), wide=True),
    Column("start task", at("startTask", "commandLine"), wide=True),
    Column("metadata", _pairs("metadata"), wide=True),
    Column("name", at("displayName"), wide=True),
    Column("errors", _errors("resizeErrors"), "long"),
)
NODE: Final[Sequence[Column]] = (
    Column("id", at("id"), "node"),
    Column("state", at("state"), "state"),
    Column("scheduling", at("schedulingState"), "state"),
    Column("running", at("runningTasksCount"), "number"),
    Column("ran", at("totalTasksRun"), "number"),
    Column("succeeded", at("totalTasksSucceeded"), "number"),
    Column("since", at("stateTransitionTime"), "time"),
    Column("booted", at("lastBootTime"), "time", wide=True),
    Column("address", at("ipAddress"), wide=True),
    Column("agent", at("nodeAgentInfo", "version"), wide=True),
    Column("start task", at("startTaskInfo", "state"), "state", wide=True),
    Column("start exit", at("startTaskInfo", "exitCode"), wide=True),
    Column("start failure", _failure("startTaskInfo", "failureInfo"), wide=True),
    Column("errors", _errors("errors"), "long"),
)
JOB: Final[Sequence[Column]] = (
    Column("id", at("id"), "id"),
    Column("state", at("state"), "state"),
    Column("pool", at("executionInfo", "poolId"), "id"),
    Column("priority", at("priority"), "number"),
    Column("created", at("creationTime"), "time"),
    Column("ended", at("executionInfo", "endTime"), "time"),
    Column("reason", at("executionInfo", "terminateReason")),
    Column("parallel", at("maxParallelTasks"), "number", wide=True),
    Column("retries", at("constraints", "maxTaskRetryCount"), "number", wide=True),
    Column("time limit", at("constraints", "maxWallClockTime"), "duration", wide=True),
    Column("when all complete", at("onAllTasksComplete"), wide=True),
    Column("when one fails", at("onTaskFailure"), wide=True),
    Column("metadata", _pairs("metadata"), wide=True),
    Column("name", at("displayName"), wide=True),
    Column("error", _failure("executionInfo", "schedulingError"), wide=True),
)
JOB_SCHEDULE: Final[Sequence[Column]] = (
    Column("id", at("id"), "id"),
    Column("state", at("state"), "state"),
    Column("pool", at("jobSpecification", "poolInfo", "poolId"), "id"),
    Column("every", at("schedule", "recurrenceInterval"), "duration"),
    Column("next", at("executionInfo", "nextRunTime"), "time"),
    Column("latest job", at("executionInfo", "recentJob", "id"), "id"),
    Column("created", at("creationTime"), "time"),
    Column("ended", at("executionInfo", "endTime"), "time"),
    Column("not before", at("schedule", "doNotRunUntil"), "time", wide=True),
    Column("not after", at("schedule", "doNotRunAfter"), "time", wide=True),
    Column("window", at("schedule", "startWindow"), "duration", wide=True),
    Column("metadata", _pairs("metadata"), wide=True),
    Column("name", at("displayName"), wide=True),
)
TASK: Final[Sequence[Column]] = (
    Column("id", at("id"), "id"),
    Column("state", at("state"), "state"),
    Column("exit", outcome, "outcome"),
    Column("node", at("nodeInfo", "nodeId"), "node"),
    Column("retries", at("executionInfo", "retryCount"), "number"),
    Column("started", at("executionInfo", "startTime"), "time"),
    Column("ended", at("executionInfo", "endTime"), "time"),
    Column("command", at("commandLine"), "long"),
    Column("result", at("executionInfo", "result"), "state", wide=True),
    Column("failure", _failure("executionInfo", "failureInfo"), wide=True),
    Column("requeues", at("executionInfo", "requeueCount"), "number", wide=True),
    Column("slots", at("requiredSlots"), "number", wide=True),
    Column("pool", at("nodeInfo", "poolId"), "id", wide=True),
    Column("folder", at("nodeInfo", "taskRootDirectory"), wide=True),
    Column("created", at("creationTime"), "time", wide=True),
    Column("time limit", at("constraints", "maxWallClockTime"), "duration", wide=True),
    Column("files kept", at("constraints", "retentionTime"), "duration", wide=True),
    Column("environment", _pairs("environmentSettings"), wide=True),
    Column("name", at("displayName"), wide=True),
)
PACKAGE: Final[Sequence[Column]] = (
    Column("version", at("name"), "id"),
    Column("state", at("properties", "state"), "state"),
    Column("format", at("properties", "format")),
    Column("activated", at("properties", "lastActivationTime"), "time"),
)
FILE: Final[Sequence[Column]] = (
    Column("name", _file_name, "id"),
    Column("size", _size, "size"),
    Column("modified", at("properties", "lastModified"), "time"),
    Column("mode", _mode),
    Column("type", at("properties", "contentType"), wide=True),
)
ACCOUNT: Final[Sequence[Column]] = (
    Column("name", at("name"), "id"),
    Column("cores", at("dedicatedCoreQuota"), "number"),
    Column("low priority cores", at("lowPriorityCoreQuota"), "number"),
    Column("pools", at("poolQuota"), "number"),
    Column("active jobs", at("activeJobAndJobScheduleQuota"), "number"),
    Column("endpoint", at("accountEndpoint"), wide=True),
    Column("fixed", lambda a: ", ".join(a.get("fixedQuotas", ())) or None, wide=True),
)
KEYS: Final[Sequence[Column]] = (
    Column("primary", at("batch", "primary")),
    Column("secondary", at("batch", "secondary")),
    Column("storage primary", at("storage", "primary")),
    Column("storage secondary", at("storage", "secondary")),
)
IMAGE: Final[Sequence[Column]] = (
    Column("image", lambda i: image_name(i.get("imageReference")), "id"),
    Column("agent sku", at("nodeAgentSKUId")),
    Column("os", at("osType")),
    Column("verified", at("verificationType"), "state"),
    Column("version", at("imageReference", "version"), wide=True),
)
COUNTS: Final[Sequence[Column]] = tuple(
    Column(name, at("taskCounts", name), "number")
    for name in ("active", "running", "completed", "succeeded", "failed")
)
