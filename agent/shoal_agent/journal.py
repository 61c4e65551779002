"""The agent's memory on disk: records are appended before they are acted on, and read at start.

A file is a row of frames, `length, crc32, payload`, each the records of one batch, so that a batch
is there as a whole or not at all. A frame is torn only by a crash in the middle of its write; what
follows a torn frame is cut off. When a file has grown, a new one is begun at once and the state at
that moment is written beside it; until that is complete, the old files count.

    journal.3.base    the state when journal.3 was begun (absent: state was empty)
    journal.3         the batches since

Nothing is synced but bases: docs/decisions/0009 says why. A part of the disk is reserved: on a full
one tasks are still ended and their files removed, and that is written down first, too (0012).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from shoal_agent.core.records import KINDS, Record

GROWTH_BYTES: Final = 8 << 20
"""A file that has grown so much beyond its base is compacted."""
RESERVE_BYTES: Final = 1 << 20
FRAME_BYTES_MAX: Final = 64 << 20
BASE_FRAME_RECORDS: Final = 1000
_HEAD: Final = struct.Struct("<II")
_FILE: Final = re.compile(r"journal\.([0-9]{1,12})\Z")

_encoder: Final = msgspec.msgpack.Encoder()
_decode_rows: Final = msgspec.msgpack.Decoder(list[tuple[int, msgspec.Raw]]).decode
_NUMBERS: Final = {kind: number for number, kind in enumerate(KINDS)}
_DECODERS: Final = tuple(msgspec.msgpack.Decoder(kind).decode for kind in KINDS)


class JournalBroken(Exception):
    """The journal cannot be read: not torn, but of another program or version."""


class Journal:
    """The journal of one node, in a folder that only this agent writes to."""

    def __init__(self, folder: Path, reserve: Path | None = None) -> None:
        """reserve   a file beside `folder` for the journal alone; None: nothing is reserved"""
        self._folder = folder
        self._reserve = reserve
        self._claimed_end = 0
        self._number = 0
        self._fd = -1
        self._bytes = 0
        self._base_bytes = 0

    @property
    def wants_compaction(self) -> bool:
        """Whether the file has grown so much that `begin_compaction` pays."""
        return self._bytes > GROWTH_BYTES + self._base_bytes

    def open(self) -> list[Record]:
        """Read everything, cut off a torn end, and be ready for `append`.

        raises  JournalBroken, OSError
        """
        numbers = sorted(
            int(match[1]) for path in self._folder.iterdir() if (match := _FILE.match(path.name))
        )
        bases = [number for number in numbers if self._base(number).exists()]
        first = bases[-1] if bases else min(numbers, default=0)
        records: list[Record] = []
        if bases:
            records += _read(self._base(first))[0]
            self._base_bytes = self._base(first).stat().st_size
        wanted = [number for number in numbers if number >= first]
        end = 0
        for number in wanted:
            more, end = _read(self._file(number))
            records += more
        self._number = wanted[-1] if wanted else 0
        self._open(self._number)
        self._bytes, self._claimed_end = end, self._cut(end)
        self._remove_before(first)
        self._keep_reserve()
        return records

    def append(self, records: Sequence[Record]) -> None:
        """Write a batch; it outlives this process when the call returns.

        raises  OSError; then nothing of the batch is there, and it may be given again
        """
        frame = _frame(records)
        if not self._write(frame) and not (self._claim() and self._write(frame)):
            raise OSError(errno.ENOSPC, "the journal's disk is full")
        self._bytes += len(frame)
        if self._bytes > self._claimed_end > 0:  # the disk has room again
            self._claimed_end = 0
            self._keep_reserve()

    def begin_compaction(self) -> int:
        """Begin a new file; the caller takes a snapshot now and has `write_base` called.

        raises  OSError when the disk has no room for it; then the old file goes on
        """
        number = self._number + 1
        if not self._keep_reserve():
            raise OSError(errno.ENOSPC, "the journal's disk is full")
        self._open(number)
        self._number, self._bytes, self._claimed_end = number, 0, 0
        return number

    def write_base(self, number: int, records: Sequence[Record]) -> None:
        """Write the state as it was when file `number` was begun; slow, for a thread."""
        temporary = self._folder / "journal.tmp"
        with temporary.open("wb") as file:
            for at in range(0, len(records), BASE_FRAME_RECORDS):
                file.write(_frame(records[at : at + BASE_FRAME_RECORDS]))
            file.flush()
            os.fsync(file.fileno())
            self._base_bytes = file.tell()
        temporary.rename(self._base(number))
        folder_fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder_fd)
        finally:
            os.close(folder_fd)
        self._remove_before(number)

    def close(self) -> None:
        """No more appends."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, frame: bytes) -> bool:
        """Write a frame at the end; False when the disk is full, and nothing of it is there."""
        try:
            if os.pwrite(self._fd, frame, self._bytes) == len(frame):
                return True
            reason = errno.ENOSPC
        except OSError as error:
            reason = error.errno
        os.ftruncate(self._fd, self._bytes)
        self._claimed_end = 0
        if reason in (errno.ENOSPC, errno.EDQUOT):
            return False
        raise OSError(reason, os.strerror(reason or errno.EIO))

    def _keep_reserve(self) -> bool:
        """Reserve a part of the disk; return whether it is reserved."""
        if self._reserve is None:
            return True
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with contextlib.suppress(OSError):
            fd = os.open(self._reserve, flags, 0o600)
            try:
                os.posix_fallocate(fd, 0, RESERVE_BYTES)
            finally:
                os.close(fd)
            return True
        return False

    def _claim(self) -> bool:
        """Go on in what is reserved; return whether there is any.

        The file itself becomes the next of the journal. Its blocks are never free, so a task that
        fills the disk cannot have them.
        """
        if self._reserve is None:
            return False
        try:
            self._reserve.rename(self._file(self._number + 1))
            self._open(self._number + 1)
        except OSError:
            return False
        self._number, self._bytes = self._number + 1, 0
        self._claimed_end = os.fstat(self._fd).st_size
        return True

    def _cut(self, end: int) -> int:
        """Cut off what follows the last whole frame; return where the file ends.

        Zeros stay: they are blocks that were reserved.
        """
        size = os.fstat(self._fd).st_size
        if any(self._file(self._number).read_bytes()[end:]):
            os.ftruncate(self._fd, end)
            return end
        return size

    def _file(self, number: int) -> Path:
        return self._folder / f"journal.{number}"

    def _base(self, number: int) -> Path:
        return self._folder / f"journal.{number}.base"

    def _open(self, number: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self._file(number), flags, 0o600)
        self.close()
        self._fd = fd

    def _remove_before(self, number: int) -> None:
        for path in list(self._folder.iterdir()):
            match = _FILE.match(path.name.removesuffix(".base"))
            if match and int(match[1]) < number:
                path.unlink(missing_ok=True)


def _frame(records: Iterable[Record]) -> bytes:
    payload = _encoder.encode([(_NUMBERS[type(record)], record) for record in records])
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def _read(path: Path) -> tuple[list[Record], int]:
    """Return the records of a file and where its last whole frame ends."""
    data = memoryview(path.read_bytes())
    records: list[Record] = []
    at = 0
    while at + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, at)
        payload = data[at + _HEAD.size : at + _HEAD.size + length]
        if not length or length > FRAME_BYTES_MAX or len(payload) != length:
            break
        if zlib.crc32(payload) != checksum:
            break
        try:
            rows: list[Any] = _decode_rows(payload)
            records += [_DECODERS[kind](row) for kind, row in rows]
        except (msgspec.MsgspecError, IndexError) as error:
            raise JournalBroken(f"{path}: {error}") from error
        at += _HEAD.size + length
    return records, at
