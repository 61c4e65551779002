"""What a zip says of itself, judged without unpacking anything: whether a node could unpack it.

Pure: `examine` asks for spans of the archive and is sent their bytes. Sizes, counts and places in
an archive are claims of whoever made it, so each is checked against the archive's real size before
it is used, and little of it is held at once. Source: APPNOTE.TXT 6.3, sections
4.3 and 4.5.
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from typing import Final, NamedTuple

PIECE_BYTES: Final = 32 * 1024
"""Few enough entries to leave the loop to others in between."""
DIRECTORY_BYTES_MAX: Final = 64 * 1024 * 1024
ENTRIES_MAX: Final = 500_000
_COMMENT_BYTES_MAX: Final = 65_535

_END: Final = struct.Struct("<4s4H2LH")
_LOCATOR_64: Final = struct.Struct("<4sLQL")
_END_64: Final = struct.Struct("<4sQ2H2L4Q")
_ENTRY: Final = struct.Struct("<4s6H3L5H2L")
_EXTRA: Final = struct.Struct("<2H")
_LOCAL_BYTES: Final = 30
"""Of the header before a file's data, without the name."""
_UNKNOWN_16, _UNKNOWN_32 = 0xFFFF, 0xFFFFFFFF
_ENCRYPTED: Final = 0x1
_STRONGLY_ENCRYPTED: Final = 0x40
_HIDDEN_DIRECTORY: Final = 0x2000
_UTF_8: Final = 0x800
_ZIP_64: Final = 0x0001
_METHODS: Final = frozenset({0, 8, 12, 14})
"""Stored, deflate, bzip2, LZMA: what every Python can unpack."""


class BadArchive(Exception):
    """The bytes are no zip that a node could unpack; the text says why, as a whole sentence."""


class Span(NamedTuple):
    """A part of the archive."""

    offset: int
    length: int


class _Directory(NamedTuple):
    """Where the list of files is, and how far places in it are shifted by bytes before the zip."""

    start: int
    length: int
    entries: int
    shift: int


Examination = Generator[Span, bytes, None]


def examine(size: int) -> Examination:
    """Yield the spans to look at, and take the bytes of each; at the end all was good.

    size    of the archive in bytes
    raises  BadArchive
    """
    tail_start = max(0, size - _COMMENT_BYTES_MAX - _END.size)
    tail = b""
    if size >= _END.size:
        tail = yield Span(tail_start, size - tail_start)
    directory = yield from _find_directory(tail, tail_start, size)
    yield from _check_entries(directory)


def _find_directory(tail: bytes, tail_start: int, size: int) -> Generator[Span, bytes, _Directory]:
    at = _find_end(tail)
    _, disk, first_disk, _, entries, length, offset, _ = _END.unpack_from(tail, at)
    end = tail_start + at
    if _UNKNOWN_16 in (disk, first_disk, entries) or _UNKNOWN_32 in (length, offset):
        place = end - _LOCATOR_64.size
        locator = (yield Span(place, _LOCATOR_64.size)) if place >= 0 else b""
        if locator.startswith(b"PK\6\7"):
            _, _, end, _ = _LOCATOR_64.unpack(locator)
            if end > place - _END_64.size:
                raise BadArchive("It names a place outside of itself.")
            record = yield Span(end, _END_64.size)
            if not record.startswith(b"PK\6\6"):
                raise BadArchive("It does not have the end that it names.")
            _, _, _, _, disk, first_disk, _, entries, length, offset = _END_64.unpack(record)
    if disk or first_disk:
        raise BadArchive("It is one part of an archive that was split.")
    if length > DIRECTORY_BYTES_MAX or entries > ENTRIES_MAX:
        raise BadArchive(f"It lists more than {ENTRIES_MAX} files.")
    start = end - length
    if start < 0 or start < offset or entries * _ENTRY.size > length:
        raise BadArchive("Its list of files is cut off.")
    return _Directory(start, length, entries, start - offset)


def _find_end(tail: bytes) -> int:
    """Return where the record is that ends the archive: nothing but its comment follows."""
    at = tail.rfind(b"PK\5\6")
    while at >= 0:
        if at + _END.size <= len(tail):
            comment_length = _END.unpack_from(tail, at)[-1]
            if at + _END.size + comment_length == len(tail):
                return at
        at = tail.rfind(b"PK\5\6", 0, at)
    raise BadArchive("It does not end as a zip does: it is cut off, or something else.")


