"""Lists: what a caller asks for, and one page of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from shoal_controller.core.odata.parse import Filter

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which page of a list.

    limit  at most so many items
    after  the keyset: serials greater than this one (0: from the start)
    where  a $filter as `fields.read` gives it, or None
    """

    limit: int = 1000
    after: int = 0
    where: Filter | None = None


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """One page. `next_after`: the keyset of the next page, None when this was the last."""

    items: Sequence[T]
    next_after: int | None = None
