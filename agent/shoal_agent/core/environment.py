"""The variables that a task's process sees (pure): which ones there are, and whose value wins.

Three layers, later ones win: what an operating system gives (`PATH`, `HOME`, …), what the user set
for job and task, and the service's own `AZ_BATCH_…`. Values of the middle layer may refer to
variables of all three (`$NAME`, `${NAME}`).

source  reference, environment.md
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from shoal_agent.core.paths import NodePaths
from shoal_protocol.specs import ElevationLevel, NodeConfig, UserIdentity

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
VALUE_BYTES_MAX: Final = 128 * 1024 - 1
"""What Linux takes as one string of an environment; references could make it grow without end."""
REFERENCES_DEPTH_MAX: Final = 100
_REFERENCE: Final = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")


class EnvironmentRefused(ValueError):
    """The settings make no environment: a loop, or no end; the message names the variable."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who a process runs as.

    name   shown in AZ_BATCH_TASK_USER
    uid    None: the agent's own user, nothing is changed; then gid is None too
    home   of a named user; None: the task's working directory
    """

    name: str
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()
    home: str | None = None


def account_key(user: UserIdentity) -> str:
    """Return the name under which accounts of one identity are known on a node."""
    if user.user_name is not None:
        return f"named:{user.user_name}"
    return f"{user.scope}:{user.elevation}"


def node_environment(
    config: NodeConfig,
    paths: NodePaths,
    account: Account,
    user: UserIdentity,
    lang: str,
    reserved_disk_bytes: int,
) -> dict[str, str]:
    """Return what is the same for all tasks of one user on this node, AZ_BATCH_… included."""
    reserved = str(reserved_disk_bytes)
    variables = {
        "PATH": PATH,
        "LANG": lang,
        "USER": account.name,
        "LOGNAME": account.name,
        "AZ_BATCH_ACCOUNT_NAME": config.account_name,
        "AZ_BATCH_ACCOUNT_URL": config.account_url,
        "AZ_BATCH_NODE_ID": config.node_id,
        "AZ_BATCH_NODE_IS_DEDICATED": "true" if config.is_dedicated else "false",
        "AZ_BATCH_NODE_MOUNTS_DIR": paths.mounts,
        "AZ_BATCH_NODE_ROOT_DIR": paths.root,
        "AZ_BATCH_NODE_SHARED_DIR": paths.shared,
        "AZ_BATCH_NODE_STARTUP_DIR": paths.startup,
        "AZ_BATCH_NODE_STARTUP_WORKING_DIR": paths.startup_wd,
        "AZ_BATCH_POOL_ID": config.pool_id,
        "AZ_BATCH_TASK_RESERVED_EPHEMERAL_DISK_SPACE_BYTES": reserved,
        "AZ_BATCH_RESERVED_DISK_SPACE_BYTES": reserved,
        "AZ_BATCH_TASK_USER": account.name,
        "AZ_BATCH_TASK_USER_IDENTITY": identity_name(user),
    }
    if account.home is not None:
        variables["HOME"] = account.home
    return variables


def task_environment(
    directory: str, account: Account, job_id: str = "", task_id: str = "", token: str = ""
) -> dict[str, str]:
    """Return what differs from task to task. A start task has no ids; most tasks have no token."""
    wd = f"{directory}/wd"
    variables = {
        "PWD": wd,
        "AZ_BATCH_CERTIFICATES_DIR": f"{directory}/certs",
        "AZ_BATCH_TASK_DIR": directory,
        "AZ_BATCH_TASK_WORKING_DIR": wd,
    }
    if job_id:
        variables["AZ_BATCH_JOB_ID"] = job_id
        variables["AZ_BATCH_TASK_ID"] = task_id
    if token:
        variables["AZ_BATCH_AUTHENTICATION_TOKEN"] = token
    if account.home is None:
        variables["HOME"] = wd
    return variables


def identity_name(user: UserIdentity) -> str:
    """Return AZ_BATCH_TASK_USER_IDENTITY: `PoolNonAdmin` and the like, or the named user."""
    if user.user_name is not None:
        return user.user_name
    level = "Admin" if user.elevation is ElevationLevel.ADMIN else "NonAdmin"
    return user.scope.capitalize() + level


def with_settings(
    settings: Iterable[tuple[str, str]], node: Mapping[str, str], task: Mapping[str, str]
) -> dict[str, str]:
    """Return what a task's process gets on top of `node`.

    settings  the user's, in order; a later one of the same name wins, and refers to the earlier
              one when it refers to itself
    raises    EnvironmentRefused
    Names that an environment cannot hold are refused, and the service's own names keep its values.
    """
    chosen: dict[str, str] = {}
    needs_expansion = False
    for name, value in settings:
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise EnvironmentRefused(f"not a variable: {name[:80]!r}")
        if name.startswith("AZ_BATCH_") and (name in node or name in task):
            continue
        if "$" in value:
            needs_expansion = True
            if name in chosen:
                value = _substitute(name, value, {name: chosen[name]})
        chosen[name] = value
    if needs_expansion:
        _expand_all(chosen, {**node, **task})
    return {**task, **chosen}


def expand_references(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$NAME` and `${NAME}` once; what is not defined stays as it stands."""

    def value(match: re.Match[str]) -> str:
        return variables.get(match[1] or match[2], match[0])

    return _REFERENCE.sub(value, text)


def _substitute(name: str, text: str, variables: Mapping[str, str]) -> str:
    expanded = expand_references(text, variables)
    if len(expanded) > VALUE_BYTES_MAX:
        raise EnvironmentRefused(f"the value of {name[:80]!r} is too long")
    return expanded


def _expand_all(chosen: dict[str, str], given: Mapping[str, str]) -> None:
    done: dict[str, str] = {}
    visiting: list[str] = []

    def visit(name: str) -> str:
        if name in done:
            return done[name]
        if name in visiting or len(visiting) >= REFERENCES_DEPTH_MAX:
            raise EnvironmentRefused(f"references of {name[:80]!r} lead in a loop")
        visiting.append(name)
        text = chosen[name]
        known: dict[str, str] = {}
        for match in _REFERENCE.finditer(text):
            other = match[1] or match[2]
            if other != name and other in chosen:
                known[other] = visit(other)
            elif other in given:
                known[other] = given[other]
        done[name] = _substitute(name, text, known)
        visiting.pop()
        return done[name]

    for name in chosen:
        visit(name)
    chosen.update(done)