def _check_entries(directory: _Directory) -> Examination:
    held, at_held = b"", 0
    count = packed_bytes = 0
    at, end = directory.start, directory.start + directory.length
    # By length, not by count: who unpacks it will take whatever the list has.
    while at < end or at_held < len(held):
        while (needed := _entry_length(held, at_held)) > len(held) - at_held:
            if at == end:
                raise BadArchive("Its list of files is cut off.")
            piece = yield Span(at, min(PIECE_BYTES, end - at))
            at += len(piece)
            held, at_held = held[at_held:] + piece, 0
        data_start, data_length = _check_entry(held[at_held : at_held + needed], directory.shift)
        at_held += needed
        packed_bytes += data_length
        # Files that share their bytes make a small archive unpack to any size.
        if data_start + data_length > directory.start or packed_bytes > directory.start:
            raise BadArchive("Its files overlap, or reach beyond its end.")
        count += 1
        if count == 1:
            signature = yield Span(data_start, 4)
            if signature != b"PK\3\4":
                raise BadArchive("Its list of files does not lead to the files.")
    if count != directory.entries:
        raise BadArchive(f"It lists {count} files and says that they are {directory.entries}.")


def _entry_length(held: bytes, at: int) -> int:
    """Return how many bytes the entry there takes, as far as that can be told."""
    if len(held) - at < _ENTRY.size:
        return _ENTRY.size
    fields = _ENTRY.unpack_from(held, at)
    return _ENTRY.size + sum(fields[10:13])


def _check_entry(entry: bytes, shift: int) -> tuple[int, int]:
    """Return where a file begins, and at least how many bytes it takes."""
    (signature, _, _, flags, method, _, _, _, packed, unpacked, *rest) = _ENTRY.unpack_from(entry)
    name_length, extra_length, _, disk, _, _, offset = rest
    if signature != b"PK\1\2":
        raise BadArchive("Its list of files is damaged.")
    name = _decoded(entry[_ENTRY.size : _ENTRY.size + name_length], flags)
    _check_name(name)
    if flags & (_ENCRYPTED | _STRONGLY_ENCRYPTED | _HIDDEN_DIRECTORY):
        raise BadArchive(f"'{name[:100]}' in it is encrypted, and nodes have no password.")
    if method not in _METHODS:
        raise BadArchive(
            f"'{name[:100]}' in it is packed by method {method}, which nodes do not know; pack it "
            "with deflate."
        )
    if disk not in (0, _UNKNOWN_16):
        raise BadArchive("It is one part of an archive that was split.")
    large = [value == _UNKNOWN_32 for value in (unpacked, packed, offset)]
    if any(large):
        extra_start = _ENTRY.size + name_length
        extra = entry[extra_start : extra_start + extra_length]
        found = iter(_large_values(extra, sum(large)))
        _, packed, offset = (
            next(found) if is_large else value
            for is_large, value in zip(large, (unpacked, packed, offset), strict=True)
        )
    return shift + offset, _LOCAL_BYTES + name_length + packed


def _large_values(extra: bytes, count: int) -> tuple[int, ...]:
    """Return the values that did not fit into 32 bits."""
    at = 0
    while at + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, at)
        at += _EXTRA.size
        if kind == _ZIP_64 and 8 * count <= length <= len(extra) - at:
            return struct.unpack_from(f"<{count}Q", extra, at)
        at += length
    raise BadArchive("Its list of files is damaged.")


def _decoded(name: bytes, flags: int) -> str:
    try:
        return name.decode("utf-8" if flags & _UTF_8 else "cp437")
    except UnicodeDecodeError:
        raise BadArchive("It has a file whose name is no text.") from None


def _check_name(name: str) -> None:
    """Raise BadArchive for a name that leads out of the directory it is unpacked into."""
    parts = name.replace("\\", "/").split("/")
    is_absolute = parts[0] == "" or (len(parts[0]) == 2 and parts[0][1] == ":")
    if is_absolute or ".." in parts or "\0" in name:
        raise BadArchive(f"The name '{name[:100]}' in it leads out of the package's directory.")
