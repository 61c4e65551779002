"""Lists: what a caller asks for, and one page of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from shoal_controller.core.errors import Refused
from shoal_controller.core.odata.parse import Filter

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which page of a list.

    limit  at most so many items
    after  the position to go on from, as an earlier page gave it; empty: from the start
    where  a $filter as `fields.read` gives it, or None
    """

    limit: int = 1000
    after: str = ""
    where: Filter | None = None

    @property
    def after_serial(self) -> int:
        """The position in a list that is in order of serials; raises Refused if it is none."""
        if not self.after.isdecimal():
            if not self.after:
                return 0
            raise position_unknown()
        return int(self.after)


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """One page. `next_after`: the position of the next page, None when this was the last.

    A page may have fewer items than were asked for, or none, and still not be the last.
    """

    items: Sequence[T]
    next_after: str | None = None


def position_unknown() -> Refused:
    """Return the refusal of a position that the list does not have."""
    return Refused(
        "InvalidQueryParameterValue",
        QueryParameterName="$skiptoken",
        Reason="It is no position in this list; begin anew without it.",
    )
