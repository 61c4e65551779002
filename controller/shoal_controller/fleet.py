"""Between the pool loop, which thinks in records, and the providers, which know none of them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Container, Mapping
from typing import Any, Final

from shoal_controller.core.node import Node
from shoal_controller.providers.base import NodeOrder, Provider, node_id

_SIZE: Final = re.compile(r"[a-z]+_([a-z]+)(\d+)(?:-(\d+))?[a-z]*(?:_v(\d+))?(?:_promo)?")
_A: Final = {0: 1, 3: 4, 4: 8, 5: 2, 6: 4, 7: 8, 9: 16, 10: 8, 11: 16}
_D: Final = {3: 4, 4: 8, 5: 16, 11: 2, 12: 4, 13: 8, 14: 16, 15: 20}
_G: Final = {1: 2, 2: 4, 3: 8, 4: 16, 5: 32}
_NUMBERED: Final[Mapping[tuple[str, str | None], Mapping[int, int]]] = {
    **{("a", None): _A, ("g", None): _G, ("gs", None): _G},
    **{(family, version): _D for family in ("d", "ds") for version in (None, "2")},
}
"""Families and versions whose number was not yet the count of cores."""


def core_count(vm_size: str) -> int:
    """Return how many cores a node of that size counts for against the quota; 1 when unknown.

    `standard_m8-2ms` has 2 of 8. Source: the public tables of virtual machine sizes.
    """
    found = _SIZE.fullmatch(vm_size.lower())
    if found is None:
        return 1
    family, number, part, version = found.groups()
    numbered = _NUMBERED.get((family, version), {})
    return max(1, int(part or numbered.get(int(number), int(number))))


class Fleet:
    """One account's nodes, all from one provider."""

    def __init__(self, account: str, provider: Provider) -> None:
        self._account = account
        self._provider = provider

    async def create(self, node: Node, join_token: str) -> Mapping[str, Any]:
        """Make the node, or find the one an interrupted call made; return what to keep of it."""
        return await self._provider.create(NodeOrder(node.id, join_token))

    async def delete(self, node: Node) -> None:
        """Make the node vanish with all its processes and files; harmless when it is gone."""
        await self._provider.delete(node.id, node.provider_state)

    def cores(self, vm_size: str) -> int:
        """Return how many cores a node of that size counts for."""
        return core_count(vm_size)

    def new_node_id(self, *, is_dedicated: bool) -> str:
        """Return a fresh node id."""
        return node_id(secrets.token_bytes(32), is_dedicated=is_dedicated)

    def new_secret(self) -> str:
        """Return a fresh join token or node key; its first part leads to the account."""
        return f"{self._account}:{secrets.token_urlsafe(32)}"

    async def delete_unknown(self, known: Container[str]) -> None:
        """Unmake what the provider holds and no record names: left by a crash between the two."""
        for found in (await self._provider.list()).values():
            if found.node_id.lower() not in known:
                await self._provider.delete(found.node_id, found.state)
