"""Long work in rounds: between two of them everybody else has a turn on the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

S = TypeVar("S")
T = TypeVar("T")

ITEMS_PER_ROUND: Final = 100


async def in_rounds(items: Sequence[S], convert: Callable[[S], T]) -> list[T]:
    """Return `items`, each converted."""
    converted: list[T] = []
    for start in range(0, len(items), ITEMS_PER_ROUND):
        if start:
            await asyncio.sleep(0)
        converted += [convert(item) for item in items[start : start + ITEMS_PER_ROUND]]
    return converted
