"""Accounts that tasks run as: made on the machine when the agent is root and may, else its own.

Pool users: `_azbatch` without rights, root with them. A task-scope user is made for its run and
removed after it; with admin rights it is root too. Where the agent may not make users, everything
runs as the agent's own user, elevated or not (docs/decisions/0010). A node that was killed leaves
the users of its tasks behind; the next agent that starts on the machine removes them. All methods
block.
"""

from __future__ import annotations

import grp
import logging
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from shoal_agent.config import UserPolicy
from shoal_agent.core.environment import Account
from shoal_protocol.specs import ElevationLevel, UserAccount
from shoal_protocol.users import node_prefix, root_of, task_user_comment, task_user_name

logger = logging.getLogger(__name__)

POOL_USER: Final = "_azbatch"
ADMIN_GROUPS: Final = ("sudo", "wheel")
COMMAND_S_MAX: Final = 30.0
LOCKED_TRIES: Final = 20
"""The password file is locked while another node of this machine changes it."""
LOCKED_WAIT_S: Final = 0.25


class UsersFailed(Exception):
    """An account could not be made or removed; the message says why."""


class Users:
    """The accounts of one node."""

    def __init__(self, policy: UserPolicy, root: Path, node_id: str) -> None:
        """raises   UsersFailed when users are to be made and cannot be"""
        self.is_making = self._may_make(policy, root)
        self._node_id = node_id
        self._comment = task_user_comment(str(root))

    def prepare(self, users: Iterable[UserAccount], keep: Iterable[str]) -> Mapping[str, Account]:
        """Make all accounts of the node and return them by identity.

        keep     runs whose own accounts are still needed; others of this node are removed
        """
        if not self.is_making:
            own = own_account()
            keys = ("pool:nonadmin", "pool:admin", "task:nonadmin", "task:admin")
            return {key: own for key in (*keys, *(f"named:{user.name}" for user in users))}
        self._delete_others({task_user_name(self._node_id, key) for key in keep})
        admin = Account(name="root")
        accounts = {
            "pool:nonadmin": self._make(POOL_USER),
            "pool:admin": admin,
            "task:admin": admin,
        }
        for user in users:
            accounts[f"named:{user.name}"] = self._make_named(user)
        return accounts

    def task_account(self, key: str) -> Account:
        """Return the account of one run, made if need be."""
        if not self.is_making:
            return own_account()
        return self._make(task_user_name(self._node_id, key), comment=self._comment)

    def remove(self, key: str) -> None:
        """Remove the account of a run; one that is not there is fine."""
        if self.is_making:
            self._delete(task_user_name(self._node_id, key))

    def remove_all(self) -> None:
        """Remove the accounts of all runs of this node; none of their processes may be left."""
        if self.is_making:
            self._delete_others(set())

    # --- inside -----------------------------------------------------------------------------------

    @staticmethod
    def _may_make(policy: UserPolicy, root: Path) -> bool:
        if policy == "none":
            return False
        reason = None
        if os.geteuid() != 0:
            reason = "the agent is not root"
        elif shutil.which("useradd") is None or shutil.which("userdel") is None:
            reason = "there is no useradd on this machine"
        elif closed := [path for path in root.parents if not path.stat().st_mode & 0o001]:
            reason = f"other users cannot enter {closed[-1]}"
        if reason is None:
            return True
        if policy == "create":
            raise UsersFailed(f"cannot make users for tasks: {reason}")
        logger.warning("tasks run as the agent's own user: %s", reason)
        return False

    def _delete_others(self, wanted: set[str]) -> None:
        """Remove the users of this node's tasks that are not wanted, and those of nodes no more."""
        prefix = node_prefix(self._node_id)
        for entry in pwd.getpwall():
            if entry.pw_name.startswith(prefix):
                if entry.pw_name not in wanted:
                    self._delete(entry.pw_name)
            elif _is_gone(root_of(entry.pw_name, entry.pw_gecos)):
                try:
                    self._delete(entry.pw_name)
                except UsersFailed as error:  # another agent was faster, or it is no user of ours
                    logger.warning("cannot remove user %s: %s", entry.pw_name, error)

    def _make(self, name: str, *options: str, comment: str = "") -> Account:
        entry = _entry(name)
        if entry is None:
            home = () if options else ("--no-create-home", "--home-dir", "/nonexistent")
            system = () if options else ("--system", "--shell", "/bin/sh", "--comment", comment)
            _run("useradd", *system, *home, *(options or ("--user-group",)), name)
            entry = _entry(name)
            if entry is None:
                raise UsersFailed(f"useradd made no user {name}")
        groups = tuple(gid for gid in os.getgrouplist(name, entry.pw_gid) if gid != entry.pw_gid)
        home_dir = entry.pw_dir if options else None
        return Account(name, entry.pw_uid, entry.pw_gid, groups, home_dir)

    def _make_named(self, user: UserAccount) -> Account:
        if user.name in ("root", POOL_USER) or user.name.startswith("-"):
            raise UsersFailed(f"'{user.name}' is not for the pool to define")
        options = ["--create-home", "--shell", "/bin/bash"]
        if user.uid is not None and user.gid is not None:
            if not _has_group(user.gid):
                _run("groupadd", "--gid", str(user.gid), user.name)
            options += ["--uid", str(user.uid), "--gid", str(user.gid)]
        elif _entry(user.name) is None:
            options.append("--user-group")
        if user.elevation is ElevationLevel.ADMIN:
            groups = [name for name in ADMIN_GROUPS if _has_group(name)]
            if groups:
                options += ["--groups", ",".join(groups)]
        account = self._make(user.name, *options)
        if user.password:
            _run("chpasswd", stdin=f"{user.name}:{user.password}\n")
        if user.ssh_private_key and account.home is not None:
            _write_ssh_key(account, user.ssh_private_key)
        return account

    def _delete(self, name: str) -> None:
        if _entry(name) is not None:
            _run("userdel", name)


def own_account() -> Account:
    """Return the agent's own user, as an account for tasks."""
    try:
        return Account(pwd.getpwuid(os.geteuid()).pw_name)
    except KeyError:
        return Account(str(os.geteuid()))


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _is_gone(root: str | None) -> bool:
    """Whether a node's root directory is surely not there: a disk in trouble does not say so."""
    if root is None:
        return False
    try:
        Path(root).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):  # ValueError: no path at all
        return False
    return False


def _has_group(group: int | str) -> bool:
    try:
        grp.getgrgid(group) if isinstance(group, int) else grp.getgrnam(group)
    except KeyError:
        return False
    return True


def _write_ssh_key(account: Account, key: str) -> None:
    assert account.home is not None
    assert account.uid is not None
    assert account.gid is not None
    folder = Path(account.home) / ".ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    os.chown(folder, account.uid, account.gid, follow_symlinks=False)
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open("id_rsa", flags, 0o600, dir_fd=folder_fd), "w") as file:
            file.write(key if key.endswith("\n") else key + "\n")
            os.fchown(file.fileno(), account.uid, account.gid)
    finally:
        os.close(folder_fd)


def _run(*command: str, stdin: str = "") -> None:
    for attempt in range(LOCKED_TRIES):
        try:
            done = subprocess.run(
                command, input=stdin, capture_output=True, text=True, timeout=COMMAND_S_MAX,
                check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UsersFailed(f"{command[0]}: {error}") from error
        if done.returncode == 0:
            return
        if "lock" not in done.stderr or attempt == LOCKED_TRIES - 1:
            raise UsersFailed(f"{command[0]}: {done.stderr.strip()[:500]}")
        time.sleep(LOCKED_WAIT_S)
