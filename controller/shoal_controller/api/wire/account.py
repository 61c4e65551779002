"""Accounts on the wire: their quotas under the names that the public management interface uses."""

from __future__ import annotations

import base64
from typing import Any, Final

from shoal_controller.api.wire.table import Document, Property, Structure
from shoal_controller.api.wire.values import filled_text, integer_in, one_of
from shoal_controller.core.account import QUOTA_MAX, Account, KeyName, Service

_read_quota: Final = integer_in(0, QUOTA_MAX)
_QUOTAS: Final = (
    Property("dedicatedCoreQuota", "dedicated_core_count", _read_quota),
    Property("lowPriorityCoreQuota", "low_priority_core_count", _read_quota),
    Property("poolQuota", "pool_count", _read_quota),
    Property("activeJobAndJobScheduleQuota", "active_job_count", _read_quota),
)
_CREATE: Final = Structure((Property("name", "name", filled_text, is_required=True), *_QUOTAS))
_PATCH: Final = Structure(_QUOTAS)
_KEY: Final = Structure(
    (
        Property("keyName", "key_name", one_of(KeyName), is_required=True),
        Property("service", "service", one_of(Service)),
    )
)


def read_account(document: Any) -> tuple[str, dict[str, int]]:
    """Return the name of an account to make, and the quotas that shall not be as usual."""
    values = _CREATE.read(document, "account")
    return values.pop("name"), values


def read_quotas(document: Any) -> dict[str, int]:
    """Return the quotas to change."""
    return _PATCH.read(document, "account")


def read_key_choice(document: Any) -> tuple[Service, KeyName]:
    """Return which key is to be made anew; of the Batch API where it does not say."""
    values = _KEY.read(document, "key")
    return values.get("service", Service.BATCH), values["key_name"]


def write_account(account: Account, endpoint: str) -> Document:
    """Return an account without its keys; `endpoint`: where its clients reach it."""
    return {
        "name": account.name,
        "accountEndpoint": endpoint,
        **{row.name: getattr(account.quotas, row.attribute) for row in _QUOTAS},
        "fixedQuotas": [row.name for row in _QUOTAS if row.attribute in account.fixed_quotas],
    }


def write_keys(account: Account) -> Document:
    """Return an account's keys."""
    pairs = {Service.BATCH: account.keys, Service.STORAGE: account.storage_keys}
    return {
        "name": account.name,
        **{
            service: {
                name: base64.b64encode(key).decode()
                for name, key in zip(KeyName, pair, strict=True)
            }
            for service, pair in pairs.items()
        },
    }
