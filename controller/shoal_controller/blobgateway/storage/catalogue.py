"""The SQLite file of one account: one writing thread with group commit, reading threads beside it.

A write is a function of a connection. Those that wait together share one transaction and one
fsync, each in a savepoint of its own: a write that raises undoes itself and nobody else. An await
on `write` returns only after the commit is on disk.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from shoal_controller.blobgateway import storage

T = TypeVar("T")
READERS = 4
GROUP_MAX = 256
SCHEMA_VERSION = 1


class Catalogue:
    """Open with the constructor (blocking), close with `close` (blocking); use from one loop.

    raises  RuntimeError when the file was made by a version that keeps it differently
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = self._connect()
        self._prepare()
        self._queue: queue.SimpleQueue[tuple[Callable[[Any], Any], Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        self._local = threading.local()
        self._reading: list[sqlite3.Connection] = []
        self._readers = ThreadPoolExecutor(READERS, "blobs-read")
        self._writer = threading.Thread(target=self._write_loop, name="blobs-write", daemon=True)
        self._writer.start()

    def _prepare(self) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            schema = files(storage).joinpath("schema.sql").read_text("utf-8")
            self._connection.executescript(schema)
            self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            self._connection.close()
            raise RuntimeError(
                f"{self._path} has schema {version}, this program knows {SCHEMA_VERSION}"
            )

    async def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Run `change` in the writing thread and return its result once committed.

        raises  what `change` raised, having undone it; sqlite3.Error when the disk refuses
        A caller that is cancelled cannot take the write back: it happens all the same.
        """
        assert self._writer.is_alive(), "written to after close"
        future: Future[T] = Future()
        self._queue.put((change, future))
        return await asyncio.wrap_future(future)

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run `query` in a reading thread; it sees one snapshot, the last commit at its start."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query)

    def close(self) -> None:
        """Finish the queued writes, then let go of the file."""
        self._queue.put(None)
        self._writer.join()
        self._readers.shutdown()
        for connection in self._reading:
            connection.close()
        self._connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("PRAGMA cache_size = -4000")
        return connection

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            self._local.connection = connection
            self._reading.append(connection)
        connection.execute("BEGIN")
        try:
            return query(connection)
        finally:
            connection.execute("ROLLBACK")

    def _write_loop(self) -> None:
        while (first := self._queue.get()) is not None:
            group = [first]
            ended = False
            while len(group) < GROUP_MAX and not ended:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ended = True
                else:
                    group.append(more)
            self._commit(group)
            if ended:
                return

    def _commit(self, group: list[tuple[Callable[[Any], Any], Future[Any]]]) -> None:
        done: list[tuple[Future[Any], Any]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for change, future in group:
                self._connection.execute("SAVEPOINT one")
                try:
                    done.append((future, change(self._connection)))
                except Exception as error:
                    # A full disk may have ended the whole transaction; then this raises too.
                    self._connection.execute("ROLLBACK TO one")
                    _settle(future, error=error)
                self._connection.execute("RELEASE one")
            self._connection.execute("COMMIT")
        except Exception as error:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            for _, future in group:
                if not future.done():
                    _settle(future, error=error)
            return
        for future, result in done:
            _settle(future, result=result)


def _settle(
    future: "Future[Any]", *, result: Any = None, error: BaseException | None = None
) -> None:
    # A future whose waiter was cancelled takes no answer; the write itself stands.
    if future.set_running_or_notify_cancel():
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
