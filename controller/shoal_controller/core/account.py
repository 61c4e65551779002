"""An account: its name, its secrets and its quotas."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Final

from shoal_controller.core.errors import Refused, invalid_property

ACCOUNT_NAME: Final = re.compile(r"[a-z0-9]{3,24}")
QUOTA_MAX: Final = 1_000_000


class KeyName(StrEnum):
    """Which of two keys: clients use one while the other is made anew."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


class Service(StrEnum):
    """What a pair of keys is good for."""

    BATCH = "batch"
    STORAGE = "storage"


@dataclass(frozen=True, slots=True)
class Quotas:
    """Limits of an account (semantics 1.1)."""

    dedicated_core_count: int = 100
    low_priority_core_count: int = 100
    pool_count: int = 100
    active_job_count: int = 300


QUOTA_NAMES: Final = tuple(quota.name for quota in fields(Quotas))


@dataclass(frozen=True, slots=True)
class Account:
    """A tenant: everything it owns lives in one folder of its name.

    keys          the primary and the secondary key, base64 undone; either signs a request
    quotas        what counts now
    storage_keys  likewise, for the blob gateway
    seal          signs what the account hands out and takes back: positions in lists, tokens of
                  tasks; the keys may change meanwhile
    fixed_quotas  names of quotas that the configuration sets: only there they can be changed
    """

    name: str
    keys: tuple[bytes, bytes] = field(repr=False)
    quotas: Quotas = Quotas()
    storage_keys: tuple[bytes, bytes] = field(default=(b"", b""), repr=False)
    seal: bytes = field(default=b"", repr=False)
    fixed_quotas: frozenset[str] = frozenset()


def check_account_name(name: str) -> None:
    """Raise Refused when no account can have this name."""
    if not ACCOUNT_NAME.fullmatch(name):
        raise invalid_property(
            "name", name, "It must be 3 to 24 characters, each a lower-case letter or a digit."
        )


def with_new_key(account: Account, service: Service, key_name: KeyName, key: bytes) -> Account:
    """Return the account with one key replaced; the other keys stay good."""
    primary, secondary = account.keys if service is Service.BATCH else account.storage_keys
    pair = (key, secondary) if key_name is KeyName.PRIMARY else (primary, key)
    if service is Service.BATCH:
        return replace(account, keys=pair)
    return replace(account, storage_keys=pair)


def with_quotas(account: Account, changes: Mapping[str, int]) -> Account:
    """Return the account with some quotas changed; a lower one takes away nothing that exists.

    raises  Refused for one that the configuration sets
    """
    for name in changes:
        if name in account.fixed_quotas:
            raise Refused(
                "OperationInvalidForCurrentState",
                Reason=f"{name}_max of account '{account.name}' is set in controller.toml; change "
                "it there, or remove it there to change it by command.",
            )
    return replace(account, quotas=replace(account.quotas, **changes))
