"""Every node's end of its link, living as long as the process; connections come and go beneath it.

The rest of the controller sends here without caring whether the node is connected now.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from shoal_controller.clock import Clock
from shoal_controller.core.errors import Unavailable
from shoal_controller.links.events import NodeRef
from shoal_protocol.link import LinkEnd
from shoal_protocol.messages import Message, Reply, Request

REQUEST_TIMEOUT_S: Final = 30.0
"""An agent that has not answered a request by then is treated as unreachable."""
REQUESTS_MAX: Final = 64
"""So many requests may wait for one node; more are refused until some are answered."""


class Wire(Protocol):
    """The connection under a node's link, as the registry sees it."""

    def wake(self) -> None:
        """There may be something to write."""
        ...

    def stop(self) -> None:
        """Close soon."""
        ...

    async def stopped(self) -> None:
        """Return when nothing of the connection runs any more."""
        ...


@dataclass(slots=True)
class LinkCounts:
    """Tallies since the start of the process."""

    connection_count: int = 0
    replaced_count: int = 0
    bad_frame_count: int = 0
    silent_count: int = 0
    refused_count: int = 0


@dataclass(slots=True)
class NodeLink:
    """One node: its end of the link, the connection under it, the requests that wait for it."""

    ref: NodeRef
    end: LinkEnd
    wire: Wire | None = None
    replies: dict[int, asyncio.Future[Any]] = field(
        default_factory=dict[int, "asyncio.Future[Any]"]
    )
    bad_frame_count: int = 0

    def reply(self, reply: Reply) -> None:
        """Hand a reply to who waits for it; one that came too late is dropped."""
        waiting = self.replies.get(reply.request_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    def lost(self) -> None:
        """The connection is gone: reliable messages wait for the next one, requests fail now."""
        self.wire = None
        self.end.disconnected()
        for waiting in self.replies.values():
            if not waiting.done():
                waiting.set_exception(
                    Unavailable(f"node {self.ref.node_id} lost its connection before it answered")
                )


class Registry:
    """The links of all accounts. Belongs to the event loop."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.counts = LinkCounts()
        self._nodes: dict[tuple[str, int], NodeLink] = {}
        self._request_count = 0

    def node(self, account: str, serial: int, node_id: str = "") -> NodeLink:
        """Return the node's link, made now if this process never heard of the node."""
        link = self._nodes.get((account, serial))
        if link is None:
            # An incarnation of its own: should a forgotten node come back, its numbers start anew.
            link = NodeLink(NodeRef(account, serial, node_id), LinkEnd(secrets.token_hex(8)))
            self._nodes[account, serial] = link
        elif node_id and link.ref.node_id != node_id:
            link.ref = NodeRef(account, serial, node_id)
        return link

    def of(self, account: str) -> AccountLinks:
        """Return the links of one account."""
        return AccountLinks(self, account)

    def send(self, account: str, serial: int, message: Message) -> None:
        """Queue a message. A reliable one waits for a connection, any other is lost without one."""
        link = self.node(account, serial)
        link.end.send(message, self.clock.monotonic())
        if link.wire is not None:
            link.wire.wake()

    async def request(
        self, account: str, serial: int, request: Request, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> Any:
        """Return the node's answer; raise Unavailable when none comes. Sets the request's id."""
        link = self._nodes.get((account, serial))
        if link is None or link.wire is None:
            raise Unavailable("the node is not connected now")
        if len(link.replies) >= REQUESTS_MAX:
            raise Unavailable(f"{REQUESTS_MAX} requests already wait for the node")
        self._request_count += 1
        request = replace(request, request_id=self._request_count)
        waiting: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        link.replies[request.request_id] = waiting
        try:
            self.send(account, serial, request)
            async with asyncio.timeout(timeout_s):
                return await waiting
        except TimeoutError as err:
            raise Unavailable(f"the node did not answer within {timeout_s:g} s") from err
        finally:
            del link.replies[request.request_id]

    def forget(self, account: str, serial: int) -> None:
        """Close the link of a node that is no more and drop what it was still to be told."""
        link = self._nodes.pop((account, serial), None)
        if link is not None and link.wire is not None:
            link.wire.stop()

    def is_connected(self, account: str, serial: int) -> bool:
        """Whether the node has a connection now."""
        link = self._nodes.get((account, serial))
        return link is not None and link.end.is_connected

    async def close(self) -> None:
        """End every connection; the agents dial again."""
        wires = [link.wire for link in self._nodes.values() if link.wire is not None]
        for wire in wires:
            wire.stop()
        for wire in wires:
            await wire.stopped()

    def __iter__(self) -> Iterator[NodeLink]:
        return iter(self._nodes.values())


@dataclass(frozen=True, slots=True)
class AccountLinks:
    """The registry as one account's operations see it: nodes are serials."""

    registry: Registry
    account: str

    def send(self, node_serial: int, message: Message) -> None:
        """Queue a message; see Registry.send."""
        self.registry.send(self.account, node_serial, message)

    async def request(
        self, node_serial: int, request: Request, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> Any:
        """Return the node's answer or raise Unavailable; see Registry.request."""
        return await self.registry.request(self.account, node_serial, request, timeout_s)

    def is_connected(self, node_serial: int) -> bool:
        """Whether the node has a connection now."""
        return self.registry.is_connected(self.account, node_serial)

    def forget(self, node_serial: int) -> None:
        """Close the link of a deleted node."""
        self.registry.forget(self.account, node_serial)
