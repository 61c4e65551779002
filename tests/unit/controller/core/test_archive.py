"""Zips, good and hostile, judged from what they say of themselves."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal_controller.core import archive
from shoal_controller.core.archive import PIECE_BYTES, BadArchive, examine


def check(data: bytes, *, read_max: int | None = None) -> None:
    """Let an archive be examined; all spans must lie inside of it."""
    examination = examine(len(data))
    read = 0
    try:
        span = next(examination)
        while True:
            assert 0 <= span.offset <= span.offset + span.length <= len(data), span
            assert 0 < span.length <= 65_535 + 22
            read += span.length
            assert read_max is None or read <= read_max
            span = examination.send(data[span.offset : span.offset + span.length])
    except StopIteration:
        return


def zipped(
    files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b""
) -> bytes:
    """Return a zip as Python makes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        for name, content in files.items():
            made.writestr(name, content)
        made.comment = comment
    return buffer.getvalue()


def refusal(data: bytes) -> str:
    with pytest.raises(BadArchive) as refused:
        check(data)
    return str(refused.value)


FILES = {"bin/run.sh": b"#!/bin/sh\n" * 99, "data/": b"", "data/ü.bin": bytes(5000)}


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_zips_of_every_usual_kind_are_good(method: int) -> None:
    check(zipped(FILES, method))


def test_a_comment_an_empty_zip_and_bytes_before_the_zip_are_good() -> None:
    check(zipped(FILES, comment=b"PK\5\6" * 16_000))
    check(zipped({}))
    check(b"#!/usr/bin/env unpacker\n" + zipped(FILES))


def of_empty_files(count: int) -> bytes:
    """Return a zip of so many empty files, with the end that more than 65,535 of them need."""
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 10, 0, 0, 0, 0, 0, 0, 0, 5, 0)
    listed = struct.Struct("<4s6H3L5H2L")
    files = b"".join(local + b"%05x" % number for number in range(count))
    entries = b"".join(
        listed.pack(b"PK\1\2", 20, 10, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 35 * number)
        + b"%05x" % number
        for number in range(count)
    )
    sums = (count, count, len(entries), len(files))
    end_64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, *sums)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(files) + len(entries), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, *sums[2:], 0)
    return files + entries + end_64 + locator + end


def test_a_zip_of_many_files_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    data = of_empty_files(66_000)
    assert len(zipfile.ZipFile(io.BytesIO(data)).infolist()) == 66_000
    check(data, read_max=66_000 * 51 + 4 * PIECE_BYTES)
    monkeypatch.setattr(archive, "ENTRIES_MAX", 65_999)
    assert "more than 65999 files" in refusal(data)


def test_a_zip_with_64_bit_sizes_is_good() -> None:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w") as made,
        made.open("big.bin", "w", force_zip64=True) as file,
    ):
        file.write(b"0" * 10)
    data = bytearray(buffer.getvalue())
    check(bytes(data))
    # As a file beyond 4 GiB is listed: the sizes and the place stand in the extra field.
    entry = data.index(b"PK\1\2")
    packed, unpacked = struct.unpack_from("<2L", data, entry + 20)
    extra = struct.pack("<2H3Q", 1, 24, unpacked, packed, 0)
    struct.pack_into("<2L", data, entry + 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<H", data, entry + 30, len(extra))
    struct.pack_into("<L", data, entry + 42, 0xFFFFFFFF)
    name_end = entry + 46 + len("big.bin")
    (old_extra,) = (data.index(b"PK\5\6") - name_end,)
    data[name_end : name_end + old_extra] = extra
    end = data.index(b"PK\5\6")
    struct.pack_into("<L", data, end + 12, end - entry)
    check(bytes(data))
    struct.pack_into("<Q", data, name_end + 12, 2**63)
    assert "overlap" in refusal(bytes(data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "does not end as a zip"),
        (b"Hello World", "does not end as a zip"),
        (bytes(100_000), "does not end as a zip"),
        (zipped(FILES)[:-1], "does not end as a zip"),
        (zipped(FILES)[:-30], "does not end as a zip"),
        (zipped(FILES)[100:], "cut off"),
        (b"\x1f\x8b" + bytes(60), "does not end as a zip"),
    ],
)
def test_what_is_no_zip_or_cut_off_is_refused(data: bytes, reason: str) -> None:
    assert reason in refusal(data)


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/etc/passwd", "..", "C:/windows/evil", "a\\..\\..\\evil", "\\x"],
)
def test_names_that_lead_out_of_the_directory_are_refused(name: str) -> None:
    data = zipped({"a-" + "x" * (len(name) - 2): b"data"})
    placeholder = ("a-" + "x" * (len(name) - 2)).encode()
    assert "leads out" in refusal(data.replace(placeholder, name.encode()))


