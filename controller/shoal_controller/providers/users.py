"""Users that agents of this machine made for tasks, when their nodes go.

An agent removes a task's user with the task; one that was killed did not. Only root makes users and
removes them.
"""

from __future__ import annotations

import logging
import os
import pwd
import subprocess
import time
from pathlib import Path
from typing import Final

from shoal_protocol.users import root_of

log = logging.getLogger(__name__)

COMMAND_S_MAX: Final = 30.0
LOCKED_TRIES: Final = 20
"""The password file is locked while somebody else changes it."""
LOCKED_WAIT_S: Final = 0.25


def remove_users(folder: Path) -> None:
    """Remove the users of tasks of all nodes in a folder. Blocks; trouble is only logged.

    None of their processes may be left.
    """
    if os.geteuid() != 0:
        return
    for entry in pwd.getpwall():
        root = root_of(entry.pw_name, entry.pw_gecos)
        if root is not None and Path(root).is_relative_to(folder):
            _remove(entry.pw_name)


def _remove(name: str) -> None:
    command, reason = ["userdel", name], ""
    for _ in range(LOCKED_TRIES):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=COMMAND_S_MAX, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as err:
            reason = str(err)
            break
        if done.returncode == 0:
            return
        reason = done.stderr.strip()[:500]
        if "lock" not in reason:
            break
        time.sleep(LOCKED_WAIT_S)
    log.warning("cannot remove user %s: %s", name, reason)
