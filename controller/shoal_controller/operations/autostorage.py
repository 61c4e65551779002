"""The account's own storage, as far as packages need it: is an upload good, and what is to go.

What rows stop naming is noted in the same transaction and removed after it, by whoever comes first:
the operation itself, or a later round of loops/applications.py.
"""

from __future__ import annotations

import contextlib

from shoal_controller.core.application import FORMAT, BlobFacts
from shoal_controller.core.archive import BadArchive, examine
from shoal_controller.core.errors import Refused, Unavailable, invalid_property
from shoal_controller.operations.context import Blobs, Context
from shoal_controller.store import applications


def blobs_of(ctx: Context) -> Blobs:
    """Return the account's storage, or raise Unavailable where it has none."""
    if ctx.blobs is None:
        raise Unavailable("the account has no storage")
    return ctx.blobs


async def check_zip(blobs: Blobs, container: str, blob: str) -> None:
    """Raise Refused unless a blob is there and is a zip that nodes can unpack."""
    facts = await blobs.find(container, blob)
    if facts is None:
        raise Refused(
            "OperationInvalidForCurrentState",
            Reason="Nothing was uploaded yet; put the zip to the package's storageUrl first.",
        )
    try:
        await _examine(blobs, container, blob, facts)
    except BadArchive as err:
        raise invalid_property(
            "format", FORMAT, f"What was uploaded is no zip that nodes can unpack. {err}"
        ) from None


async def _examine(blobs: Blobs, container: str, blob: str, facts: BlobFacts) -> None:
    examination = examine(facts.size)
    try:
        span = next(examination)
        while True:
            data = await blobs.read(container, blob, facts.tag, *span)
            if data is None:
                raise Refused(
                    "OperationInvalidForCurrentState",
                    Reason="The content was replaced while it was looked at; activate it again.",
                )
            span = examination.send(data)
    except StopIteration:
        return


async def sweep(ctx: Context) -> bool:
    """Remove from the storage what no row names any more; return whether there may be more."""
    if ctx.blobs is None:
        return False
    rows = await ctx.store.read(applications.DOOMED)
    for row in rows:
        await ctx.blobs.delete(row["container"], row["blob"])
        await _forget(ctx, row["serial"])
    return len(rows) == applications.DOOMED_PER_ROUND


async def sweep_now(ctx: Context) -> None:
    """Sweep, or leave it to the loop: the row is gone, and that is what was asked for."""
    with contextlib.suppress(Unavailable):
        await sweep(ctx)


async def _forget(ctx: Context, serial: int) -> None:
    await ctx.settle(lambda tx: applications.forget_doomed(tx, serial))
