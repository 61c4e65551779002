"""What the store keeps and hands out: containers, blobs, blocks, pages of a list (pure values)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

import msgspec

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
T = TypeVar("T")


def to_us(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_us(value_us: int) -> datetime:
    """The aware UTC datetime `value_us` microseconds after 1970."""
    return EPOCH + timedelta(microseconds=value_us)


class CopyInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a blob came by copy: where from, without the query, and when it was complete."""

    id: str
    source: str
    completed: datetime


class Properties(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a writer says about a blob, apart from its bytes.

    content_md5  16 raw bytes, of the whole blob; None if nobody computed it
    metadata     names as written by the client, at most 8 KiB in all
    """

    content_type: str = "application/octet-stream"
    content_encoding: str | None = None
    content_language: str | None = None
    content_disposition: str | None = None
    cache_control: str | None = None
    content_md5: bytes | None = None
    metadata: dict[str, str] = {}
    tier: str | None = None
    copy: CopyInfo | None = None


@dataclass(frozen=True, slots=True)
class Container:
    """A container as of one read. `etag` grows with every change of any resource of the store."""

    id: int
    name: str
    etag: int
    modified: datetime
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class Blob:
    """One committed version of a block blob; `id` names the version and is never used again."""

    id: int
    name: str
    etag: int
    created: datetime
    modified: datetime
    length: int
    properties: Properties


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes kept under a number: in the catalogue when `data` is not None, else in a file."""

    id: int
    length: int
    md5: bytes
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a blob, committed or not; `id` is the base64 text the client gave."""

    id: str
    length: int


@dataclass(frozen=True, slots=True)
class BlobPrefix:
    """A virtual folder in a hierarchical list; `name` ends with the delimiter."""

    name: str


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Part of a list. `next` is where the following part starts, or None after the last."""

    items: Sequence[T]
    next: bytes | None
