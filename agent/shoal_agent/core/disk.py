"""Whether the node's disk is full (pure). Source: reference, semantics 3.2 and 3.6.

The disk is full when less is free than is reserved, and has room again a little above that, so that
a node does not come and go with every file. docs/decisions/0015 says how much is reserved, and why.
"""

from __future__ import annotations

from shoal_agent.core.failures import failure
from shoal_agent.core.instructions import DiskMeasured
from shoal_protocol.specs import FailureInfo


def reserved_bytes(size_bytes: int, percent: int, bytes_max: int) -> int:
    """Return how much of a disk is to stay free.

    size_bytes  what tasks and everybody else may fill
    bytes_max   never more than that; 0: no such limit
    """
    reserved = size_bytes * percent // 100
    return min(reserved, bytes_max) if bytes_max else reserved


class Disk:
    """The disk of the node's root."""

    def __init__(self, reserved: int) -> None:
        """reserved   bytes that are to stay free"""
        self._reserved = reserved
        self.error: FailureInfo | None = None

    @property
    def is_full(self) -> bool:
        """Whether no task should run here."""
        return self.error is not None

    def measured(self, event: DiskMeasured) -> bool:
        """Take in a measurement; return whether it made the disk full, or no longer so."""
        wanted = self._reserved
        if self.is_full:
            wanted += min(wanted // 4, (event.size_bytes - wanted) // 2)
        is_full = event.free_bytes < wanted
        if is_full == self.is_full:
            return False
        self.error = self._failure(event) if is_full else None
        return True

    def _failure(self, event: DiskMeasured) -> FailureInfo:
        text = (
            f"{event.free_bytes} of {event.size_bytes} bytes are free, {self._reserved} are to stay"
            " free. Delete files, tasks or jobs: the node takes tasks again once there is room."
        )
        return failure("DiskFull", Message=text)
