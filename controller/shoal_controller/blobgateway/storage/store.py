"""BlobStore: the storage of one account, without HTTP. Every await that changes something returns
after the change is on disk; a process killed at any instant leaves each blob old or new, whole.
"""

import asyncio
import errno
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from shoal_controller.blobgateway import records
from shoal_controller.blobgateway.conditions import NONE, Conditions
from shoal_controller.blobgateway.errors import StorageError
from shoal_controller.blobgateway.names import check_blob, check_block_id, check_container
from shoal_controller.blobgateway.ranges import ByteRange
from shoal_controller.blobgateway.records import (
    Blob,
    BlobPrefix,
    Block,
    Chunk,
    Container,
    Page,
    Properties,
)
from shoal_controller.blobgateway.storage import blobs, blocks, containers, listing
from shoal_controller.blobgateway.storage.catalogue import Catalogue
from shoal_controller.blobgateway.storage.files import ChunkFiles, ChunkWriter
from shoal_controller.blobgateway.storage.janitor import Janitor
from shoal_controller.blobgateway.storage.reading import BlobReader

Connection = sqlite3.Connection
T = TypeVar("T")
UNCOMMITTED_KEPT: Final = timedelta(days=7)
_DISK_ERRORS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """The present moment, aware, UTC."""
        ...


