"""Rows of containers: functions of a connection, run inside a transaction by the store."""

import json
import sqlite3

from shoal_controller.blobgateway.conditions import NONE, Conditions
from shoal_controller.blobgateway.errors import StorageError, container_not_found
from shoal_controller.blobgateway.records import Container, Page, from_us

Connection = sqlite3.Connection

FIELDS = "id, name, etag, modified, metadata"
FIND = f"SELECT {FIELDS} FROM containers WHERE name = ?"
LIST = f"""
SELECT {FIELDS} FROM containers
WHERE name >= ? AND name < ? AND name >= ? ORDER BY name LIMIT ?"""
NAMELESS = "SELECT id FROM containers WHERE name IS NULL LIMIT 1"
NEXT_ETAG = """
INSERT INTO counters VALUES ('etag', :now)
ON CONFLICT (name) DO UPDATE SET value = max(value + 1, excluded.value) RETURNING value"""


def next_etag(db: Connection, now_us: int) -> int:
    """A number that grows with every change, even when the clock is set back."""
    return db.execute(NEXT_ETAG, {"now": now_us * 10}).fetchone()[0]


def find(db: Connection, name: str) -> Container:
    """The container, or ContainerNotFound."""
    row = db.execute(FIND, (name,)).fetchone()
    if row is None:
        raise container_not_found()
    return _container(row)


def create(db: Connection, name: str, metadata: dict[str, str], now_us: int) -> Container:
    etag = next_etag(db, now_us)
    try:
        db.execute(
            "INSERT INTO containers (name, etag, modified, metadata) VALUES (?, ?, ?, ?)",
            (name, etag, now_us, json.dumps(metadata)),
        )
    except sqlite3.IntegrityError:
        raise StorageError(
            "ContainerAlreadyExists", "The specified container already exists."
        ) from None
    return find(db, name)


def set_metadata(
    db: Connection, name: str, metadata: dict[str, str], conditions: Conditions, now_us: int
) -> Container:
    container = find(db, name)
    conditions.check_write(container)
    db.execute(
        "UPDATE containers SET etag = ?, modified = ?, metadata = ? WHERE id = ?",
        (next_etag(db, now_us), now_us, json.dumps(metadata), container.id),
    )
    return find(db, name)


def delete(db: Connection, name: str, conditions: Conditions = NONE) -> None:
    """Take the container's name away: gone for every caller, its blobs are reaped later."""
    container = find(db, name)
    conditions.check_write(container)
    db.execute("UPDATE containers SET name = NULL WHERE id = ?", (container.id,))


def list_page(db: Connection, prefix: str, start: bytes | None, limit: int) -> Page[Container]:
    """Containers in order of name; `start` is a Page.next of an earlier call."""
    begin = "" if start is None else start.decode()
    # Every legal name sorts before U+10FFFF.
    rows = db.execute(LIST, (prefix, prefix + "\U0010ffff", begin, limit + 1)).fetchall()
    rest = rows[limit][1].encode() if len(rows) > limit else None
    return Page([_container(row) for row in rows[:limit]], rest)


def any_nameless(db: Connection) -> bool:
    """Whether a deleted container is left to reap."""
    return db.execute(NAMELESS).fetchone() is not None


def reap(db: Connection, limit: int) -> None:
    """Empty one nameless container by up to `limit` blobs, or remove it if it is empty."""
    row = db.execute(NAMELESS).fetchone()
    if row is None:
        return
    chosen = "SELECT id FROM blobs WHERE container = ? LIMIT ?"
    blobs = [found[0] for found in db.execute(chosen, (row[0], limit))]
    for blob in blobs:
        db.execute(
            "INSERT INTO garbage (chunk) SELECT DISTINCT chunk FROM extents WHERE blob = ?",
            (blob,),
        )
        db.execute("DELETE FROM extents WHERE blob = ?", (blob,))
        db.execute("DELETE FROM blobs WHERE id = ?", (blob,))
    if not blobs:
        db.execute("INSERT INTO garbage (chunk) SELECT chunk FROM blocks WHERE container = ?", row)
        db.execute("DELETE FROM blocks WHERE container = ?", row)
        db.execute("DELETE FROM containers WHERE id = ?", row)


def _container(row: tuple[int, str, int, int, str]) -> Container:
    return Container(row[0], row[1], row[2], from_us(row[3]), json.loads(row[4]))
