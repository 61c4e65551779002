"""Group commit: whole or not at all, and nobody is told before the commit."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shoal_controller.core.errors import Refused, Unavailable
from shoal_controller.store.database import Database, Tx
from shoal_controller.store.reserve import Reserve

INSERT = (
    "INSERT INTO jobs (id, pool_id, definition, created_at, modified_at, state, state_at)"
    " VALUES (?, 'p', x'', 0, 0, 'active', 0)"
)


@pytest.fixture(params=[False, True], ids=["thread", "inline"])
async def database(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    opened = Database(tmp_path / "s.db", lambda tx: None, commit_inline=request.param)
    yield opened
    await opened.close()


def count(path: Path) -> int:
    """What another process would see."""
    connection = sqlite3.connect(path)
    try:
        (value,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
        return value
    finally:
        connection.close()


async def test_an_answered_write_is_on_disk(database: Database, tmp_path: Path) -> None:
    await database.write(lambda tx: tx.execute(INSERT, ("a",)).lastrowid)
    assert count(tmp_path / "s.db") == 1


async def test_a_failing_write_fails_its_caller_alone(database: Database, tmp_path: Path) -> None:
    def half(tx: Tx) -> None:
        tx.execute(INSERT, ("half",))
        raise Refused("JobExists")

    answers = await asyncio.gather(
        database.write(lambda tx: tx.execute(INSERT, ("a",)).lastrowid),
        database.write(half),
        database.write(lambda tx: tx.execute(INSERT, ("b",)).lastrowid),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [int, Refused, int]
    assert count(tmp_path / "s.db") == 2


async def test_the_commit_comes_before_the_committed_call_and_that_before_the_answer(
    tmp_path: Path,
) -> None:
    path, events = tmp_path / "s.db", []
    database = Database(path, lambda tx: events.append(("told", count(path))))
    await database.write(lambda tx: tx.execute(INSERT, ("a",)).lastrowid)
    events.append(("answered", 1))
    assert events == [("told", 1), ("answered", 1)]
    await database.close()


async def test_many_waiting_writes_share_commits(tmp_path: Path) -> None:
    database = Database(tmp_path / "s.db", lambda tx: None)
    commits = 0

    def traced(statement: str) -> None:
        nonlocal commits
        commits += statement == "COMMIT"

    database._writer.set_trace_callback(traced)  # the only witness of what reaches SQLite
    await asyncio.gather(
        *(database.write(lambda tx, n=n: tx.execute(INSERT, (str(n),))) for n in range(500))
    )
    assert commits < 50
    database._writer.set_trace_callback(None)
    await database.close()
    assert count(tmp_path / "s.db") == 500


async def test_a_disk_that_refuses_fails_the_group_and_the_next_one_goes_on(
    database: Database, tmp_path: Path
) -> None:
    database._writer.execute(f"PRAGMA max_page_count = {_pages(database) + 1}")
    big = (
        "INSERT INTO jobs (id, pool_id, definition, created_at, modified_at, state, state_at)"
        " VALUES ('big', 'p', zeroblob(1000000), 0, 0, 'active', 0)"
    )
    with pytest.raises(Unavailable, match="full"):
        await database.write(lambda tx: tx.execute(big))
    database._writer.execute("PRAGMA max_page_count = 1000000")
    await database.write(lambda tx: tx.execute(INSERT, ("a",)))
    assert count(tmp_path / "s.db") == 1


async def test_what_finds_the_disk_full_is_tried_once_more_and_then_refused(tmp_path: Path) -> None:
    database = Database(tmp_path / "s.db", lambda tx: None, reserve_bytes=1 << 20)
    reserve = tmp_path / "s.db.reserve"
    assert reserve.stat().st_size == 1 << 20
    database._writer.execute(f"PRAGMA max_page_count = {_pages(database) + 1}")
    tries = 0

    def add_much(tx: Tx) -> None:
        nonlocal tries
        tries += 1
        tx.execute(INSERT, ("x" * 1_000_000,))

    big = asyncio.create_task(database.write(add_much))
    small = asyncio.create_task(database.write(lambda tx: tx.execute(INSERT, ("a",))))
    with pytest.raises(Unavailable, match="full"):
        await big
    assert tries == 2
    with contextlib.suppress(Unavailable):  # whoever shares the group shares its fate
        await small
    await database.write(lambda tx: tx.execute(INSERT, ("b",)))
    assert database.has_room(), "SQLite's own limit is not the disk's"
    assert reserve.stat().st_size == 1 << 20
    await database.close()


async def test_the_reserve_outlives_the_process_that_took_it(tmp_path: Path) -> None:
    path = tmp_path / "r"
    first = Reserve(path, 1 << 20)
    first.close()
    again = Reserve(path, 1 << 20)
    assert again.release()
    assert path.stat().st_size == 0
    assert not again.release()
    assert again.leaves_room()
    assert path.stat().st_size == 1 << 20
    again.close()


async def test_a_reader_sees_only_what_was_committed(database: Database) -> None:
    seen = asyncio.create_task(database.read("SELECT count(*) FROM jobs"))
    await asyncio.gather(database.write(lambda tx: tx.execute(INSERT, ("a",))), seen)
    assert seen.result()[0][0] in (0, 1)
    assert (await database.read("SELECT count(*) FROM jobs"))[0][0] == 1


async def test_what_one_query_asks_is_answered_from_one_snapshot(database: Database) -> None:
    loop = asyncio.get_running_loop()

    def ask(reader: sqlite3.Connection) -> list[int]:
        sql = "SELECT count(*) FROM jobs"
        counts = [reader.execute(sql).fetchone()[0]]
        if threading.current_thread() is not threading.main_thread():
            add = database.write(lambda tx: tx.execute(INSERT, ("a",)).lastrowid)
            asyncio.run_coroutine_threadsafe(add, loop).result(timeout=30)
        return [*counts, reader.execute(sql).fetchone()[0]]

    assert await database.query(ask) == [0, 0]


async def test_a_query_that_fails_leaves_its_reader_fit_for_others(database: Database) -> None:
    def fail(reader: sqlite3.Connection) -> None:
        reader.execute("SELECT 1").fetchone()
        raise Refused("JobExists")

    for _ in range(5):
        with pytest.raises(Refused):
            await database.query(fail)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await database.query(lambda reader: reader.execute(INSERT, ("a",)))
    assert (await database.read("SELECT count(*) FROM jobs"))[0][0] == 0


async def test_indexes_are_made_anew_where_they_are_not_what_they_should_be(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.db"
    names = "SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name"
    database = Database(path, lambda tx: None)
    made = [tuple(row) for row in database.read_now(names)]
    await database.close()
    older = sqlite3.connect(path)
    older.execute("DROP INDEX tasks_ended")
    older.execute("DROP INDEX tasks_active")
    older.execute("CREATE INDEX tasks_active ON tasks (state)")
    older.execute("CREATE INDEX tasks_by_job ON tasks (job_serial, serial)")
    older.close()
    database = Database(path, lambda tx: None)
    assert [tuple(row) for row in database.read_now(names)] == made
    await database.close()


async def test_a_closed_database_refuses(tmp_path: Path) -> None:
    database = Database(tmp_path / "s.db", lambda tx: None)
    await database.close()
    with pytest.raises(Unavailable):
        await database.write(lambda tx: None)
    with pytest.raises(Unavailable):
        await database.read("SELECT 1")


def _pages(database: Database) -> int:
    return database.read_now("PRAGMA page_count")[0][0]
