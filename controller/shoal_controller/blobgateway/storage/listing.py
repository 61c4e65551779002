"""Lists of blobs: in order of name, by page, with virtual folders folded into one entry each.

A page costs what it shows: a folder of a million blobs is stepped over by one index search.
"""

import sqlite3

from shoal_controller.blobgateway.records import Blob, BlobPrefix, Page
from shoal_controller.blobgateway.storage import containers
from shoal_controller.blobgateway.storage.blobs import FIELDS, to_blob

LIST = f"""
SELECT {FIELDS} FROM blobs
WHERE container = ? AND name >= ? AND name < ? ORDER BY name LIMIT ?"""


def list_page(
    db: sqlite3.Connection,
    container: str,
    prefix: str,
    delimiter: str,
    start: bytes | None,
    limit: int,
) -> Page[Blob | BlobPrefix]:
    """At most `limit` entries whose names begin with `prefix`.

    delimiter  "" for a flat list; else names that have it after the prefix become a BlobPrefix
    start      a Page.next of an earlier call with the same prefix and delimiter
    """
    home = containers.find(db, container).id
    head, mark = prefix.encode(), delimiter.encode()
    begin = max(head, start or b"")
    end = after(head)
    items: list[Blob | BlobPrefix] = []
    while True:
        # One more than wanted tells where the next page begins.
        wanted = limit + 1 - len(items)
        folded = False
        for row in db.execute(LIST, (home, begin, end, wanted)):
            name: bytes = row[1]
            if len(items) == limit:
                return Page(items, name)
            cut = name.find(mark, len(head)) if mark else -1
            if cut >= 0:
                folder = name[: cut + len(mark)]
                items.append(BlobPrefix(folder.decode()))
                begin, folded = after(folder), True
                break
            items.append(to_blob(row))
        if not folded:
            return Page(items, None)


def after(prefix: bytes) -> bytes:
    """The least bytes above all that begin with `prefix`; UTF-8 never has 0xFF, so one is there."""
    if not prefix:
        return b"\xff"
    return prefix[:-1] + bytes([prefix[-1] + 1])
