"""Rows of uncommitted blocks, and the commit that turns blocks into a blob."""

import sqlite3
from collections.abc import Sequence
from typing import Final, Literal

from shoal_controller.blobgateway.conditions import Conditions
from shoal_controller.blobgateway.errors import StorageError, blob_not_found
from shoal_controller.blobgateway.records import Blob, Block, Chunk, Properties
from shoal_controller.blobgateway.storage import blobs, containers

Connection = sqlite3.Connection
Kind = Literal["Committed", "Uncommitted", "Latest"]

UNCOMMITTED_MAX: Final = 100_000
COMMITTED_MAX: Final = 50_000
STAGED = "SELECT block_id, length, chunk FROM blocks WHERE container = ? AND name = ?"
COMMITTED = "SELECT block_id, length, chunk FROM extents WHERE blob = ? ORDER BY start"
ANY_ID = f"{STAGED} LIMIT 1"
COUNT = "SELECT count(*) FROM blocks WHERE container = ? AND name = ?"
FORGET = "DELETE FROM blocks WHERE container = ? AND name = ?"
# Seven days after the last block came for a blob, all its uncommitted blocks go.
STALE = """
SELECT container, name FROM blocks GROUP BY container, name HAVING max(staged) < ? LIMIT ?"""


def stage(
    db: Connection, container: str, name: str, block_id: str, chunk: Chunk, now_us: int
) -> None:
    """Keep one uncommitted block; one of the same id is replaced.

    raises  InvalidBlobOrBlock if ids of this blob's blocks have another length
    """
    key = (containers.find(db, container).id, name.encode())
    other = db.execute(ANY_ID, key).fetchone()
    if other is not None and len(other[0]) != len(block_id):
        raise StorageError(
            "InvalidBlobOrBlock", "The specified blob or block content is invalid: all block ids "
            "of a blob must have the same length."
        )  # fmt: skip
    old = db.execute(f"{STAGED} AND block_id = ?", (*key, block_id)).fetchone()
    if old is not None:
        db.execute(blobs.ABANDON, (old[2],))
    # Counting costs as many steps as there are blocks, so only one block in 256 is counted at.
    elif chunk.id % 256 == 0 and db.execute(COUNT, key).fetchone()[0] >= UNCOMMITTED_MAX:
        raise StorageError(
            "BlockCountExceedsLimit", f"A blob has at most {UNCOMMITTED_MAX} uncommitted blocks."
        )
    blobs.keep_chunk(db, chunk)
    db.execute(
        "INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?)",
        (*key, block_id, chunk.length, chunk.id, now_us),
    )


def commit(
    db: Connection,
    container: str,
    name: str,
    wanted: Sequence[tuple[Kind, str]],
    properties: Properties,
    conditions: Conditions,
    create_only: bool,
    now_us: int,
) -> Blob:
    """Make the blob out of blocks in the order of `wanted`; unused uncommitted ones go.

    raises  InvalidBlockList if a block is not where `wanted` looks for it
    """
    home = containers.find(db, container).id
    key = (home, name.encode())
    old = blobs.find_in(db, home, name)
    conditions.check_write(old)
    blobs.check_overwrite(old, create_only)
    staged = {row[0]: (row[2], row[1]) for row in db.execute(STAGED, key)}
    committed = {}
    if old is not None:
        committed = {row[0]: (row[2], row[1]) for row in db.execute(COMMITTED, (old.id,))}
    extents: list[blobs.Extent] = []
    for kind, block_id in wanted:
        found = None if kind == "Committed" else staged.get(block_id)
        if found is None and kind != "Uncommitted":
            found = committed.get(block_id)
        if found is None:
            raise StorageError("InvalidBlockList", "The specified block list is invalid.")
        extents.append((*found, block_id))
    kept = {chunk for chunk, _, _ in extents}
    dropped = [(chunk,) for chunk, _ in staged.values() if chunk not in kept]
    db.executemany(blobs.ABANDON, dropped)
    db.execute(FORGET, key)
    return blobs.replace(db, home, name, old, extents, properties, now_us)


def put_whole(
    db: Connection,
    container: str,
    name: str,
    chunk: Chunk,
    properties: Properties,
    conditions: Conditions,
    create_only: bool,
    now_us: int,
) -> Blob:
    """Make one chunk the whole blob; its uncommitted blocks go, as Put Blob documents."""
    home = containers.find(db, container).id
    old = blobs.find_in(db, home, name)
    conditions.check_write(old)
    blobs.check_overwrite(old, create_only)
    forget(db, home, name.encode())
    if chunk.length:
        blobs.keep_chunk(db, chunk)
    extents = [(chunk.id, chunk.length, None)] if chunk.length else []
    return blobs.replace(db, home, name, old, extents, properties, now_us)


def list_blocks(
    db: Connection, container: str, name: str
) -> tuple[Blob | None, list[Block], list[Block]]:
    """The blob (None if nothing is committed), its committed and its uncommitted blocks."""
    home = containers.find(db, container).id
    blob = blobs.find_in(db, home, name)
    staged = [Block(row[0], row[1]) for row in db.execute(STAGED, (home, name.encode()))]
    if blob is None and not staged:
        raise blob_not_found()
    committed: list[Block] = []
    if blob is not None:
        rows = db.execute(COMMITTED, (blob.id,))
        committed = [Block(row[0], row[1]) for row in rows if row[0] is not None]
    return blob, committed, staged


def forget(db: Connection, container: int, name: bytes) -> None:
    """Abandon all uncommitted blocks of one blob."""
    db.execute(
        "INSERT INTO garbage (chunk) SELECT chunk FROM blocks WHERE container = ? AND name = ?",
        (container, name),
    )
    db.execute(FORGET, (container, name))


def forget_stale(db: Connection, before_us: int, limit: int) -> bool:
    """Abandon blocks of up to `limit` blobs that got none since `before_us`; whether any were."""
    stale = db.execute(STALE, (before_us, limit)).fetchall()
    for container, name in stale:
        forget(db, container, name)
    return bool(stale)