def test_names_with_dots_inside_are_good() -> None:
    check(zipped({"..hidden/a..b": b"", "c.d/.e": b"", "f:g": b""}))


def entry_changed(data: bytes, offset: int, form: str, value: int) -> bytes:
    """Return a zip with one field of its first listed file changed."""
    changed = bytearray(data)
    struct.pack_into(form, changed, changed.index(b"PK\1\2") + offset, value)
    return bytes(changed)


@pytest.mark.parametrize(
    ("offset", "form", "value", "reason"),
    [
        (8, "<H", 0x1, "encrypted"),
        (8, "<H", 0x2000, "encrypted"),
        (10, "<H", 9, "method 9"),
        (10, "<H", 93, "method 93"),
        (20, "<L", 2**31, "overlap"),
        (42, "<L", 2**31, "overlap"),
        (42, "<L", 7, "does not lead to the files"),
        (34, "<H", 3, "split"),
        (0, "<L", 0, "damaged"),
        (28, "<H", 65_535, "cut off"),
        (24, "<L", 0xFFFFFFFF, "damaged"),
    ],
)
def test_entries_that_cannot_be_unpacked_are_refused(
    offset: int, form: str, value: int, reason: str
) -> None:
    assert reason in refusal(entry_changed(zipped(FILES), offset, form, value))


def test_files_that_share_their_bytes_are_refused() -> None:
    """The bomb whose files all lead to one block of data."""
    data = zipped({"a.bin": bytes(50_000)}, zipfile.ZIP_DEFLATED)
    start = data.index(b"PK\1\2")
    end = data.index(b"PK\5\6")
    listed = data[start:end] * 1000
    tail = bytearray(data[end:])
    struct.pack_into("<2H2L", tail, 8, 1000, 1000, len(listed), start)
    assert "overlap" in refusal(data[:start] + listed + bytes(tail))


def test_a_count_that_is_not_that_of_the_list_is_refused() -> None:
    data = bytearray(zipped(FILES))
    end = data.index(b"PK\5\6")
    struct.pack_into("<2H", data, end + 8, 1, 1)
    assert "says that they are 1" in refusal(bytes(data))
    struct.pack_into("<2H", data, end + 8, 60_000, 60_000)
    assert "cut off" in refusal(bytes(data))


def test_a_list_that_claims_to_be_huge_is_refused_before_it_is_read() -> None:
    data = bytearray(zipped(FILES))
    end = data.index(b"PK\5\6")
    struct.pack_into("<L", data, end + 12, 2**31)
    assert "more than" in refusal(bytes(data))


def test_parts_of_a_split_archive_are_refused() -> None:
    data = bytearray(zipped(FILES))
    struct.pack_into("<H", data, data.index(b"PK\5\6") + 4, 2)
    assert "split" in refusal(bytes(data))


def test_an_end_that_names_another_end_elsewhere_is_refused() -> None:
    data = zipped(FILES)
    end = data.index(b"PK\5\6")
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 2**60, 1)
    tail = bytearray(data[end:])
    struct.pack_into("<H", tail, 10, 0xFFFF)
    assert "outside" in refusal(data[:end] + locator + bytes(tail))
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)
    assert "does not have the end" in refusal(data[:end] + bytes(56) + locator + bytes(tail))


@settings(max_examples=200)
@given(st.randoms(use_true_random=False), st.integers(1, 12))
def test_damage_anywhere_is_refused_or_harmless_and_never_anything_else(
    chance: random.Random, changes: int
) -> None:
    data = bytearray(zipped(FILES, comment=b"note"))
    for _ in range(changes):
        data[chance.randrange(len(data))] = chance.choice([0, 1, 0xFF, chance.randrange(256)])
    cut = chance.choice([len(data), chance.randrange(len(data))])
    try:
        check(bytes(data[:cut]))
    except BadArchive:
        return
