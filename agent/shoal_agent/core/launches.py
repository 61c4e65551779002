"""From what a task asks for to what the spawner shall start (pure)."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Final

from shoal_agent.core import commandline
from shoal_agent.core.commandline import CommandRefused
from shoal_agent.core.environment import (
    Account,
    EnvironmentRefused,
    account_key,
    node_environment,
    task_environment,
    with_settings,
)
from shoal_agent.core.failures import failure
from shoal_agent.core.instructions import RegisterEnvironment
from shoal_agent.core.outbox import Outbox
from shoal_agent.core.paths import STDERR_NAME, STDOUT_NAME, NodePaths
from shoal_agent.core.spawning import Failed, Launch
from shoal_protocol.specs import (
    AutoUserScope,
    ElevationLevel,
    FailureInfo,
    NodeConfig,
    StartTaskSpec,
    TaskSpec,
    UserIdentity,
)

TASK_MODE: Final = 0o755
"""Other tasks' users may look at a task's stdout.txt, as in startup; the working directory is
closed to them.
"""
WD_MODE: Final = 0o770
STARTUP_WD_MODE: Final = 0o755  # its files are there for other tasks to read

COMMAND_SHOWN_MAX: Final = 256
"""A failure's details repeat so much of the command line."""


class CannotLaunch(Exception):
    """The run fails before it has a process; `failure` says why, for users to read."""

    def __init__(self, failure: FailureInfo) -> None:
        super().__init__(failure.code)
        self.failure = failure


class Launches:
    """Makes launches for one node; knows its configuration, accounts and registered bases."""

    def __init__(
        self,
        paths: NodePaths,
        lang: str,
        reserved_disk_bytes: int,
        outbox: Outbox,
        ca_file: str = "",
    ) -> None:
        self.paths = paths
        self._lang = lang
        self._reserved_disk_bytes = reserved_disk_bytes
        self._ca_file = ca_file
        self._out = outbox
        self._config: NodeConfig | None = None
        self._accounts: Mapping[str, Account] = {}
        self._bases: dict[str, dict[str, str]] = {}

    def configure(self, config: NodeConfig, accounts: Mapping[str, Account]) -> None:
        """What follows is for this configuration."""
        if config != self._config or accounts != self._accounts:
            self._config, self._accounts = config, accounts
            self._bases.clear()

    def account(self, user: UserIdentity) -> Account | None:
        """Return the account of a user; None: one is to be made for this task alone.

        raises  CannotLaunch when the node has no such user
        """
        account = self._accounts.get(account_key(user))
        if account is None and not is_made_for_task(user):
            text = f"The node has no user named '{user.user_name}'"
            raise CannotLaunch(failure("CommandLaunchFailed", Message=text))
        return account

    def task(
        self,
        spec: TaskSpec,
        account: Account,
        directories: tuple[tuple[str, int], ...],
        used_s: float = 0.0,
    ) -> Launch:
        """Return a task's launch; directories: what the spawner makes. Raises CannotLaunch."""
        directory = self.paths.task_directory(spec.job_id, spec.task_id)
        task = task_environment(directory, account, spec.job_id, spec.task_id, spec.token)
        return self._launch(
            spec, account, directory, task, directories, spec.wall_clock_limit_s, used_s,
            bool(spec.output_files),
        )  # fmt: skip

    def start_task(self, spec: StartTaskSpec, account: Account) -> Launch:
        """Return the start task's launch; its directories are there. Raises CannotLaunch."""
        directory = self.paths.startup
        task = task_environment(directory, account)
        return self._launch(spec, account, directory, task, (), None, 0.0, False)

    def task_directories(self, spec: TaskSpec) -> tuple[tuple[str, int], ...]:
        """Return what is to be made for a task, outermost first, below its job's directory."""
        directory = self.paths.task_directory(spec.job_id, spec.task_id)
        return (directory, TASK_MODE), (f"{directory}/wd", WD_MODE)

    def variables(self, spec: TaskSpec, account: Account) -> dict[str, str]:
        """Return what a task's process sees, its token left out: for expanding patterns."""
        directory = self.paths.task_directory(spec.job_id, spec.task_id)
        task = task_environment(directory, account, spec.job_id, spec.task_id)
        base = self._bases[self._base(spec.user, account)]
        return {**base, **with_settings(spec.environment, base, task)}

    def _launch(
        self,
        spec: TaskSpec | StartTaskSpec,
        account: Account,
        directory: str,
        task: dict[str, str],
        directories: tuple[tuple[str, int], ...],
        limit_s: float | None,
        used_s: float,
        hold: bool,
    ) -> Launch:
        base = self._base(spec.user, account)
        if is_made_for_task(spec.user) and account.uid is not None:
            # The base is shared by all users of this kind.
            task.update(USER=account.name, LOGNAME=account.name, AZ_BATCH_TASK_USER=account.name)
        try:
            argv = commandline.split(spec.command_line)
            env = with_settings(spec.environment, self._bases[base], task)
        except (CommandRefused, EnvironmentRefused) as error:
            raise CannotLaunch(
                failure(
                    "CommandLaunchFailed", CommandLine=_cut(spec.command_line), Message=str(error)
                )
            ) from error
        uid, gid = account.uid, account.gid
        owner_uid, owner_gid = (-1, -1) if uid is None or gid is None else (uid, gid)
        return Launch(
            argv=argv,
            cwd=f"{directory}/wd",
            base=base,
            env=env,
            stdout=f"{directory}/{STDOUT_NAME}",
            stderr=f"{directory}/{STDERR_NAME}",
            directories=[(path, mode, owner_uid, owner_gid) for path, mode in directories],
            uid=uid,
            gid=gid,
            groups=account.groups,
            limit_s=limit_s,
            used_s=used_s,
            hold=hold,
        )

    def _base(self, user: UserIdentity, account: Account) -> str:
        key = account_key(user)
        if key not in self._bases:
            assert self._config is not None
            base = node_environment(
                self._config, self.paths, account, user, self._lang, self._reserved_disk_bytes
            )
            if self._ca_file:  # what a task needs to speak to the controller with its token
                base["SHOAL_CA_FILE"] = self._ca_file
            self._bases[key] = base
            self._out.add(RegisterEnvironment(key, base))
        return key


def is_made_for_task(user: UserIdentity) -> bool:
    """Whether a user's account lives as long as its task, where the node makes accounts."""
    return (
        user.user_name is None
        and user.scope is AutoUserScope.TASK
        and user.elevation is ElevationLevel.NON_ADMIN
    )


def launch_failure(event: Failed, command_line: str) -> FailureInfo:
    """Return what the spawner's `failed` means to a user."""
    reason = os.strerror(event.errno)
    if event.is_program_missing:
        return failure("CommandProgramNotFound", CommandLine=_cut(command_line), Message=reason)
    if event.errno in (errno.ENOSPC, errno.EDQUOT):
        return failure("DiskFull", Message=reason)
    if event.stage == "directories":
        return failure("ResourceDirectoryCreateFailed", Message=reason)
    if event.stage == "output":
        return failure("ResourceFileCreateFailed", Message=reason)
    return failure("CommandLaunchFailed", CommandLine=_cut(command_line), Message=reason)


def _cut(text: str) -> str:
    """Return enough of a text to know it by: the whole of it is with the task."""
    return text if len(text) <= COMMAND_SHOWN_MAX else text[:COMMAND_SHOWN_MAX] + "..."