class BlobStore:
    """Containers and blobs in one folder, which no other process may have open.

    Open with `await BlobStore.open(folder, clock)`; close with `await store.close()`.
    Names are checked here, so no caller can forget to. All methods raise StorageError.
    """

    def __init__(self, catalogue: Catalogue, files: ChunkFiles, clock: Clock, lock: int) -> None:
        self._catalogue = catalogue
        self._files = files
        self._clock = clock
        self._lock = lock
        self._janitor = Janitor(catalogue, files)
        self._pending: set[asyncio.Task[object]] = set()

    @classmethod
    async def open(
        cls, folder: Path, clock: Clock, reserve_bytes: int | None = None
    ) -> "BlobStore":
        """Open or make the storage in `folder`; BlockingIOError if a process has it open.

        reserve_bytes  what uploads leave free on the disk; None: a default, see ChunkFiles
        What a crash left behind (files of unfinished uploads) is removed before this returns.
        """
        store = await asyncio.to_thread(cls._open, folder, clock, reserve_bytes)
        await store._janitor.start()
        return store

    @classmethod
    def _open(cls, folder: Path, clock: Clock, reserve_bytes: int | None) -> "BlobStore":
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return cls(
                Catalogue(folder / "catalogue.sqlite"),
                ChunkFiles(folder / "data", reserve_bytes),
                clock,
                lock,
            )
        except BaseException:
            os.close(lock)
            raise

    async def close(self) -> None:
        """Finish what is being written and let go of the folder."""
        if self._pending:
            await asyncio.wait(self._pending)
        await self._janitor.stop()
        await asyncio.to_thread(self._catalogue.close)
        os.close(self._lock)

    # -- containers

    async def create_container(
        self, name: str, metadata: dict[str, str] | None = None
    ) -> Container:
        check_container(name)
        now = self._now_us()
        return await self._change(lambda db: containers.create(db, name, metadata or {}, now))

    async def get_container(self, name: str) -> Container:
        check_container(name)
        return await self._catalogue.read(lambda db: containers.find(db, name))

    async def set_container_metadata(
        self, name: str, metadata: dict[str, str], conditions: Conditions = NONE
    ) -> Container:
        check_container(name)
        now = self._now_us()
        return await self._change(
            lambda db: containers.set_metadata(db, name, metadata, conditions, now)
        )

    async def delete_container(self, name: str, conditions: Conditions = NONE) -> None:
        """The name is free again when this returns; the space comes back in the background."""
        check_container(name)
        await self._change(lambda db: containers.delete(db, name, conditions))
        self._janitor.wake()

    async def list_containers(
        self, prefix: str = "", start: bytes | None = None, limit: int = 5000
    ) -> Page[Container]:
        """Containers in order of name; `start` is the `next` of an earlier page."""
        return await self._catalogue.read(lambda db: containers.list_page(db, prefix, start, limit))

    # -- blobs

    async def put(
        self,
        container: str,
        name: str,
        pieces: AsyncIterable[bytes],
        properties: Properties | None = None,
        *,
        md5: bytes | None = None,
        conditions: Conditions = NONE,
        create_only: bool = False,
    ) -> Blob:
        """Make the bytes of `pieces` the blob, replacing what was there; returns it, with its MD5.

        md5          what the bytes must hash to, else Md5Mismatch and no effect
        create_only  raise UnauthorizedBlobOverwrite rather than replace
        Whatever `pieces` raises comes out of here and leaves no trace.
        """
        check_container(container)
        check_blob(name)
        told = properties or Properties()

        def commit(db: Connection, chunk: Chunk, now_us: int) -> Blob:
            whole = msgspec.structs.replace(told, content_md5=told.content_md5 or chunk.md5)
            return blocks.put_whole(
                db, container, name, chunk, whole, conditions, create_only, now_us
            )

        return await self._receive(pieces, md5, commit)

    async def put_block(
        self,
        container: str,
        name: str,
        block_id: str,
        pieces: AsyncIterable[bytes],
        *,
        md5: bytes | None = None,
    ) -> bytes:
        """Keep an uncommitted block; returns its MD5. block_id is base64 text."""
        check_container(container)
        check_blob(name)
        check_block_id(block_id)

        def commit(db: Connection, chunk: Chunk, now_us: int) -> bytes:
            blocks.stage(db, container, name, block_id, chunk, now_us)
            return chunk.md5

        return await self._receive(pieces, md5, commit)

    async def put_block_list(
        self,
        container: str,
        name: str,
        wanted: Sequence[tuple[blocks.Kind, str]],
        properties: Properties | None = None,
        *,
        conditions: Conditions = NONE,
        create_only: bool = False,
    ) -> Blob:
        """Make the blob out of its blocks, in the order of `wanted`."""
        check_container(container)
        check_blob(name)
        now = self._now_us()
        told = properties or Properties()
        return await self._change(
            lambda db: blocks.commit(
                db, container, name, wanted, told, conditions, create_only, now
            )
        )

    async def get_block_list(
        self, container: str, name: str
    ) -> tuple[Blob | None, list[Block], list[Block]]:
        """The blob, its committed and its uncommitted blocks; BlobNotFound if there is nothing."""
        check_container(container)
        check_blob(name)
        return await self._catalogue.read(lambda db: blocks.list_blocks(db, container, name))

    async def get(self, container: str, name: str) -> Blob:
        """What is known of the blob, without its bytes."""
        check_container(container)
        check_blob(name)
        return await self._catalogue.read(lambda db: blobs.find(db, container, name))

    async def open_blob(
        self,
        container: str,
        name: str,
        wanted: ByteRange | None = None,
        conditions: Conditions = NONE,
    ) -> BlobReader:
        """Open a blob, or part of it, for reading: `async with await store.open_blob(...)`."""
        check_container(container)
        check_blob(name)
        release = self._janitor.hold()

        def query(db: Connection) -> BlobReader:
            blob = blobs.find(db, container, name)
            conditions.check_read(blob)
            first, count = (0, blob.length) if wanted is None else wanted.resolve(blob.length)
            layout = blobs.layout(db, blob.id, first, count)
            small = b"" if count == 0 else None
            if len(layout.chunks) == 1:
                data = blobs.chunk_data(db, layout.chunks[0])
                if data is not None:
                    offset = first - layout.starts[0]
                    small = data[offset : offset + count]
            return BlobReader(
                blob, first, count, small, layout, self._catalogue, self._files, release
            )

        try:
            return await self._catalogue.read(query)
        except BaseException:
            release()
            raise

    async def read(self, container: str, name: str) -> bytes:
        """All bytes of a blob, in memory: for small ones."""
        async with await self.open_blob(container, name) as reader:
            return b"".join([piece async for piece in reader.pieces()])

    async def change(
        self,
        container: str,
        name: str,
        update: Callable[[Properties], Properties],
        conditions: Conditions = NONE,
    ) -> Blob:
        """Give a blob the properties `update` makes of its present ones."""
        check_container(container)
        check_blob(name)
        now = self._now_us()
        return await self._change(
            lambda db: blobs.change(db, container, name, update, conditions, now)
        )

    async def delete(self, container: str, name: str, conditions: Conditions = NONE) -> None:
        check_container(container)
        check_blob(name)
        await self._change(lambda db: blobs.delete(db, container, name, conditions))
        self._janitor.wake()

    async def list_blobs(
        self,
        container: str,
        prefix: str = "",
        delimiter: str = "",
        start: bytes | None = None,
        limit: int = 5000,
    ) -> Page[Blob | BlobPrefix]:
        """A page of blobs in order of name (bytewise); see listing.list_page."""
        check_container(container)
        return await self._catalogue.read(
            lambda db: listing.list_page(db, container, prefix, delimiter, start, limit)
        )

    async def check_put(
        self, container: str, name: str, conditions: Conditions, create_only: bool
    ) -> None:
        """Raise now what a put would raise at its end, to spare a caller a long upload."""
        check_container(container)
        check_blob(name)

        def query(db: Connection) -> None:
            old = blobs.find_in(db, containers.find(db, container).id, name)
            conditions.check_write(old)
            blobs.check_overwrite(old, create_only)

        await self._catalogue.read(query)

    async def collect(self) -> None:
        """Drop uncommitted blocks a week old and all that nothing points to any more."""
        before = records.to_us(self._clock.now() - UNCOMMITTED_KEPT)
        while await self._change(lambda db: blocks.forget_stale(db, before, 100)):
            pass
        await self._janitor.clean()

    # -- inside

    async def _receive(
        self,
        pieces: AsyncIterable[bytes],
        md5: bytes | None,
        commit: Callable[[Connection, Chunk, int], T],
    ) -> T:
        """Take the bytes in, make them durable, then run `commit` on them in a transaction."""
        try:
            self._files.require_space()
        except OSError as error:
            raise _busy(error) from error
        writer = await self._janitor.new_chunk()
        try:
            async for piece in pieces:
                await writer.write(piece)
            chunk = await writer.finish()
            if md5 is not None and md5 != chunk.md5:
                raise StorageError(
                    "Md5Mismatch",
                    "The MD5 value specified in the request did not match with the MD5 value "
                    "calculated by the server.",
                )
        except BaseException as error:
            await asyncio.shield(self._keep(writer.discard()))
            if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
                raise _busy(error) from error
            raise
        return await asyncio.shield(self._keep(self._settle(writer, chunk, commit)))

    async def _settle(
        self, writer: ChunkWriter, chunk: Chunk, commit: Callable[[Connection, Chunk, int], T]
    ) -> T:
        # Runs to its end even if the caller is cancelled: whether the file is wanted is known
        # only once the transaction has ended.
        now = self._now_us()
        try:
            result = await self._change(lambda db: commit(db, chunk, now))
        except BaseException:
            await writer.discard()
            raise
        self._janitor.committed(writer.number)
        self._janitor.wake()
        return result

    async def _change(self, change: Callable[[Connection], T]) -> T:
        try:
            return await self._catalogue.write(change)
        except sqlite3.OperationalError as error:
            raise _busy(error) from error

    def _keep(self, work: Awaitable[T]) -> "asyncio.Future[T]":
        task = asyncio.ensure_future(work)
        self._pending.add(task)  # type: ignore[arg-type]
        task.add_done_callback(self._pending.discard)
        return task

    def _now_us(self) -> int:
        return records.to_us(self._clock.now())


def _busy(error: Exception) -> StorageError:
    return StorageError("ServerBusy", f"The storage cannot be written to at present: {error}.")


async def pieces_of(data: bytes) -> AsyncIterable[bytes]:
    """`data` in the form that `put` takes."""
    yield data
