"""shoal node: list, show, reboot, reimage, deallocate, start, disable, enable, remove."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from shoal_cli.bodies import odata, put
from shoal_cli.command import Session, api_command
from shoal_cli.faults import UsageFault
from shoal_cli.options import ID, NODE_ID, filter_option, limit_option, yes_option

if TYPE_CHECKING:
    from shoal_cli.client import Client


@click.group()
def node() -> None:
    """Nodes: where tasks run."""


_pool = click.argument("pool_id", metavar="POOL", type=ID)
_nodes = click.argument("node_ids", metavar="NODE...", type=NODE_ID, nargs=-1, required=True)


@api_command(node, "list", doing="list the nodes of pool '{pool_id}'")
@click.argument("pool_id", metavar="[POOL]", type=ID, required=False)
@filter_option
@click.option("--state", help="Only nodes in this state: idle, running, starttaskfailed...")
@limit_option
async def list_(
    session: Session, pool_id: str | None, filter_: str | None, state: str | None, limit: int | None
) -> None:
    """List the nodes of a pool; without POOL, of all pools."""
    from dataclasses import replace

    from shoal_cli.client import path_of
    from shoal_cli.views import NODE, Column

    query = odata(filter_, state)
    if pool_id is not None:
        pages = session.client.pages(path_of("pools", pool_id, "nodes"), limit=limit, **query)
        await session.out.list(pages, NODE)
        return
    # The API lists nodes pool by pool; a node's url names its pool.
    in_pool = Column(
        "pool", lambda n: str(n.get("url", "")).rpartition("/nodes/")[0].rpartition("/")[2]
    )
    columns = (NODE[0], replace(in_pool, kind="id"), *NODE[1:])
    await session.out.list(_of_all_pools(session, limit, query), columns)


async def _of_all_pools(
    session: Session, limit: int | None, query: dict[str, str]
) -> AsyncIterator[list[dict[str, Any]]]:
    from shoal_cli.client import path_of

    left = limit
    async for pools in session.client.pages("/pools"):
        for pool in pools:
            path = path_of("pools", pool["id"], "nodes")
            async for page in session.client.pages(path, limit=left, **query):
                yield page
                left = None if left is None else left - len(page)
            if left == 0:
                return


@api_command(node, "show", doing="show node '{node_id}' of pool '{pool_id}'")
@_pool
@click.argument("node_id", metavar="NODE", type=NODE_ID)
async def show(session: Session, pool_id: str, node_id: str) -> None:
    """Show one node."""
    from shoal_cli.client import path_of
    from shoal_cli.views import NODE

    (node_id,) = await whole_ids(session.client, pool_id, [node_id])
    session.out.show(await session.client.get(path_of("pools", pool_id, "nodes", node_id)), NODE)


_running = click.option(
    "--running",
    type=click.Choice(["requeue", "terminate", "taskcompletion", "retaineddata"]),
    help="What becomes of their running tasks. [requeue]",
)


@api_command(node, "reboot", doing="reboot node '{node_ids}' of pool '{pool_id}'")
@_pool
@_nodes
@_running
@yes_option
async def reboot(
    session: Session, pool_id: str, node_ids: tuple[str, ...], running: str | None
) -> None:
    """Restart nodes; their start task runs again."""
    session.confirm(f"Reboot node {', '.join(node_ids)}?")
    body = put({}, nodeRebootOption=running)
    async for node_id in _each(session, pool_id, node_ids, "reboot", body):
        session.out.done(f"node '{node_id}' is rebooting")


@api_command(node, "reimage", doing="reimage node '{node_ids}' of pool '{pool_id}'")
@_pool
@_nodes
@_running
@yes_option
async def reimage(
    session: Session, pool_id: str, node_ids: tuple[str, ...], running: str | None
) -> None:
    """Begin nodes anew: their files are gone, their start task runs again."""
    session.confirm(f"Delete all files of node {', '.join(node_ids)}?")
    body = put({}, nodeReimageOption=running)
    async for node_id in _each(session, pool_id, node_ids, "reimage", body):
        session.out.done(f"node '{node_id}' is reimaged")


@api_command(node, "deallocate", doing="deallocate node '{node_ids}' of pool '{pool_id}'")
@_pool
@_nodes
@_running
@yes_option
async def deallocate(
    session: Session, pool_id: str, node_ids: tuple[str, ...], running: str | None
) -> None:
    """Stop nodes until they are started again; they keep their files and their place."""
    session.confirm(f"Stop node {', '.join(node_ids)}?")
    body = put({}, nodeDeallocateOption=running)
    async for node_id in _each(session, pool_id, node_ids, "deallocate", body):
        session.out.done(f"node '{node_id}' is deallocating")


@api_command(node, "start", doing="start node '{node_ids}' of pool '{pool_id}'")
@_pool
@_nodes
async def start(session: Session, pool_id: str, node_ids: tuple[str, ...]) -> None:
    """Start nodes that were deallocated."""
    async for node_id in _each(session, pool_id, node_ids, "start", {}):
        session.out.done(f"node '{node_id}' is starting")


@api_command(node, "disable", doing="disable scheduling on node '{node_ids}' of pool '{pool_id}'")
@_pool
@_nodes
@click.option(
    "--running",
    type=click.Choice(["requeue", "terminate", "taskcompletion"]),
    help="What becomes of its running tasks. [requeue]",
)
async def disable(
    session: Session, pool_id: str, node_ids: tuple[str, ...], running: str | None
) -> None:
    """Let no new task start on nodes."""
    body = put({}, nodeDisableSchedulingOption=running)
    async for node_id in _each(session, pool_id, node_ids, "disablescheduling", body):
        session.out.done(f"node '{node_id}' takes no new tasks")


@api_command(node, "enable", doing="enable scheduling on node '{node_ids}' of pool '{pool_id}'")
@_pool
@_nodes
async def enable(session: Session, pool_id: str, node_ids: tuple[str, ...]) -> None:
    """Let tasks start on nodes again."""
    async for node_id in _each(session, pool_id, node_ids, "enablescheduling", {}):
        session.out.done(f"node '{node_id}' takes tasks")


@api_command(node, "remove", doing="remove node '{node_ids}' from pool '{pool_id}'")
@_pool
@_nodes
@_running
@yes_option
async def remove(
    session: Session, pool_id: str, node_ids: tuple[str, ...], running: str | None
) -> None:
    """Take nodes out of their pool; the pool's target shrinks with them."""
    from shoal_cli.client import path_of

    session.confirm(f"Remove node {', '.join(node_ids)} from pool {pool_id}?")
    whole = await whole_ids(session.client, pool_id, node_ids)
    body = put({}, nodeList=tuple(whole), nodeDeallocationOption=running)
    await session.client.post(path_of("pools", pool_id, "removenodes"), body)
    for node_id in whole:
        session.out.done(f"node '{node_id}' is being removed")


