"""shoal pool: create, list, show, resize, stop-resize, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shoal_cli.bodies import odata, put, read_body
from shoal_cli.command import FOLLOW_PATIENCE_S, Session, api_command
from shoal_cli.faults import Failed, UsageFault
from shoal_cli.follow import poll, wait_gone
from shoal_cli.options import (
    DURATION,
    ID,
    PAIR,
    Count,
    body_option,
    filter_option,
    limit_option,
    wait_option,
    yes_option,
)

if TYPE_CHECKING:
    from shoal_cli.client import Client

VM_SIZE_DEFAULT = "standard_d2_v3"
"""Nodes here are as big as their machine; the API wants a size all the same."""
IMAGE_DEFAULT = "canonical:0001-com-ubuntu-server-jammy:22_04-lts"


@click.group()
def pool() -> None:
    """Pools: groups of nodes that run tasks."""


@api_command(pool, "create", doing="create pool '{pool_id}'", patience_s=FOLLOW_PATIENCE_S)
@click.argument("pool_id", metavar="POOL", type=ID)
@click.option("--nodes", type=Count(0), help="How many nodes. [1]")
@click.option("--low-priority", type=Count(0), help="How many low-priority nodes.")
@click.option("--slots", type=Count(1), help="Tasks a node runs at once. [1]")
@click.option("--image", metavar="PUBLISHER:OFFER:SKU", help="See `shoal images`.")
@click.option("--size", metavar="NAME", help="The nodes' size, as the API names it.")
@click.option("--fill", type=click.Choice(["pack", "spread"]), help="Which nodes fill first.")
@click.option("--start-task", metavar="COMMAND", help="Run on each node before any task.")
@click.option("--start-elevated", is_flag=True, help="The start task runs as administrator.")
@click.option("--start-retries", type=Count(-1), help="How often a failing start task is repeated.")
@click.option("--resize-timeout", type=DURATION, help="Give up getting nodes after this time.")
@click.option("--metadata", type=PAIR, multiple=True, help="A note on the pool; may be repeated.")
@click.option("--name", help="A name for people.")
@body_option("pool")
@wait_option
async def create(session: Session, pool_id: str, wait: bool, **given: Any) -> None:
    """Make a pool. With --wait: until its nodes can run tasks."""
    body = read_body(given.pop("body"), what="pool")
    if not isinstance(body, dict):
        raise UsageFault("--body of a pool must be one JSON object")
    await create_pool(session.client, pool_id, body, **given)
    if wait:
        await wait_ready(session, pool_id)
    if session.out.format == "table" and not session.out.quiet:
        session.out.done(f"pool '{pool_id}' is {'ready' if wait else 'being made'}")
    else:
        await _show(session, pool_id)


async def create_pool(
    client: Client,
    pool_id: str,
    body: dict[str, Any],
    *,
    nodes: int | None = None,
    low_priority: int | None = None,
    slots: int | None = None,
    image: str | None = None,
    size: str | None = None,
    fill: str | None = None,
    start_task: str | None = None,
    start_elevated: bool = False,
    start_retries: int | None = None,
    resize_timeout: str | None = None,
    metadata: tuple[dict[str, str], ...] = (),
    name: str | None = None,
) -> None:
    """Ask for a pool made of `body` and what the options add to it."""
    put(
        body,
        id=pool_id,
        vmSize=size,
        targetDedicatedNodes=nodes,
        targetLowPriorityNodes=low_priority,
        taskSlotsPerNode=slots,
        resizeTimeout=resize_timeout,
        metadata=metadata,
        displayName=name,
    )
    body.setdefault("vmSize", VM_SIZE_DEFAULT)
    if not body.get("enableAutoScale"):
        body.setdefault("targetDedicatedNodes", 1)
    if fill:
        body["taskSchedulingPolicy"] = {"nodeFillType": fill}
    if start_task:
        task: dict[str, Any] = {"commandLine": start_task, "waitForSuccess": True}
        if start_elevated:
            task["userIdentity"] = {"autoUser": {"scope": "pool", "elevationLevel": "admin"}}
        body["startTask"] = put(task, maxTaskRetryCount=start_retries)
    elif start_elevated or start_retries is not None:
        raise UsageFault("--start-elevated and --start-retries belong to a --start-task")
    if image or "virtualMachineConfiguration" not in body:
        body["virtualMachineConfiguration"] = await _machine(client, image)
    await client.post("/pools", body)


async def _machine(client: Client, wanted: str | None) -> dict[str, Any]:
    """Return the configuration for an image; if none is wanted, for a verified Linux one."""
    from shoal_cli.views import image_name

    found: dict[str, Any] | None = None
    async for page in client.pages("/supportedimages"):
        for image in page:
            reference = image.get("imageReference") or {}
            name = (image_name(reference) or "").lower()
            if wanted is not None:
                fits = wanted.lower() in (name, f"{name}:{reference.get('version')}".lower())
            else:
                fits = (
                    image.get("osType") == "linux" and image.get("verificationType") == "verified"
                )
            # Without a wish the usual one is taken, or whatever there is.
            if fits and (found is None or name == IMAGE_DEFAULT):
                found = image
    if found is None:
        raise UsageFault(
            f"the service has no image '{wanted}'" if wanted else "the service has no Linux image",
            mend="`shoal images` lists those it has",
        )
    reference, sku = found.get("imageReference"), found.get("nodeAgentSKUId")
    return {"imageReference": reference, "nodeAgentSKUId": sku}


@api_command(pool, "list", doing="list pools")
@filter_option
@click.option("--state", help="Only pools in this state: active, deleting.")
@limit_option
async def list_(
    session: Session, filter_: str | None, state: str | None, limit: int | None
) -> None:
    """List pools."""
    from shoal_cli.views import POOL

    pages = session.client.pages("/pools", limit=limit, **odata(filter_, state))
    await session.out.list(pages, POOL)


@api_command(pool, "show", doing="show pool '{pool_id}'")
@click.argument("pool_id", metavar="POOL", type=ID)
async def show(session: Session, pool_id: str) -> None:
    """Show one pool."""
    await _show(session, pool_id)


async def _show(session: Session, pool_id: str) -> None:
    from shoal_cli.client import path_of
    from shoal_cli.views import POOL

    session.out.show(await session.client.get(path_of("pools", pool_id)), POOL)


@api_command(pool, "resize", doing="resize pool '{pool_id}'", patience_s=FOLLOW_PATIENCE_S)
@click.argument("pool_id", metavar="POOL", type=ID)
@click.argument("nodes", type=Count(0), required=False)
@click.option("--low-priority", type=Count(0), help="How many low-priority nodes.")
@click.option(
    "--running",
    type=click.Choice(["requeue", "terminate", "taskcompletion", "retaineddata"]),
    help="What becomes of tasks on nodes that go. [requeue]",
)
@click.option("--resize-timeout", type=DURATION, help="Give up after this time.")
@wait_option
async def resize(
    session: Session,
    pool_id: str,
    nodes: int | None,
    low_priority: int | None,
    running: str | None,
    resize_timeout: str | None,
    wait: bool,
) -> None:
    """Give a pool NODES nodes."""
    from shoal_cli.client import path_of

    if nodes is None and low_priority is None:
        raise UsageFault("say how many nodes: shoal pool resize POOL NODES")
    body = put(
        {},
        targetDedicatedNodes=nodes,
        targetLowPriorityNodes=low_priority,
        nodeDeallocationOption=running,
        resizeTimeout=resize_timeout,
    )
    await session.client.post(path_of("pools", pool_id, "resize"), body)
    if wait:
        await wait_ready(session, pool_id)
    session.out.done(f"pool '{pool_id}' {'has been' if wait else 'is being'} resized")


@api_command(pool, "stop-resize", doing="stop the resizing of pool '{pool_id}'")
@click.argument("pool_id", metavar="POOL", type=ID)
async def stop_resize(session: Session, pool_id: str) -> None:
    """Leave a pool with the nodes it has now."""
    from shoal_cli.client import path_of

    await session.client.post(path_of("pools", pool_id, "stopresize"))
    session.out.done(f"pool '{pool_id}' stops resizing")


@api_command(pool, "delete", doing="delete pool '{pool_ids}'", patience_s=FOLLOW_PATIENCE_S)
@click.argument("pool_ids", metavar="POOL...", type=ID, nargs=-1, required=True)
@yes_option
@wait_option
async def delete(session: Session, pool_ids: tuple[str, ...], wait: bool) -> None:
    """Delete pools and their nodes; their tasks go back to the queue."""
    from shoal_cli.client import path_of

    session.confirm(f"Delete pool {', '.join(pool_ids)} and its nodes?")
    for pool_id in pool_ids:
        await session.client.delete(path_of("pools", pool_id))
    for pool_id in pool_ids if wait else ():
        await wait_gone(session.client, path_of("pools", pool_id))
    for pool_id in pool_ids:
        session.out.done(f"pool '{pool_id}' {'has been' if wait else 'is being'} deleted")


# --- waiting for nodes ----------------------------------------------------------------------------

COMING = frozenset(
    {"creating", "starting", "waitingforstarttask", "rebooting", "reimaging", "upgradingos"}
)
"""States of nodes that will come into use by themselves."""
BROKEN = frozenset({"starttaskfailed", "unusable", "unknown"})


async def wait_ready(session: Session, pool_id: str) -> None:
    """Return when the pool has what it was asked for; raise Failed when it will not get it."""
    from shoal_cli.client import path_of

    client = session.client

    async def ready() -> bool:
        pool = await client.get(path_of("pools", pool_id))
        if pool.get("allocationState") != "steady":
            return False
        if errors := pool.get("resizeErrors"):
            raise Failed(
                [f"{e.get('code')}: {e.get('message')}" for e in errors],
                mend=f"`shoal pool show {pool_id}` says what it has; resize it to try again",
            )
        nodes = [n async for page in client.pages(path_of("pools", pool_id, "nodes")) for n in page]
        if broken := [n for n in nodes if n.get("state") in BROKEN]:
            raise node_failure(pool_id, broken)
        return not any(n.get("state") in COMING for n in nodes)

    await poll(ready)


def node_failure(pool_id: str, nodes: list[dict[str, Any]]) -> Failed:
    """Return what to tell of nodes that did not come into use."""
    from shoal_cli.views import NODE

    facts = {c.title: c.get for c in NODE}
    why = []
    for node in nodes[:3]:
        reason = facts["start failure"](node) or facts["errors"](node) or ""
        why.append(f"node '{node.get('id')}' is {node.get('state')}: {reason}".rstrip(": "))
    if len(nodes) > 3:
        why.append(f"and {len(nodes) - 3} more")
    first = nodes[0].get("id")
    return Failed(
        why,
        mend=f"`shoal file get --node {pool_id}/{first}:startup/stderr.txt --to -` shows what the "
        "start task said"
        if nodes[0].get("state") == "starttaskfailed"
        else f"`shoal node show {pool_id} {first}`",
    )
