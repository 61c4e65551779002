"""A part of the disk that is kept for writes that make room.

Deleting is writing, too: on a disk that is full to the last block nothing could be deleted. The
reserve is a file of that size. It is given up when a write finds no room, and taken again once
there is enough.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_DISK_PART_MAX: Final = 4
"""Of a small disk the reserve is the fourth part."""


class Reserve:
    """The reserve of one file system; `size` is in bytes."""

    def __init__(self, path: Path, bytes_max: int) -> None:
        """Take the reserve where there is room for it.

        path   a file of its own on the disk that is meant
        raises OSError
        """
        self._folder = path.parent
        disk = os.statvfs(self._folder)
        self.size = min(bytes_max, disk.f_blocks * disk.f_frsize // _DISK_PART_MAX)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._is_held = os.fstat(self._fd).st_size >= self.size
        self.leaves_room()

    def leaves_room(self) -> bool:
        """Return whether half as much as the reserve is free beside it.

        One that was given up is taken again first, if twice as much is free.
        """
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        if self._is_held:
            return free >= self.size // 2
        if free < 2 * self.size:
            return False
        try:
            os.posix_fallocate(self._fd, 0, self.size)
        except OSError:  # somebody was faster
            os.ftruncate(self._fd, 0)
            return False
        self._is_held = True
        return True

    def release(self) -> bool:
        """Give the reserve up; return whether it was there."""
        was_held, self._is_held = self._is_held, False
        os.ftruncate(self._fd, 0)
        return was_held

    def close(self) -> None:
        """Let go of the file; what it holds stays held."""
        os.close(self._fd)
