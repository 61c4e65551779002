"""An account: its name, its two keys and its quotas."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quotas:
    """Limits of an account (semantics 1.1)."""

    dedicated_core_count: int = 100
    low_priority_core_count: int = 100
    pool_count: int = 100
    active_job_count: int = 300


@dataclass(frozen=True, slots=True)
class Account:
    """A tenant: everything it owns lives in one folder of its name.

    keys  the primary and the secondary key, base64 undone; either signs a request
    """

    name: str
    keys: tuple[bytes, bytes]
    quotas: Quotas = Quotas()
