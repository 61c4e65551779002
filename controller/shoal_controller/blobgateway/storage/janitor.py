"""Numbers for chunks, and the removal of those that are no longer needed.

Chunks abandoned by a commit may still be read by a download that began before it. So every reader
notes how far the list of garbage went when it began, and garbage is removed up to the lowest note.
Numbers are handed out from reserved runs; after a crash only numbers from the last runs can have
files that no row names, so start-up looks at those instead of at every file.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from typing import Final

from shoal_controller.blobgateway.storage import containers
from shoal_controller.blobgateway.storage.catalogue import Catalogue
from shoal_controller.blobgateway.storage.files import ChunkFiles, ChunkWriter

NUMBERS_RESERVED: Final = 256
ROUND_CHUNKS: Final = 200
PAUSE_S: Final = 0.1
"""How long the janitor lets garbage gather before it pays for a round."""
SET_COUNTER = "INSERT OR REPLACE INTO counters VALUES (?, ?)"
GET_COUNTER = "SELECT value FROM counters WHERE name = ?"
LAST_GARBAGE = "SELECT coalesce(max(seq), 0) FROM garbage"
GARBAGE = "SELECT seq, chunk FROM garbage WHERE seq <= ? ORDER BY seq LIMIT ?"


class Janitor:
    """Owned by one BlobStore; all methods run on its event loop."""

    def __init__(self, catalogue: Catalogue, files: ChunkFiles) -> None:
        self._catalogue = catalogue
        self._files = files
        self._next = 0
        self._reserved = 0
        self._reserving = asyncio.Lock()
        self._cleaning = asyncio.Lock()
        self._unsettled: set[int] = set()
        self._holds: dict[int, int] = {}
        self._hold_count = 0
        self._seen = 0
        self._blocked = False
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Remove files of uploads a crash cut off, then clean in the background when woken."""
        swept, reserved = await self._catalogue.read(
            lambda db: (_counter(db, "chunks_swept"), _counter(db, "chunks_reserved"))
        )
        named = "SELECT id FROM chunks WHERE id >= ? AND id < ?"
        kept = await self._catalogue.read(
            lambda db: {row[0] for row in db.execute(named, (swept, reserved))}
        )
        for chunk in range(swept, reserved):
            if chunk not in kept:
                await asyncio.to_thread(self._files.remove, chunk)
        self._next = self._reserved = reserved
        self._task = asyncio.create_task(self._run(), name="blobs-janitor")
        self.wake()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def new_chunk(self) -> ChunkWriter:
        """A writer with a number that no other chunk has or had."""
        async with self._reserving:
            if self._next == self._reserved:
                await self._reserve()
            number = self._next
            self._next += 1
        self._unsettled.add(number)
        return ChunkWriter(self._files, number, self.committed)

    def committed(self, number: int) -> None:
        """A row names the chunk now, or nothing of it is left: no sweep need look at it."""
        self._unsettled.discard(number)

    def hold(self) -> Callable[[], None]:
        """Keep all that is readable now readable until the returned function is called."""
        self._hold_count += 1
        key = self._hold_count
        self._holds[key] = self._seen

        def release() -> None:
            if self._holds.pop(key, None) is not None and self._blocked:
                self.wake()

        return release

    def wake(self) -> None:
        self._wanted.set()

    async def clean(self) -> None:
        """Remove what can be removed now; what a reader holds stays for the next time."""
        async with self._cleaning:
            while await self._catalogue.read(containers.any_nameless):
                await self._catalogue.write(lambda db: containers.reap(db, ROUND_CHUNKS))
            self._seen = await self._catalogue.read(
                lambda db: db.execute(LAST_GARBAGE).fetchone()[0]
            )
            # Taken after `_seen`: a reader that begins from here on cannot see that garbage.
            limit = min(self._holds.values(), default=self._seen)
            self._blocked = limit < self._seen
            while rows := await self._catalogue.read(
                lambda db: db.execute(GARBAGE, (limit, ROUND_CHUNKS)).fetchall()
            ):
                await asyncio.to_thread(self._remove, [row[1] for row in rows])
                await self._catalogue.write(lambda db, rows=rows: _forget(db, rows))

    async def _reserve(self) -> None:
        swept = min(self._unsettled, default=self._next)
        reserved = self._next + NUMBERS_RESERVED

        def change(db: sqlite3.Connection) -> None:
            db.execute(SET_COUNTER, ("chunks_swept", swept))
            db.execute(SET_COUNTER, ("chunks_reserved", reserved))

        await self._catalogue.write(change)
        self._reserved = reserved

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            await asyncio.sleep(PAUSE_S)
            self._wanted.clear()
            # A disk in trouble is the writers' to report; here the next wake tries again.
            with contextlib.suppress(sqlite3.Error, OSError):
                await self.clean()

    def _remove(self, chunks: list[int]) -> None:
        for chunk in chunks:
            self._files.remove(chunk)


def _counter(db: sqlite3.Connection, name: str) -> int:
    row = db.execute(GET_COUNTER, (name,)).fetchone()
    return 0 if row is None else row[0]


def _forget(db: sqlite3.Connection, rows: list[tuple[int, int]]) -> None:
    db.executemany("DELETE FROM chunks WHERE id = ?", [(chunk,) for _, chunk in rows])
    db.executemany("DELETE FROM garbage WHERE seq = ?", [(seq,) for seq, _ in rows])
