"""How many cores a size of node counts for.

Source: the public tables of virtual machine sizes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_SIZE: Final = re.compile(r"[a-z]+_([a-z]+)(\d{1,4})(?:-(\d{1,4}))?[a-z]*(?:_v(\d+))?(?:_promo)?")
_A: Final = {0: 1, 3: 4, 4: 8, 5: 2, 6: 4, 7: 8, 9: 16, 10: 8, 11: 16}
_D: Final = {3: 4, 4: 8, 5: 16, 11: 2, 12: 4, 13: 8, 14: 16, 15: 20}
_G: Final = {1: 2, 2: 4, 3: 8, 4: 16, 5: 32}
_NUMBERED: Final[Mapping[tuple[str, str | None], Mapping[int, int]]] = {
    **{("a", None): _A, ("g", None): _G, ("gs", None): _G},
    **{(family, version): _D for family in ("d", "ds") for version in (None, "2")},
}
"""Families and versions whose number was not yet the count of cores."""


def core_count(vm_size: str) -> int:
    """Return how many cores a node of that size counts for; 1 when unknown.

    `standard_m8-2ms` has 2 of 8.
    """
    found = _SIZE.fullmatch(vm_size.lower())
    if found is None:
        return 1
    family, number, part, version = found.groups()
    numbered = _NUMBERED.get((family, version), {})
    return max(1, int(part or numbered.get(int(number), int(number))))
