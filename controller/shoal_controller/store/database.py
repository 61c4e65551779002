"""One writer with group commit, and readers on snapshots.

A write is a function of a transaction. It joins the next group: it runs whole or not at all (a
savepoint), and its caller is answered once the group is on disk. The group is closed when nothing
more waits, so a lonely write costs one fsync and ten thousand cost a few.

The statements run on the event loop, in rounds of a few milliseconds; only the commit, which waits
for the disk, runs on a thread. docs/decisions/0001 says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeVar

import aiosqlite

from shoal_controller.core.errors import Unavailable

T = TypeVar("T")
Row = sqlite3.Row

ROUND_S: Final = 0.003
"""After so long the writer lets others have the loop, in the middle of a group if need be."""
GROUP_S_MAX: Final = 0.05
"""A group is committed after so long even if more is waiting, so that nobody waits long."""


@dataclass(slots=True)
class Tx:
    """What one write may use: the connection, and what shall follow its commit.

    changes   for the index, in order
    messages  (node serial, message), sent over the node's link
    wakes     names of loops that have something to do now
    """

    connection: sqlite3.Connection
    changes: list[Any] = field(default_factory=list[Any])
    messages: list[tuple[int, Any]] = field(default_factory=list[tuple[int, Any]])
    wakes: set[str] = field(default_factory=set[str])

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        return self.connection.execute(sql, parameters)

    def row(self, sql: str, parameters: Any = ()) -> Row | None:
        """Return the first row, or None."""
        return self.connection.execute(sql, parameters).fetchone()

    def rows(self, sql: str, parameters: Any = ()) -> list[Row]:
        return self.connection.execute(sql, parameters).fetchall()


@dataclass(slots=True)
class _Write:
    run: Callable[[Tx], Any]
    tx: Tx
    answer: asyncio.Future[Any] | None
    result: Any = None
    error: BaseException | None = None


class Database:
    """The state of one account in one SQLite file."""

    def __init__(
        self,
        path: Path,
        committed: Callable[[Tx], None],
        *,
        commit_inline: bool = False,
        clock_s: Callable[[], float] = monotonic,
    ) -> None:
        """Open, and create where absent.

        committed      called for each write after its commit, in commit order, before its caller
                       is answered
        commit_inline  commits and reads too run on the loop: for the simulation, which owns every
                       step
        clock_s        monotonic seconds: how long a group and a round of it may take
        """
        self._committed = committed
        self._path = path
        self._writer = _connect(path)
        self._queue: deque[_Write] = deque()
        self._readers: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        self._reader_count = 0
        self._opening: asyncio.Task[None] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._thread = None if commit_inline else ThreadPoolExecutor(1, "commit")
        self._inline_reader = _connect(path) if commit_inline else None
        self._clock_s = clock_s
        self._closed = False
        _migrate(self._writer)

    async def write(self, run: Callable[[Tx], T]) -> T:
        """Run `run` in the next group and return what it returned once that is on disk.

        What it raises goes to the caller alone, and nothing of it is kept. Raises Unavailable when
        the disk refuses the group.
        """
        if self._closed:
            raise Unavailable("the database is closed")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append(_Write(run, Tx(self._writer), answer))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._write_groups())
        return await answer

    async def read(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
        """Return the rows of one statement, on a snapshot, without disturbing the writer."""
        if self._inline_reader is not None:
            await asyncio.sleep(0)
            return self._inline_reader.execute(sql, parameters).fetchall()
        reader = await self._reader()
        try:
            return list(await reader.execute_fetchall(sql, parameters))
        finally:
            self._readers.put_nowait(reader)

    def read_now(self, sql: str, parameters: Any = ()) -> list[Row]:
        """Return rows at once, on the loop: for start-up, before the first write."""
        return self._writer.execute(sql, parameters).fetchall()

    async def close(self) -> None:
        """Finish what was accepted, then close."""
        self._closed = True
        if self._pump is not None:
            await self._pump
        for _ in range(self._reader_count):
            await (await self._readers.get()).close()
        if self._thread is not None:
            self._thread.shutdown()
        if self._inline_reader is not None:
            self._inline_reader.close()
        self._writer.close()

    async def _reader(self) -> aiosqlite.Connection:
        if self._readers.empty() and self._reader_count < 2:
            self._reader_count += 1
            self._opening = asyncio.create_task(self._open_reader())
            # Whoever asked may be cancelled meanwhile; the reader is then the next one's.
            await asyncio.shield(self._opening)
        return await self._readers.get()

    async def _open_reader(self) -> None:
        try:
            reader = await aiosqlite.connect(self._path, isolation_level=None)
        except BaseException:
            self._reader_count -= 1
            raise
        reader.row_factory = sqlite3.Row
        await reader.execute("PRAGMA query_only = 1")
        self._readers.put_nowait(reader)

    # --- the writer -------------------------------------------------------------------------------

    async def _write_groups(self) -> None:
        while self._queue:
            group: list[_Write] = []
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                await self._run_group(group)
                await self._commit()
            except (sqlite3.Error, OSError) as err:
                self._refuse_group(group, err)
                continue
            for write in group:
                if write.error is None:
                    self._committed(write.tx)
                _answer(write)

    async def _commit(self) -> None:
        if self._thread is None:
            self._writer.commit()
        else:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, self._writer.commit)

    async def _run_group(self, group: list[_Write]) -> None:
        begun = round_begun = self._clock_s()
        while self._queue:
            write = self._queue.popleft()
            if write.answer is not None and write.answer.cancelled():
                continue
            group.append(write)
            self._run_one(write)
            now = self._clock_s()
            if now - begun > GROUP_S_MAX:
                return
            if now - round_begun > ROUND_S:
                await asyncio.sleep(0)
                round_begun = self._clock_s()

    def _run_one(self, write: _Write) -> None:
        self._writer.execute("SAVEPOINT one")
        try:
            write.result = write.run(write.tx)
        except BaseException as err:
            if isinstance(err, sqlite3.OperationalError):
                raise  # the disk, not the caller: the group fails as one
            self._writer.execute("ROLLBACK TO one")
            write.error = err
        self._writer.execute("RELEASE one")

    def _refuse_group(self, group: list[_Write], err: Exception) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._writer.rollback()
        if not group and self._queue:  # BEGIN itself failed
            group = [self._queue.popleft()]
        for write in group:
            write.error = Unavailable(f"the database could not store this: {err}")
            _answer(write)


def _answer(write: _Write) -> None:
    if write.answer is None or write.answer.done():
        return
    if write.error is not None:
        write.answer.set_exception(write.error)
    else:
        write.answer.set_result(write.result)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cache_size = -65536")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    return connection


def schemas() -> list[str]:
    """Return what makes the newest schema of an empty file: version 1, then each migration.

    A migration is a numbered file; what was released is never changed again.
    """
    store = files("shoal_controller.store")
    numbered = sorted(
        (file for file in store.joinpath("migrations").iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    for number, file in enumerate(numbered, 2):
        assert file.name.startswith(f"{number:04}_"), file.name
    return [file.read_text("utf-8") for file in (store.joinpath("schema.sql"), *numbered)]


def _migrate(connection: sqlite3.Connection) -> None:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    known = schemas()
    if version > len(known):
        raise SystemExit(
            f"the state was written by a newer Shoal (schema {version}, known {len(known)})"
        )
    for number in range(version + 1, len(known) + 1):
        connection.executescript(
            f"BEGIN; {known[number - 1]}\nPRAGMA user_version = {number}; COMMIT;"
        )
