"""Who an agent is: a token that works once becomes a node's key, and the key names the node.

Tokens and keys are random and long, so what is stored is their hash.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from typing import Final

from shoal_controller.core.errors import Refused
from shoal_controller.core.node import Node
from shoal_controller.operations.context import Context
from shoal_controller.store import nodes
from shoal_controller.store.database import Tx

_HOW_TO_MEND: Final = "Remove the node from its pool: the one that takes its place has a new token."


async def join_node(ctx: Context, node_id: str, token: str, key: str) -> str:
    """Exchange a one-time join token for a node key and return the key.

    key   a fresh one, made by the caller. A repeat with the same token, after an answer was lost,
          replaces the key, until the node's first link with a key uses the token up.
    Raises Refused("AuthenticationFailed") saying what is wrong with the token: that a node exists
    is no secret to who can name it.
    """

    def decide(tx: Tx) -> str:
        node = nodes.by_id(tx, node_id)
        if node is None:
            raise cannot_join(f"no node {node_id[:80]!r} is known here")
        if not node.join_token_hash:
            raise cannot_join(f"the join token of node {node.id!r} was used already")
        if not hmac.compare_digest(hash_secret(token), node.join_token_hash):
            raise cannot_join(f"the join token is not that of node {node.id!r}")
        nodes.update(tx, replace(node, key_hash=hash_secret(key)))
        return key

    return await ctx.settle(decide)


async def find_node_by_key(ctx: Context, key: str) -> Node:
    """Return the node whose agent holds `key`, or raise Refused."""
    rows = await ctx.store.read(nodes.BY_KEY, (hash_secret(key),))
    if not rows:
        raise unknown_key()
    return nodes.node(rows[0])


def cannot_join(reason: str) -> Refused:
    """Return the refusal of a join token; `reason` goes on after "cannot join: "."""
    return Refused("AuthenticationFailed", f"The agent cannot join: {reason}. {_HOW_TO_MEND}")


def unknown_key() -> Refused:
    """Return the refusal of a node key."""
    return Refused(
        "AuthenticationFailed",
        "The key of the agent is that of no node here: its node was removed from its pool, or"
        " belongs to another controller.",
    )


def hash_secret(secret: str) -> bytes:
    """Return what is stored of a random secret: its hash tells nothing of it."""
    return hashlib.sha256(secret.encode()).digest()
