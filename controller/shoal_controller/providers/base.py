"""The seam between the pool loop and whatever makes nodes: create, list, stop, delete."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

NODE_ID: Final = re.compile(r"tvmps_[0-9a-f]{64}_[dp]")


def node_id(random: bytes, *, is_dedicated: bool) -> str:
    """Return the id of a new node, of the form that the Batch service gives.

    random  32 bytes
    """
    return f"tvmps_{random.hex()}_{'d' if is_dedicated else 'p'}"


@dataclass(frozen=True, slots=True)
class NodeOrder:
    """A node that is wanted.

    join_token  what its agent joins with, once
    """

    node_id: str
    join_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProvidedNode:
    """A node as its provider sees it.

    state     the JSON value that `create` returned, or an equal one found again
    is_alive  something of it runs now; a node that does not is brought back by its provider
    """

    node_id: str
    state: Mapping[str, Any]
    is_alive: bool


class Provider(Protocol):
    """Makes and unmakes nodes. Trouble is raised as Unavailable; the loop tries again later."""

    async def create(self, order: NodeOrder) -> Mapping[str, Any]:
        """Begin to make a node; return the JSON value to keep with it.

        Ordered again under the same id, the node is the same, with the new token.
        """
        ...

    async def list(self) -> Mapping[str, ProvidedNode]:
        """Return all that is there by node id, what a crash left half made or unmade included."""
        ...

    async def stop(self, node_id: str, state: Mapping[str, Any]) -> None:
        """End all that runs of a node and keep its files; return once nothing runs.

        It is started by being ordered again. One that is not there has nothing that runs.
        """
        ...

    async def delete(self, node_id: str, state: Mapping[str, Any]) -> None:
        """Unmake a node; return once nothing of it is left. One that is not there is unmade.

        state   as kept; empty when the order died before its answer was kept
        """
        ...
