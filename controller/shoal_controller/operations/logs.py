"""The logs of the service on a node: its agent uploads them to where the caller says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shoal_controller.core.errors import Refused, Unavailable, invalid_property
from shoal_controller.core.node import check_reachable
from shoal_controller.operations.context import Context
from shoal_controller.operations.nodes import get_node
from shoal_protocol.messages import LogsRequest


@dataclass(frozen=True, slots=True)
class LogsWanted:
    """Which logs, and where to. container_url: with a signature that permits writing."""

    container_url: str
    begin: datetime
    end: datetime | None = None


async def upload_logs(
    ctx: Context, pool_id: str, node_id: str, wanted: LogsWanted, upload_id: str
) -> tuple[str, int]:
    """Upload a node's logs; return the virtual directory that holds them, and how many they are.

    upload_id   makes the directory one of its own
    """
    node = (await get_node(ctx, pool_id, node_id)).node
    check_reachable(node)
    directory = f"{ctx.account.name}/{node.pool_id}/{node.id}/{upload_id}"
    request = LogsRequest(0, wanted.container_url, directory, wanted.begin, wanted.end)
    try:
        reply = await ctx.links.request(node.serial, request)
    except Unavailable as err:
        raise Refused("NodeStateUnusable", Reason=str(err)) from err
    match reply.error:
        case "":
            return directory, reply.file_count
        case "no_log":
            raise Refused(
                "OperationNotValidOnNode",
                Reason="The agent keeps no log file: what it says is in its machine's log.",
            )
        case "failed":
            raise Refused("NodeStateUnusable", Reason=f"The log cannot be read: {reply.reason}")
        case code:
            raise invalid_property("containerUrl", "", f"{code}: {reply.reason}")
