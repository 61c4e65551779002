"""How full the node's disk is."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from shoal_agent.core.instructions import DiskMeasured

logger = logging.getLogger(__name__)


def measure(root: Path) -> DiskMeasured | None:
    """Return the state of the disk that `root` lies on, None when it cannot be told. Blocks.

    What only the superuser may fill counts as neither free nor there, as df has it.
    """
    try:
        found = os.statvfs(root)
    except OSError as error:
        logger.error("the disk of %s cannot be measured: %s", root, error)
        return None
    used = found.f_blocks - found.f_bfree
    return DiskMeasured(
        size_bytes=(used + found.f_bavail) * found.f_frsize,
        free_bytes=found.f_bavail * found.f_frsize,
    )
