"""One writer with group commit, and readers on snapshots.

A write is a function of a transaction. It joins the next group: it runs whole or not at all (a
savepoint), and its caller is answered once the group is on disk. The group is closed when nothing
more waits, so a lonely write costs one fsync and ten thousand cost a few.

A full disk takes nothing new, but still lets go: store/reserve.py is for that.

The statements of writes run on the event loop, in rounds of a few milliseconds; only the commit,
which waits for the disk, runs on a thread. docs/decisions/0001 says why. Reads run on threads of
their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import Any, Final, TypeVar

from shoal_controller.core.errors import Unavailable
from shoal_controller.store.reserve import Reserve

log = logging.getLogger(__name__)

T = TypeVar("T")
Row = sqlite3.Row

ROUND_S: Final = 0.003
"""After so long the writer lets others have the loop, in the middle of a group if need be."""
GROUP_S_MAX: Final = 0.05
"""A group is committed after so long even if more is waiting, so that nobody waits long."""
READERS_MAX: Final = 2
NO_ROOM: Final = (
    "the controller's disk is full: delete jobs or tasks, or make room on it, before anything new"
    " is added"
)
_STATEMENT: Final = re.compile(r"(?:CREATE (?:UNIQUE )?INDEX (?P<made>\w+)|DROP INDEX)[^;]*")
_LOG_PART: Final = 4
_FULL: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
"""What SQLite says of a full disk; the second also when it was to make a file of its own."""


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
    grows: bool
    answer: asyncio.Future[Any] | None
    is_second_try: bool = False
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
        reserve_bytes: int = 0,
    ) -> None:
        """Open, and create where absent.

        committed      called for each write after its commit, in commit order, before its caller
                       is answered
        commit_inline  commits and reads too run on the loop: for the simulation, which owns every
                       step
        clock_s        monotonic seconds: how long a group and a round of it may take
        reserve_bytes  of the disk, kept for writes that do not grow; 0: none
        """
        self._committed = committed
        self._path = path
        reserve_path = path.with_name(f"{path.name}.reserve")
        self._reserve = Reserve(reserve_path, reserve_bytes) if reserve_bytes else None
        self._had_room = True
        self._writer = self._open()
        self._queue: deque[_Write] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._thread = None if commit_inline else ThreadPoolExecutor(1, "commit")
        self._inline_reader = _open_reader(path) if commit_inline else None
        self._read_threads = None if commit_inline else ThreadPoolExecutor(READERS_MAX, "read")
        self._readers: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._clock_s = clock_s
        self._closed = False
        _migrate(self._writer)

    async def write(self, run: Callable[[Tx], T], *, grows: bool = False) -> T:
        """Run `run` in the next group and return what it returned once that is on disk.

        grows   it stores something new: refused when only the reserve is left of the disk
        What it raises goes to the caller alone, and nothing of it is kept. Raises Unavailable when
        the disk refuses the group. It is run again when it found the disk full and that was mended.
        """
        if self._closed:
            raise Unavailable("the database is closed")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append(_Write(run, Tx(self._writer), grows, answer))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._write_groups())
        return await answer

    def has_room(self) -> bool:
        """Whether something new can be stored: on the disk, or in the file where others were."""
        if self._reserve is None:
            return True
        had_room = self._had_room
        self._had_room = self._reserve.leaves_room() or self._free_bytes() >= self._log_bytes
        if had_room and not self._had_room:
            log.warning("%s: %s", self._path, NO_ROOM)
        elif self._had_room and not had_room:
            log.info("%s: there is room again", self._path)
        return self._had_room

    async def read(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
        """Return the rows of one statement, on a snapshot, without disturbing the writer."""
        return await self.query(lambda reader: reader.execute(sql, parameters).fetchall())

    async def query(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `ask` finds out, on one snapshot and on a thread where nobody waits for it.

        ask   may run any number of statements that read; it keeps one of READERS_MAX readers busy
        """
        if self._closed:
            raise Unavailable("the database is closed")
        if self._read_threads is None:
            assert self._inline_reader is not None
            await asyncio.sleep(0)
            return _on_snapshot(self._inline_reader, ask)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._read_threads, self._ask, ask)

    def read_now(self, sql: str, parameters: Any = ()) -> list[Row]:
        """Return rows at once, on the loop: for start-up, before the first write."""
        return self._writer.execute(sql, parameters).fetchall()

    async def close(self) -> None:
        """Finish what was accepted, then close."""
        self._closed = True
        if self._pump is not None:
            await self._pump
        if self._read_threads is not None:
            self._read_threads.shutdown()
        while not self._readers.empty():
            self._readers.get().close()
        if self._thread is not None:
            self._thread.shutdown()
        if self._inline_reader is not None:
            self._inline_reader.close()
        self._writer.close()
        if self._reserve is not None:
            self._reserve.close()

    @property
    def _log_bytes(self) -> int:
        """Becomes the log's own on a full disk; and so much must be free in the file for more."""
        assert self._reserve is not None
        return self._reserve.size // _LOG_PART

    def _free_bytes(self) -> int:
        (pages,) = self._writer.execute("PRAGMA freelist_count").fetchone()
        (page_bytes,) = self._writer.execute("PRAGMA page_size").fetchone()
        return pages * page_bytes

    def _ask(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """Run on a reading thread; there are no more readers than such threads."""
        reader = _open_reader(self._path) if self._readers.empty() else self._readers.get()
        try:
            return _on_snapshot(reader, ask)
        finally:
            self._readers.put(reader)

    # --- the writer -------------------------------------------------------------------------------

    async def _write_groups(self) -> None:
        while self._queue:
            group: list[_Write] = []
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                await self._run_group(group)
                await self._commit()
            except (sqlite3.Error, OSError) as err:
                with contextlib.suppress(sqlite3.Error):
                    self._writer.rollback()
                if self._reserve is not None and _is_full(err) and self._reserve.release():
                    await self._in_thread(self._make_room)
                    self._try_again(group, err)
                elif group:
                    self._refuse_group(group, err)
                elif self._queue:  # BEGIN itself failed
                    self._refuse_group([self._queue.popleft()], err)
                continue
            for write in group:
                if write.error is None:
                    self._committed(write.tx)
                _answer(write)

    async def _commit(self) -> None:
        await self._in_thread(self._writer.commit)

    async def _in_thread(self, run: Callable[[], None]) -> None:
        if self._thread is None:
            run()
        else:
            await asyncio.get_running_loop().run_in_executor(self._thread, run)

    def _open(self) -> sqlite3.Connection:
        try:
            return _connect(self._path)
        except sqlite3.OperationalError as err:
            if self._reserve is None or not _is_full(err) or not self._reserve.release():
                raise
            return _connect(self._path)

    def _make_room(self) -> None:
        """Turn what the reserve was into room for the log, before anybody else takes it.

        The log gets blocks of its own, and what it holds already goes where it belongs while that
        file can still grow. From then on it is written over and over again.
        """
        with contextlib.suppress(OSError):
            log_fd = os.open(f"{self._path}-wal", os.O_RDWR | os.O_CLOEXEC)
            try:
                os.posix_fallocate(log_fd, 0, self._log_bytes)
            finally:
                os.close(log_fd)
        with contextlib.suppress(sqlite3.Error):
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    async def _run_group(self, group: list[_Write]) -> None:
        begun = round_begun = self._clock_s()
        while self._queue:
            write = self._queue.popleft()
            if write.answer is not None and write.answer.cancelled():
                continue
            if write.grows and not self.has_room():
                write.error = Unavailable(NO_ROOM)
                _answer(write)
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

    def _try_again(self, group: list[_Write], err: Exception) -> None:
        """Put a group before the others that wait; what failed twice is refused."""
        self._refuse_group([write for write in group if write.is_second_try], err)
        for write in reversed(group):
            if not write.is_second_try:
                fresh = Tx(self._writer)
                again = _Write(write.run, fresh, write.grows, write.answer, is_second_try=True)
                self._queue.appendleft(again)

    def _refuse_group(self, group: list[_Write], err: Exception) -> None:
        for write in group:
            write.error = Unavailable(f"the database could not store this: {err}")
            _answer(write)


def _is_full(err: Exception) -> bool:
    # The low byte is the kind of the error.
    return isinstance(err, sqlite3.Error) and getattr(err, "sqlite_errorcode", 0) & 0xFF in _FULL


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


def _open_reader(path: Path) -> sqlite3.Connection:
    reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    reader.row_factory = sqlite3.Row
    reader.execute("PRAGMA query_only = 1")
    return reader


def _on_snapshot(reader: sqlite3.Connection, ask: Callable[[sqlite3.Connection], T]) -> T:
    reader.execute("BEGIN")
    try:
        return ask(reader)
    finally:
        reader.execute("ROLLBACK")


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
    _make_indexes(connection)


def _make_indexes(connection: sqlite3.Connection) -> None:
    """Bring the indexes to what indexes.sql says; those that are so already are left alone."""
    there: dict[str, str] = dict(
        connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql > ''")
    )
    text = re.sub(r"--.*", "", _sql("indexes.sql"))
    for statement in _STATEMENT.finditer(text):
        name, sql = statement["made"], " ".join(statement[0].split())
        if name is None:
            connection.execute(sql)
        elif there.get(name) != sql:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"DROP INDEX IF EXISTS {name}")
            connection.execute(sql)
            connection.execute("COMMIT")


def _sql(name: str) -> str:
    return files("shoal_controller.store").joinpath(name).read_text()
