"""Bytes in files named by number, and the writer that decides whether a file is needed.

Nothing a client says becomes part of a path. A file is written once, made durable (file and
folder), then named by a row of the catalogue; a file without a row is rubbish from a crash.
"""

import asyncio
import errno
import hashlib
import os
import threading
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from shoal_controller.blobgateway.records import Chunk

INLINE_BYTES_MAX = 16 * 1024
"""Up to this many bytes live in the catalogue: one fsync instead of three, and no file."""

BUFFER_BYTES = 256 * 1024
FILES_PER_FOLDER = 4096
RESERVE_BYTES = 64 * 1024 * 1024


class ChunkFiles:
    """The numbered files under one folder. Blocking; callers use threads.

    reserve_bytes  what uploads leave free on the disk, so that deletions, which must write too,
                   still can; None: 64 MiB, or a tenth of a smaller disk
    """

    def __init__(self, folder: Path, reserve_bytes: int | None = None) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        disk = os.statvfs(folder)
        tenth = disk.f_blocks * disk.f_frsize // 10
        self._reserve_bytes = min(RESERVE_BYTES, tenth) if reserve_bytes is None else reserve_bytes

    def require_space(self) -> None:
        """Raise OSError (ENOSPC) when only the reserve is left. Does not block."""
        disk = os.statvfs(self._folder)
        if disk.f_bavail * disk.f_frsize < self._reserve_bytes:
            raise OSError(errno.ENOSPC, "no space left beyond the reserve for deletions")

    def path(self, chunk: int) -> Path:
        return self._folder / f"{chunk // FILES_PER_FOLDER:08x}" / f"{chunk:012x}"

    def create(self, chunk: int) -> FileIO:
        """Open a new file for writing; one of the same number is a leftover and is replaced."""
        path = self.path(chunk)
        if not path.parent.exists():
            path.parent.mkdir(exist_ok=True)
            sync_folder(self._folder)
        return FileIO(path, "wb")

    def seal(self, chunk: int, file: FileIO) -> None:
        """Close `file` with its bytes and its name on disk."""
        with file:
            os.fsync(file.fileno())
        sync_folder(self.path(chunk).parent)

    def remove(self, chunk: int) -> None:
        self.path(chunk).unlink(missing_ok=True)

    def read(self, chunk: int, offset: int, count: int) -> bytes:
        """`count` bytes from `offset`; raises OSError when the file is shorter than promised."""
        with self.path(chunk).open("rb", buffering=0) as file:
            data = os.pread(file.fileno(), count, offset)
        if len(data) != count:
            raise OSError(f"chunk {chunk} ends early: {len(data)} of {count} bytes at {offset}")
        return data


class ChunkWriter:
    """Takes the bytes of one chunk piece by piece; at most BUFFER_BYTES wait in memory.

    number   gives this chunk its number
    release  told the number once nothing will come of it
    """

    def __init__(self, files: ChunkFiles, number: int, release: Callable[[int], None]) -> None:
        self._files = files
        self.number = number
        self._release = release
        self._buffer = bytearray()
        self._file: FileIO | None = None
        # A cancelled caller leaves its thread at work: the lock lets discard wait for it.
        self._lock = threading.Lock()
        self._dropped = False
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.length = 0

    async def write(self, data: bytes) -> None:
        self._buffer += data
        self.length += len(data)
        if len(self._buffer) >= BUFFER_BYTES:
            await asyncio.to_thread(self._flush)

    async def finish(self) -> Chunk:
        """Make the bytes durable if they are in a file; small ones come back to be stored."""
        if self._file is None and self.length <= INLINE_BYTES_MAX:
            data = bytes(self._buffer)
            self._md5.update(data)
            return Chunk(self.number, self.length, self._md5.digest(), data)
        await asyncio.to_thread(self._seal)
        return Chunk(self.number, self.length, self._md5.digest(), None)

    async def discard(self) -> None:
        """Forget the bytes; harmless to call twice."""
        await asyncio.to_thread(self._drop)
        self._release(self.number)

    def _flush(self) -> None:
        with self._lock:
            if self._dropped:
                return
            self._files.require_space()
            if self._file is None:
                self._file = self._files.create(self.number)
            self._md5.update(self._buffer)
            view = memoryview(self._buffer)
            while view:
                view = view[self._file.write(view) :]
            self._buffer = bytearray()

    def _seal(self) -> None:
        self._flush()
        with self._lock:
            if self._file is not None:
                self._files.seal(self.number, self._file)

    def _drop(self) -> None:
        with self._lock:
            self._dropped = True
            if self._file is not None:
                self._file.close()
                self._files.remove(self.number)


def sync_folder(folder: Path) -> None:
    """fsync a directory, so that names made in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