async def _each(
    session: Session, pool_id: str, node_ids: Sequence[str], action: str, body: dict[str, Any]
) -> AsyncIterator[str]:
    """Do an action on nodes, one after the other; yield the id of each when it is done."""
    from shoal_cli.client import path_of

    for node_id in await whole_ids(session.client, pool_id, node_ids):
        await session.client.post(path_of("pools", pool_id, "nodes", node_id, action), body or None)
        yield node_id


async def whole_ids(client: Client, pool_id: str, given: Sequence[str]) -> list[str]:
    """Return the ids of nodes that were named by the beginnings of their ids.

    One that fits no node is returned as it is: the service says best what is wrong with it.
    """
    from shoal_cli.client import path_of

    path = path_of("pools", pool_id, "nodes")
    select = {"$select": "id"}
    ids = [str(n["id"]) async for page in client.pages(path, limit=None, **select) for n in page]
    return [_whole_id(ids, text) for text in given]


def _whole_id(ids: Sequence[str], text: str) -> str:
    fitting = [an_id for an_id in ids if an_id.lower().startswith(text.lower())]
    if len(fitting) > 1 and text not in fitting:
        raise UsageFault(
            f"'{text}' is the beginning of {len(fitting)} nodes", mend="give more of the id"
        )
    return text if text in fitting or not fitting else fitting[0]
