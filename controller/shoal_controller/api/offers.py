"""What becomes of an operation here: done, kept as a record, or refused; for users and for tests.

The table of operations says what there is, this one what is particular about it. A row without a
handler answers 501 and stands here by that alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shoal_controller.api.routes import Route


class Kind(StrEnum):
    """How much of an operation Shoal does."""

    DONE = "done"
    STORED = "stored only"
    REFUSED = "refused"
    ABSENT = "not yet"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a caller gets of an operation; `note` says what is missing or particular."""

    kind: Kind
    note: str = ""


_DONE: Final = Offer(Kind.DONE)
_ABSENT: Final = Offer(Kind.ABSENT, "Answers 501 `NotImplemented`.")

OFFERS: Final[Mapping[str, Offer]] = {}
"""By name of the row; a row with a handler that is absent here is done as documented."""


def offer(route: Route) -> Offer:
    """Return what a caller gets of an operation."""
    return _ABSENT if route.handler is None else OFFERS.get(route.name, _DONE)
