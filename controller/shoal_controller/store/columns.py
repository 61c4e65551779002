"""Between the values of records and those of columns: times, durations and nested values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
encode = msgspec.json.Encoder().encode
"""A nested value as JSON bytes; msgspec knows dataclasses, times and enums."""


def decoder(shape: Any) -> Any:
    """Return a function from JSON bytes to a value of `shape`."""
    return msgspec.json.Decoder(shape, strict=False).decode


def ticks(at: datetime) -> int:
    """Return microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def ticks_or_none(at: datetime | None) -> int | None:
    return None if at is None else (at - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=1024)
def time(value: int) -> datetime:
    """Return the time of so many microseconds since 1970.

    Equal times are one object, which whoever writes them out makes use of.
    """
    seconds, microseconds = divmod(value, 1_000_000)
    return _EPOCH + timedelta(0, seconds, microseconds)


def time_or_none(value: int | None) -> datetime | None:
    return None if value is None else time(value)


@lru_cache(maxsize=1024)
def duration(value: int) -> timedelta:
    """Return the duration of so many microseconds."""
    return timedelta(0, 0, value)


def span(value: timedelta) -> int:
    """Return a duration in microseconds."""
    return value // _MICROSECOND
