"""What links report, brought to the account that it concerns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from shoal_controller.links.events import NodeRef
from shoal_controller.operations import joining, reports
from shoal_controller.operations.context import Context
from shoal_protocol.codec import Entry
from shoal_protocol.link import LinkEnd
from shoal_protocol.messages import Hello
from shoal_protocol.specs import NodeConfig


class Reception:
    """LinkEvents for all accounts of a controller."""

    def __init__(self, accounts: Mapping[str, Context], new_secret: Callable[[str], str]) -> None:
        """new_secret   makes a fresh node key of an account"""
        self._accounts = accounts
        self._new_secret = new_secret

    async def join(self, node_id: str, token: str) -> str:
        ctx = self._of_secret(token)
        if ctx is None:
            raise joining.cannot_join("the join token is that of no account here")
        return await joining.join_node(ctx, node_id, token, self._new_secret(ctx.account.name))

    async def authenticate(self, key: str) -> NodeRef:
        ctx = self._of_secret(key)
        if ctx is None:
            raise joining.unknown_key()
        node = await joining.find_node_by_key(ctx, key)
        return NodeRef(ctx.account.name, node.serial, node.id)

    async def hello(self, ref: NodeRef, hello: Hello, end: LinkEnd) -> NodeConfig:
        ctx = self._accounts.get(ref.account)
        if ctx is None:  # deleted since the node's key was looked at
            raise joining.unknown_key()
        return await reports.agent_hello(ctx, ref.serial, hello, end.unacked_messages)

    async def entries(self, ref: NodeRef, entries: Sequence[Entry]) -> None:
        ctx = self._accounts.get(ref.account)
        if ctx is None:
            raise joining.unknown_key()
        await reports.agent_entries(ctx, ref.serial, entries)

    def disconnected(self, ref: NodeRef) -> None:
        if (ctx := self._accounts.get(ref.account)) is not None:
            reports.agent_disconnected(ctx, ref.serial)

    def heard(self, ref: NodeRef) -> None:
        if (ctx := self._accounts.get(ref.account)) is not None:
            reports.agent_heard(ctx, ref.serial)

    def _of_secret(self, secret: str) -> Context | None:
        return self._accounts.get(secret.partition(":")[0])
