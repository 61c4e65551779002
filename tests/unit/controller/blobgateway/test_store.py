"""BlobStore without HTTP: what it keeps, what it removes, what a reader sees meanwhile."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shoal_controller.blobgateway import BlobStore, StorageError, pieces_of
from shoal_controller.blobgateway.conditions import Conditions
from shoal_controller.blobgateway.ranges import ByteRange
from shoal_controller.blobgateway.records import Blob, BlobPrefix
from shoal_controller.blobgateway.storage.files import BUFFER_BYTES, INLINE_BYTES_MAX

BIG = INLINE_BYTES_MAX * 3


class SetClock:
    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 21, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def store(tmp_path: Path, clock: SetClock) -> AsyncIterator[BlobStore]:
    store = await BlobStore.open(tmp_path, clock)
    await store.create_container("room")
    yield store
    await store.close()


def files(folder: Path) -> list[Path]:
    return sorted((folder / "data").glob("*/*"))


async def put(store: BlobStore, name: str, data: bytes) -> Blob:
    return await store.put("room", name, pieces_of(data))


async def test_small_blobs_need_no_file_and_big_ones_have_one(
    store: BlobStore, tmp_path: Path
) -> None:
    await put(store, "small", b"x" * INLINE_BYTES_MAX)
    assert files(tmp_path) == []
    await put(store, "big", b"x" * (INLINE_BYTES_MAX + 1))
    (file,) = files(tmp_path)
    assert file.read_bytes() == b"x" * (INLINE_BYTES_MAX + 1)


async def test_what_was_stored_is_there_after_a_restart(tmp_path: Path, clock: SetClock) -> None:
    store = await BlobStore.open(tmp_path, clock)
    await store.create_container("room", {"k": "v"})
    blob = await put(store, "b", os.urandom(BIG))
    data = await store.read("room", "b")
    await store.close()
    again = await BlobStore.open(tmp_path, clock)
    assert await again.get("room", "b") == blob
    assert await again.read("room", "b") == data
    assert (await again.get_container("room")).metadata == {"k": "v"}
    await again.close()


async def test_a_folder_has_one_owner(store: BlobStore, tmp_path: Path, clock: SetClock) -> None:
    with pytest.raises(BlockingIOError):
        await BlobStore.open(tmp_path, clock)


async def test_a_catalogue_of_an_unknown_version_is_not_touched(
    tmp_path: Path, clock: SetClock
) -> None:
    connection = sqlite3.connect(tmp_path / "catalogue.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="schema 99"):
            await BlobStore.open(tmp_path, clock)


async def test_a_reader_sees_its_version_to_the_end(store: BlobStore, tmp_path: Path) -> None:
    old = os.urandom(BUFFER_BYTES * 3)
    await put(store, "b", old)
    async with await store.open_blob("room", "b") as reader:
        pieces = reader.pieces()
        got = await anext(pieces)
        await put(store, "b", b"new" * BIG)
        await store.delete("room", "b")
        await store.collect()
        got += b"".join([piece async for piece in pieces])
    assert got == old
    await store.collect()
    assert files(tmp_path) == []


async def test_replaced_and_deleted_blobs_give_their_space_back(
    store: BlobStore, tmp_path: Path
) -> None:
    for _ in range(3):
        await put(store, "b", b"x" * BIG)
    await store.collect()
    assert len(files(tmp_path)) == 1
    await store.delete_container("room")
    await store.collect()
    assert files(tmp_path) == []
    connection = sqlite3.connect(tmp_path / "catalogue.sqlite")
    for table in ("blobs", "chunks", "extents", "blocks", "garbage", "containers"):
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    connection.close()


async def test_uncommitted_blocks_go_after_a_week(
    store: BlobStore, clock: SetClock, tmp_path: Path
) -> None:
    await store.put_block("room", "b", "QQ==", pieces_of(b"x" * BIG))
    clock.moment += timedelta(days=6)
    await store.collect()
    await store.put_block("room", "b", "Qg==", pieces_of(b"y" * BIG))
    clock.moment += timedelta(days=6)
    await store.collect()
    assert len((await store.get_block_list("room", "b"))[2]) == 2
    clock.moment += timedelta(days=2)
    await store.collect()
    assert files(tmp_path) == []
    with pytest.raises(StorageError, match="BlobNotFound"):
        await store.get_block_list("room", "b")


async def test_a_commit_drops_blocks_it_does_not_use_and_keeps_those_it_does(
    store: BlobStore, tmp_path: Path
) -> None:
    for block, data in (("QQ==", b"a" * BIG), ("Qg==", b"b" * BIG), ("Qw==", b"c")):
        await store.put_block("room", "b", block, pieces_of(data))
    await store.put_block_list("room", "b", [("Latest", "Qg=="), ("Uncommitted", "Qw==")])
    await store.collect()
    assert len(files(tmp_path)) == 1
    await store.put_block_list(
        "room", "b", [("Committed", "Qw=="), ("Latest", "Qg=="), ("Latest", "Qg==")]
    )
    await store.collect()
    assert await store.read("room", "b") == b"c" + b"b" * BIG * 2
    async with await store.open_blob("room", "b", ByteRange(BIG - 1, BIG + 2)) as reader:
        assert [piece async for piece in reader.pieces()] == [b"bb", b"bb"]


async def test_etags_grow_even_when_the_clock_is_set_back(
    store: BlobStore, clock: SetClock
) -> None:
    first = await put(store, "b", b"1")
    clock.moment -= timedelta(days=100)
    assert (await put(store, "b", b"2")).etag > first.etag


async def test_a_full_disk_refuses_uploads_but_not_deletions(
    tmp_path: Path, clock: SetClock
) -> None:
    store = await BlobStore.open(tmp_path, clock)
    await store.create_container("room")
    await put(store, "b", b"x" * BIG)
    await store.close()
    full = await BlobStore.open(tmp_path, clock, reserve_bytes=2**62)
    for data in (b"small", b"x" * BIG):
        with pytest.raises(StorageError, match="ServerBusy"):
            await put(full, "c", data)
    assert await full.read("room", "b") == b"x" * BIG
    await full.delete("room", "b")
    await full.collect()
    assert files(tmp_path) == []
    await full.close()


async def test_a_failing_source_leaves_nothing(store: BlobStore, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (BUFFER_BYTES * 2)
        raise RuntimeError("the line went dead")

    await put(store, "b", b"old")
    with pytest.raises(RuntimeError, match="dead"):
        await store.put("room", "b", broken())
    assert await store.read("room", "b") == b"old"
    assert files(tmp_path) == []


async def test_a_cancelled_upload_leaves_nothing(store: BlobStore, tmp_path: Path) -> None:
    waiting = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * (BUFFER_BYTES * 2)
        waiting.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(store.put("room", "b", endless()))
    await waiting.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert files(tmp_path) == []


async def test_of_racing_creations_one_wins(store: BlobStore) -> None:
    only_new = Conditions(if_none_match="*")
    results = await asyncio.gather(
        *(
            store.put("room", "b", pieces_of(b"%d" % n * BIG), conditions=only_new)
            for n in range(8)
        ),
        return_exceptions=True,
    )
    won = [result for result in results if isinstance(result, Blob)]
    assert len(won) == 1
    assert {r.code for r in results if isinstance(r, StorageError)} == {"BlobAlreadyExists"}
    assert (await store.get("room", "b")).etag == won[0].etag


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
async def test_pages_of_any_size_make_the_same_list(store: BlobStore, limit: int) -> None:
    names = ["a", "a/", "a/b", "a/b/c", "a0", "b/c", "b/d", "ä/x", "\U0001f600"]
    for name in names:
        await put(store, name, b"")

    async def everything(prefix: str, delimiter: str) -> list[str]:
        found: list[str] = []
        start = None
        while True:
            page = await store.list_blobs("room", prefix, delimiter, start, limit)
            assert len(page.items) <= limit
            found += [f"[{i.name}]" if isinstance(i, BlobPrefix) else i.name for i in page.items]
            start = page.next
            if start is None:
                return found

    assert await everything("", "") == sorted(names, key=str.encode)
    assert await everything("", "/") == ["a", "[a/]", "a0", "[b/]", "[ä/]", "\U0001f600"]
    assert await everything("a/", "/") == ["a/", "a/b", "[a/b/]"]
    assert await everything("b", "") == ["b/c", "b/d"]
    assert await everything("zzz", "/") == []
