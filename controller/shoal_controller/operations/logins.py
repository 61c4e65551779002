"""Logins of people on nodes. No provider offers any yet: what is right is refused, and says why."""

from __future__ import annotations

from typing import Final, NoReturn

from shoal_controller.core.errors import Refused
from shoal_controller.core.node import check_takes_users
from shoal_controller.operations.context import Context
from shoal_controller.operations.nodes import get_node

_NO_LOGINS: Final = (
    "The node is a folder of a machine that it shares with others, and has no logins of its own; "
    "the machine's administrator can give you an account there."
)
_NO_REMOTE_DESKTOP: Final = (
    "Remote desktop can be had only of nodes of pools created with cloudServiceConfiguration."
)


async def refuse_user(ctx: Context, pool_id: str, node_id: str) -> NoReturn:
    """Raise Refused: what is absent, a state that takes no users, or that there are no logins."""
    check_takes_users((await get_node(ctx, pool_id, node_id)).state)
    raise Refused("OperationNotValidOnNode", Reason=_NO_LOGINS)


async def refuse_remote_login(ctx: Context, pool_id: str, node_id: str) -> NoReturn:
    """Raise Refused: what is absent, or that the node has no logins."""
    await get_node(ctx, pool_id, node_id)
    raise Refused("OperationNotValidOnNode", Reason=_NO_LOGINS)


async def refuse_remote_desktop(ctx: Context, pool_id: str, node_id: str) -> NoReturn:
    """Raise Refused: what is absent, or that only cloud service pools had remote desktops."""
    await get_node(ctx, pool_id, node_id)
    raise Refused("OperationNotValidOnNode", Reason=_NO_REMOTE_DESKTOP)
