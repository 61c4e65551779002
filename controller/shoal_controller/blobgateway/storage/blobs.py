"""Rows of blobs and their extents: functions of a connection, run inside a transaction."""

import sqlite3
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from shoal_controller.blobgateway.conditions import Conditions
from shoal_controller.blobgateway.errors import StorageError, blob_not_found
from shoal_controller.blobgateway.records import Blob, Chunk, Properties, from_us, to_us
from shoal_controller.blobgateway.storage import containers

Connection = sqlite3.Connection
Extent = tuple[int, int, str | None]
"""Chunk, length, block id."""

FIELDS = "id, name, etag, created, modified, length, properties"
FIND = f"SELECT {FIELDS} FROM blobs WHERE container = ? AND name = ?"
EXTENTS = "SELECT start, length, chunk FROM extents WHERE blob = :blob"
# The extent that holds byte :first is the last one that starts at or before it.
EXTENTS_IN = f"""{EXTENTS} AND start < :end AND start >= coalesce(
    (SELECT max(start) FROM extents WHERE blob = :blob AND start <= :first), 0) ORDER BY start"""
ABANDON = "INSERT INTO garbage (chunk) VALUES (?)"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Properties).decode


@dataclass(frozen=True, slots=True)
class Layout:
    """Where bytes of one blob are: parallel arrays, at most 24 bytes for each of 50,000 blocks."""

    starts: "array[int]"
    lengths: "array[int]"
    chunks: "array[int]"


def find(db: Connection, container: str, name: str) -> Blob:
    """The blob; raises ContainerNotFound or BlobNotFound."""
    blob = find_in(db, containers.find(db, container).id, name)
    if blob is None:
        raise blob_not_found()
    return blob


def find_in(db: Connection, container: int, name: str) -> Blob | None:
    row = db.execute(FIND, (container, name.encode())).fetchone()
    return None if row is None else to_blob(row)


def layout(db: Connection, blob: int, first: int, count: int) -> Layout:
    """The extents that cover `count` bytes from `first`, in order."""
    found = Layout(array("q"), array("q"), array("q"))
    where = {"blob": blob, "first": first, "end": first + count}
    for start, length, chunk in db.execute(EXTENTS_IN, where):
        found.starts.append(start)
        found.lengths.append(length)
        found.chunks.append(chunk)
    return found


def chunk_data(db: Connection, chunk: int) -> bytes | None:
    """The bytes of a small chunk, None for one that is in a file."""
    return db.execute("SELECT data FROM chunks WHERE id = ?", (chunk,)).fetchone()[0]


def keep_chunk(db: Connection, chunk: Chunk) -> None:
    db.execute("INSERT INTO chunks VALUES (?, ?)", (chunk.id, chunk.data))


def replace(
    db: Connection,
    container: int,
    name: str,
    old: Blob | None,
    extents: Iterable[Extent],
    properties: Properties,
    now_us: int,
) -> Blob:
    """Make `extents` the blob's content; chunks of `old` that are not among them are abandoned."""
    dropped: set[int] = set()
    if old is not None:
        rows = db.execute("SELECT chunk FROM extents WHERE blob = ?", (old.id,))
        dropped = {row[0] for row in rows}
        db.execute("DELETE FROM extents WHERE blob = ?", (old.id,))
        db.execute("DELETE FROM blobs WHERE id = ?", (old.id,))
    created_us = now_us if old is None else to_us(old.created)
    blob = db.execute(
        "INSERT INTO blobs (container, name, etag, created, modified, length, properties)"
        " VALUES (?, ?, ?, ?, ?, 0, ?) RETURNING id",
        (
            container,
            name.encode(),
            containers.next_etag(db, now_us),
            created_us,
            now_us,
            _encode(properties).decode(),
        ),
    ).fetchone()[0]
    start = 0
    rows = []
    for chunk, length, block_id in extents:
        dropped.discard(chunk)
        rows.append((blob, start, length, chunk, block_id))
        start += length
    db.executemany("INSERT INTO extents VALUES (?, ?, ?, ?, ?)", rows)
    db.execute("UPDATE blobs SET length = ? WHERE id = ?", (start, blob))
    db.executemany(ABANDON, [(chunk,) for chunk in dropped])
    found = find_in(db, container, name)
    assert found is not None
    return found


def change(
    db: Connection,
    container: str,
    name: str,
    update: Callable[[Properties], Properties],
    conditions: Conditions,
    now_us: int,
) -> Blob:
    """Give the blob `update` of its properties, leaving its bytes."""
    blob = find(db, container, name)
    conditions.check_write(blob)
    db.execute(
        "UPDATE blobs SET etag = ?, modified = ?, properties = ? WHERE id = ?",
        (
            containers.next_etag(db, now_us),
            now_us,
            _encode(update(blob.properties)).decode(),
            blob.id,
        ),
    )
    return find(db, container, name)


def delete(db: Connection, container: str, name: str, conditions: Conditions) -> None:
    blob = find(db, container, name)
    conditions.check_write(blob)
    db.execute(
        "INSERT INTO garbage (chunk) SELECT DISTINCT chunk FROM extents WHERE blob = ?", (blob.id,)
    )
    db.execute("DELETE FROM extents WHERE blob = ?", (blob.id,))
    db.execute("DELETE FROM blobs WHERE id = ?", (blob.id,))


def check_overwrite(old: Blob | None, create_only: bool) -> None:
    """Raise UnauthorizedBlobOverwrite where a right to create meets a blob that is there."""
    if old is not None and create_only:
        raise StorageError(
            "UnauthorizedBlobOverwrite",
            "This request is not authorized to perform blob overwrites.",
        )


def to_blob(row: tuple[int, bytes, int, int, int, int, str]) -> Blob:
    return Blob(
        row[0],
        row[1].decode(),
        row[2],
        from_us(row[3]),
        from_us(row[4]),
        row[5],
        _decode(row[6]),
    )
