"""What links tell the rest of the controller: callbacks that main.py gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shoal_protocol.codec import Entry
from shoal_protocol.link import LinkEnd
from shoal_protocol.messages import Hello
from shoal_protocol.specs import NodeConfig


@dataclass(frozen=True, slots=True)
class NodeRef:
    """Which node is at the other end; `serial` is unique within its account."""

    account: str
    serial: int
    node_id: str


class LinkEvents(Protocol):
    """Where links report. Every call may come again with the same content: repeats are harmless."""

    async def join(self, node_id: str, token: str) -> str:
        """Return a new node's key for its one-time token; raise Refused("AuthenticationFailed")."""
        ...

    async def authenticate(self, key: str) -> NodeRef:
        """Return whose key this is; raise Refused("AuthenticationFailed")."""
        ...

    async def hello(self, ref: NodeRef, hello: Hello, end: LinkEnd) -> NodeConfig:
        """Compare what both sides hold and queue what is missing; called before the Welcome.

        `end` has already dropped what the agent acknowledged in its Hello. Raise Refused when the
        node is not to be connected.
        """
        ...

    async def entries(self, ref: NodeRef, entries: Sequence[Entry]) -> None:
        """Take reliable messages, in order; return once their effect is on disk.

        The next call may come while this one waits for the disk. A raised Unavailable closes the
        connection: the agent repeats what was not acknowledged.
        """
        ...

    def disconnected(self, ref: NodeRef) -> None:
        """The node has no connection now."""
        ...

    def heard(self, ref: NodeRef) -> None:
        """The node said something, be it only a heartbeat."""
        ...
