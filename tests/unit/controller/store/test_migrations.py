"""A state that an earlier version wrote becomes what a new one would be, and keeps its rows."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from shoal_controller.store.database import Database, schemas

JOB = (
    "INSERT INTO jobs (id, pool_id, definition, created_at, modified_at, state, state_at)"
    " VALUES ('old', 'p', x'', 0, 0, 'active', 0)"
)


def shape(path: Path) -> tuple[int, set[tuple[str, ...]]]:
    """Return the version of a file, and all columns and indexes it has."""
    connection = sqlite3.connect(path)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        columns: set[Any] = set()
        for name, sql in connection.execute("SELECT name, sql FROM sqlite_master").fetchall():
            rows = connection.execute(f"PRAGMA table_info({name})").fetchall()
            columns |= {(name, *row[1:]) for row in rows} or {(name, sql)}
        return version, columns
    finally:
        connection.close()


async def test_every_earlier_schema_is_brought_up_to_the_newest(tmp_path: Path) -> None:
    fresh = tmp_path / "fresh.db"
    await Database(fresh, lambda tx: None).close()
    known = schemas()
    assert shape(fresh)[0] == len(known)
    for version in range(1, len(known)):
        path = tmp_path / f"{version}.db"
        connection = sqlite3.connect(path)
        for number in range(1, version + 1):
            connection.executescript(f"{known[number - 1]}; PRAGMA user_version = {number};")
        connection.execute(JOB)
        connection.commit()
        connection.close()
        database = Database(path, lambda tx: None)
        assert [row["id"] for row in await database.read("SELECT id FROM jobs")] == ["old"]
        await database.close()
        assert shape(path) == shape(fresh), version


async def test_a_state_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 9999")
    connection.close()
    with pytest.raises(SystemExit, match="newer Shoal"):
        Database(path, lambda tx: None)
    assert shape(path) == (9999, set())
