"""Certificates of the account: add, read, delete, and what pools may refer to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import replace

from shoal_controller.core.certificate import (
    CancelDeletion,
    Certificate,
    CertificateFormat,
    CertificateKey,
    CertificateReference,
    CertificateState,
    Delete,
    FoundUsed,
    advance,
)
from shoal_controller.core.errors import Refused
from shoal_controller.core.listing import Listing, ListQuery
from shoal_controller.operations.context import Context
from shoal_controller.store import certificates, pages, pools
from shoal_controller.store.database import Tx


async def create_certificate(
    ctx: Context,
    key: CertificateKey,
    data: bytes,
    data_format: CertificateFormat,
    password: str | None,
) -> None:
    """Add a certificate, or raise Refused("CertificateExists")."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> None:
        new = Certificate(0, key, data, data_format, password, CertificateState.ACTIVE, now)
        try:
            certificates.insert(tx, new)
        except sqlite3.IntegrityError:
            raise Refused("CertificateExists") from None

    await ctx.settle(decide)


async def get_certificate(ctx: Context, key: CertificateKey) -> Certificate:
    """Return a certificate."""
    rows = await ctx.store.read(certificates.GET, (key.algorithm, key.thumbprint))
    if not rows:
        raise Refused("CertificateNotFound")
    return certificates.certificate(rows[0])


async def list_certificates(ctx: Context, query: ListQuery) -> Listing[Certificate]:
    """Return a page of the account's certificates, oldest first."""
    rows, next_after = await pages.page(ctx.store, pages.CERTIFICATES, (), query)
    return Listing([certificates.certificate(row) for row in rows], next_after)


async def delete_certificate(ctx: Context, key: CertificateKey) -> None:
    """Delete a certificate; where pools refer to it, note instead that they do."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> None:
        deleting = advance(_find(tx, key), Delete(), now)
        users = tuple(_pools_that_use(tx, key))
        if users:
            certificates.update(tx, advance(deleting, FoundUsed(users), now))
        else:
            certificates.delete(tx, deleting.serial)

    await ctx.settle(decide)


async def cancel_deletion(ctx: Context, key: CertificateKey) -> None:
    """Make a certificate whose deletion failed active again."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> None:
        certificates.update(tx, advance(_find(tx, key), CancelDeletion(), now))

    await ctx.settle(decide)


def check_references(tx: Tx, references: Iterable[CertificateReference]) -> None:
    """Raise Refused unless each certificate that a pool wants is there and active."""
    for reference in references:
        key = reference.key
        found = certificates.get(tx, key)
        if found is None or found.state != CertificateState.ACTIVE:
            why = "is not one of the account's" if found is None else f"is {found.state}"
            raise Refused(
                "InvalidCertificateReferences",
                Reason=f"The certificate {key.algorithm} {key.thumbprint} {why}.",
            )


def _find(tx: Tx, key: CertificateKey) -> Certificate:
    found = certificates.get(tx, key)
    if found is None:
        raise Refused("CertificateNotFound")
    return found


def _pools_that_use(tx: Tx, key: CertificateKey) -> Iterable[str]:
    wanted = _folded(key)
    for row in tx.rows(pools.ALL):
        pool = pools.pool(row)
        if any(_folded(reference.key) == wanted for reference in pool.definition.certificates):
            yield pool.id


def _folded(key: CertificateKey) -> CertificateKey:
    return replace(key, algorithm=key.algorithm.lower(), thumbprint=key.thumbprint.lower())
