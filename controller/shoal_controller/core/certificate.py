"""A certificate of the account: what it is, where it stands, and how pools name it.

Source: semantics 10. It is kept and referred to; placing it on nodes is the agent's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from shoal_controller.core.errors import Refused

USERS_SHOWN_MAX: Final = 100
"""Of the pools that keep a certificate from being deleted so many are named."""


class CertificateState(StrEnum):
    """The Batch service's certificate states."""

    ACTIVE = "active"
    DELETING = "deleting"
    DELETE_FAILED = "deletefailed"


class CertificateFormat(StrEnum):
    """How the data of a certificate is to be read."""

    PFX = "pfx"
    CER = "cer"


class CertificateStoreLocation(StrEnum):
    """Where Windows would keep a certificate."""

    CURRENT_USER = "currentuser"
    LOCAL_MACHINE = "localmachine"


class CertificateVisibility(StrEnum):
    """Who on a node may read a certificate."""

    START_TASK = "starttask"
    TASK = "task"
    REMOTE_USER = "remoteuser"


@dataclass(frozen=True, slots=True)
class CertificateKey:
    """The name of a certificate; equal whatever the case of letters."""

    algorithm: str
    thumbprint: str


@dataclass(frozen=True, slots=True)
class CertificateReference:
    """A certificate that a pool wants on its nodes."""

    key: CertificateKey
    store_location: CertificateStoreLocation | None = None
    store_name: str | None = None
    visibility: tuple[CertificateVisibility, ...] = ()


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as stored.

    serial   its number in the account, never used again
    data     as given, base64 undone; with `password` a secret, unless the format is CER
    used_by  the pools that kept it from being deleted, at most USERS_SHOWN_MAX of them
    """

    serial: int
    key: CertificateKey
    data: bytes
    format: CertificateFormat
    password: str | None
    state: CertificateState
    state_at: datetime
    previous_state: CertificateState | None = None
    previous_state_at: datetime | None = None
    used_by: tuple[str, ...] = ()


# --- events ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Delete:
    """A user wants it gone."""


@dataclass(frozen=True, slots=True)
class FoundUsed:
    """Pools still name it."""

    pool_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CancelDeletion:
    """A user wants to keep it after all."""


CertificateEvent = Delete | FoundUsed | CancelDeletion

MOVES: Final[Mapping[tuple[CertificateState, type[CertificateEvent]], CertificateState]] = {
    (CertificateState.ACTIVE, Delete): CertificateState.DELETING,
    (CertificateState.DELETE_FAILED, Delete): CertificateState.DELETING,
    (CertificateState.DELETING, FoundUsed): CertificateState.DELETE_FAILED,
    (CertificateState.DELETE_FAILED, CancelDeletion): CertificateState.ACTIVE,
}
"""Every legal move; one that is `deleting` and not used vanishes."""


def advance(certificate: Certificate, event: CertificateEvent, now: datetime) -> Certificate:
    """Return `certificate` as it stands after `event`; raise Refused where MOVES has no row."""
    target = MOVES.get((certificate.state, type(event)))
    if target is None:
        active = certificate.state == CertificateState.ACTIVE
        raise Refused("CertificateStateActive" if active else "CertificateBeingDeleted")
    return replace(
        certificate,
        state=target,
        state_at=now,
        previous_state=certificate.state,
        previous_state_at=certificate.state_at,
        used_by=event.pool_ids[:USERS_SHOWN_MAX] if isinstance(event, FoundUsed) else (),
    )
