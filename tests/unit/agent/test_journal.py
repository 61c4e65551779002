"""The journal gives back what was written, whatever happened to its end."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from shoal_agent import journal as module
from shoal_agent.core.records import (
    Accepted,
    Boot,
    Directory,
    Ended,
    Forgotten,
    Record,
    StartTaskEnded,
)
from shoal_agent.journal import Journal, JournalBroken
from shoal_protocol.specs import ExitInfo, OutputFile, RunId, TaskSpec

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
RECORDS: list[Record] = [
    Boot("b", AT),
    Accepted(RunId(1, 2), TaskSpec("j", "t", "c", output_files=(OutputFile("*", "u"),))),
    Ended(RunId(1, 2), ExitInfo(AT, AT, -9), 3.5),
    StartTaskEnded(1, ExitInfo(AT), True),
    Directory("j", "t", 1, 2.0, AT, 3.0, "m"),
    Forgotten((RunId(1, 2),)),
]


def reopened(folder: Path) -> tuple[Journal, list[Record]]:
    journal = Journal(folder)
    return journal, journal.open()


def test_what_was_appended_is_read_again(tmp_path: Path) -> None:
    journal, nothing = reopened(tmp_path)
    assert nothing == []
    journal.append(RECORDS[:2])
    journal.append(RECORDS[2:])
    journal.close()
    assert reopened(tmp_path)[1] == RECORDS


@pytest.mark.parametrize("cut", [1, 7, 8, 20])
def test_a_torn_batch_is_cut_off_whole_and_writing_goes_on(tmp_path: Path, cut: int) -> None:
    journal, _ = reopened(tmp_path)
    journal.append(RECORDS[:2])
    size = (tmp_path / "journal.0").stat().st_size
    journal.append(RECORDS[2:4])
    journal.close()
    with (tmp_path / "journal.0").open("r+b") as file:
        file.truncate(size + cut)
    journal, records = reopened(tmp_path)
    assert records == RECORDS[:2]
    journal.append(RECORDS[4:])
    journal.close()
    assert reopened(tmp_path)[1] == RECORDS[:2] + RECORDS[4:]


def test_a_damaged_batch_ends_the_journal_there(tmp_path: Path) -> None:
    journal, _ = reopened(tmp_path)
    journal.append(RECORDS[:1])
    journal.append(RECORDS[1:])
    journal.close()
    path = tmp_path / "journal.0"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    assert reopened(tmp_path)[1] == RECORDS[:1]


def test_compaction_keeps_the_state_at_every_instant(tmp_path: Path) -> None:
    journal, _ = reopened(tmp_path)
    journal.append(RECORDS[:3])
    number = journal.begin_compaction()
    journal.append(RECORDS[3:4])
    # A crash before the base is there: the old file still counts.
    assert reopened(tmp_path)[1] == RECORDS[:4]
    journal.write_base(number, RECORDS[:1])
    journal.append(RECORDS[4:5])
    assert reopened(tmp_path)[1] == [RECORDS[0], *RECORDS[3:5]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal.1", "journal.1.base"]


def test_what_was_reserved_goes_on_as_the_next_file_and_stays_reserved(tmp_path: Path) -> None:
    folder, reserve = tmp_path / "journal", tmp_path / "reserve"
    folder.mkdir()
    journal = Journal(folder, reserve)
    journal.open()
    assert reserve.stat().st_size == module.RESERVE_BYTES
    journal.append(RECORDS[:2])
    assert journal._claim()  # as a full disk has it done
    assert not journal._claim()
    journal.append(RECORDS[2:4])
    journal.close()
    assert reopened(folder)[1] == RECORDS[:4]
    journal, _ = reopened(folder)
    assert (folder / "journal.1").stat().st_size == module.RESERVE_BYTES, "no block was let go"
    journal.append(RECORDS[4:])
    number = journal.begin_compaction()
    journal.write_base(number, RECORDS[:1])
    assert reopened(folder)[1] == RECORDS[:1]
    assert sorted(path.name for path in folder.iterdir()) == ["journal.2", "journal.2.base"]


def test_growth_asks_for_compaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROWTH_BYTES", 100)
    journal, _ = reopened(tmp_path)
    assert not journal.wants_compaction
    journal.append(RECORDS)
    assert journal.wants_compaction
    journal.begin_compaction()
    assert not journal.wants_compaction


def test_a_journal_of_another_program_is_said_to_be_one(tmp_path: Path) -> None:
    import struct
    import zlib

    payload = b"\x93\x01\x02\x03"
    frame = struct.pack("<II", len(payload), zlib.crc32(payload)) + payload
    (tmp_path / "journal.0").write_bytes(frame)
    with pytest.raises(JournalBroken):
        reopened(tmp_path)
