"""How to mend what the service refuses: one line or two per error code, as commands to type."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

CLOCK_SKEW_MAX: Final = timedelta(minutes=15)
"""The service refuses requests signed further from its own time. Source: REST reference."""

_HINTS: Final[Mapping[str, str]] = {
    "AuthenticationFailed": "check that key and account belong to this endpoint ({sources})",
    "InsufficientAccountPermissions": "ask an owner of the account for a higher role",
    "InvalidAuthenticationInfo": "check the account's name ({sources})",
    "MissingRequiredHeader": "something between here and the service drops headers; call it direct",
    "PoolNotFound": "`shoal pool list` shows the pools there are",
    "NodeNotFound": "`shoal node list {pool}` shows the nodes of the pool",
    "JobNotFound": "`shoal job list` shows the jobs there are",
    "TaskNotFound": "`shoal task list {job}` shows the tasks of the job",
    "FileNotFound": "`shoal file list {target}` shows the files there are",
    "ApplicationNotFound": "`shoal app list` shows the applications there are",
    "ApplicationPackageNotFound": "`shoal app show {app}` shows its packages",
    "ApplicationQuotaReached": "delete one that is not needed: `shoal app list`",
    "ApplicationPackageQuotaReached": "delete one that is not needed: `shoal app show {app}`",
    "PoolExists": "choose another id, or use the pool: `shoal pool show {pool}`",
    "JobExists": "choose another id, or delete the old job: `shoal job delete {job}`",
    "TaskExists": "choose another id, or delete the old task: `shoal task delete {job} {task}`",
    "PoolBeingDeleted": "wait until it is gone: `shoal pool delete {pool} --wait`",
    "PoolBeingResized": "wait, or stop it: `shoal pool stop-resize {pool}`",
    "PoolQuotaReached": "delete a pool that is not needed: `shoal pool list`",
    "ActiveJobAndScheduleQuotaReached": "end jobs that are done: `shoal job list --state active`",
    "JobBeingDeleted": "wait until it is gone: `shoal job delete {job} --wait`",
    "JobBeingTerminated": "it is ending; make a new job for more tasks",
    "JobCompleted": "the job has ended for good; make a new one: `shoal job create`",
    "JobDisabled": "`shoal job enable {job}` lets its tasks run again",
    "JobNotActive": "`shoal job show {job}` says its state",
    "TaskCompleted": "`shoal task show {job} {task}` says how it ended",
    "TaskNotCompleted": "wait until it ends, or end it: `shoal task terminate {job} {task}`",
    "TaskSucceeded": "only failed tasks can be reactivated",
    "TaskFilesUnavailable": "the task has not run yet, or its node is gone: "
    "`shoal task show {job} {task}`",
    "TaskFilesCleanedup": "its retention time is over; write what must last to storage",
    "NodeAlreadyInTargetSchedulingState": "nothing to do: `shoal node show {pool} {node}`",
    "NodeStateUnusable": "remove it, the pool can grow again: `shoal node remove {pool} {node}`",
    "NodeBeingCreated": "wait until it is idle: `shoal node list {pool}`",
    "NodeBeingStarted": "wait until it is idle: `shoal node list {pool}`",
    "NodeBeingRebooted": "wait until it is idle: `shoal node list {pool}`",
    "NodeAgentSKUNotFound": "`shoal images` shows images with the agent SKU each needs",
    "InvalidQueryParameterValue": "check --filter; an example: --filter \"startswith(id,'a')\"",
    "MissingRequiredProperty": "add the property to the request: see the command's --help",
    "InvalidPropertyValue": "correct the value named above",
    "UnsupportedProperty": "leave the property out",
    "UnsupportedRequestVersion": "the service is too old for this command line",
    "RequestBodyTooLarge": "send less at once, or shorter command lines and environments",
    "InvalidRange": "the file is shorter than that: `shoal file show {target}`",
    "ServerBusy": "try again in a moment",
    "NotImplemented": "this version of the service cannot do that yet",
    "InternalError": "try again; if it stays, give the request id above to who runs the service",
}


_NOUNS: Final = {
    "pools": "pool",
    "nodes": "node",
    "jobs": "job",
    "tasks": "task",
    "applications": "app",
}


def hint(
    code: str,
    *,
    segments: Mapping[str, str],
    sources: Mapping[str, str],
    skew: timedelta | None = None,
) -> str | None:
    """Return what to do about an error code, or None where nothing is known.

    segments  the resources of the request's path: pool, node, job, task, app, target
    sources   where each setting came from, as settings.py knows it
    skew      this machine's clock minus the service's, if the answer told
    """
    if code == "AuthenticationFailed" and skew is not None and abs(skew) > CLOCK_SKEW_MAX:
        way = "ahead of" if skew > timedelta() else "behind"
        minutes = abs(skew) // timedelta(minutes=1)
        return f"set this machine's clock: it is {minutes} minutes {way} the service's"
    if code in ("AuthenticationFailed", "InvalidAuthenticationInfo") and "token" in sources:
        return f"the token from {sources['token']} is not good here, or no more: get a new one"
    template = _HINTS.get(code)
    if template is None:
        return None
    named = ", ".join(f"{name} from {sources[name]}" for name in ("account", "key", "endpoint")
                      if name in sources)  # fmt: skip
    placeholders = {name: name.upper() for name in (*_NOUNS.values(), "target")}
    return template.format(**{**placeholders, **segments, "sources": named or "see --help"})


def segments_of(path: str, new_id: str | None = None) -> dict[str, str]:
    """Return the resources that a request is about: `/jobs/j/tasks/t` gives job and task.

    path    as sent, before the query; ids need no unescaping
    new_id  of what the request is to create in the collection that the path names
    """
    parts = path.strip("/").split("/")
    if new_id and len(parts) % 2:
        parts.append(new_id)
    found = {
        _NOUNS[collection]: an_id
        for collection, an_id in zip(parts[::2], parts[1::2], strict=False)
        if collection in _NOUNS
    }
    if "task" in found:
        found["target"] = f"{found['job']}/{found['task']}"
    elif "node" in found:
        found["target"] = f"--node {found['pool']}/{found['node']}"
    return found
