"""Between the pool loop, which thinks in records, and the providers, which know none of them."""

from __future__ import annotations

import secrets
from collections.abc import Container, Mapping
from typing import Any

from shoal_controller.core.node import Node
from shoal_controller.core.vmsize import core_count
from shoal_controller.providers.base import NodeOrder, Provider, node_id


class Fleet:
    """One account's nodes, all from one provider."""

    def __init__(self, account: str, provider: Provider) -> None:
        self._account = account
        self._provider = provider

    async def create(self, node: Node, join_token: str) -> Mapping[str, Any]:
        """Make the node, or find the one an interrupted call made; return what to keep of it."""
        return await self._provider.create(NodeOrder(node.id, join_token))

    async def stop(self, node: Node) -> None:
        """End all processes of the node and keep its files; `create` starts it again."""
        await self._provider.stop(node.id, node.provider_state)

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
