"""Deleting what was put aside. Late and slowly on purpose: on some file systems (ext4 without a
journal) a deletion makes the next `mkdir`s up to twenty times dearer for minutes.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from shoal_agent.tree import remove


def empty_trash(folder: Path) -> None:
    """Delete everything in `folder`; what cannot be deleted stays for the next time. Blocks."""
    with contextlib.suppress(AttributeError, OSError):
        # The calling thread is for this alone; other threads of the agent keep their priority.
        os.setpriority(os.PRIO_PROCESS, 0, 19)
    for path in list(folder.iterdir()):
        with contextlib.suppress(OSError):
            remove(path)
