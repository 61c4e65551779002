"""The token that a task's processes speak to the Batch API with: AZ_BATCH_AUTHENTICATION_TOKEN.

It names one run of the task and is signed with the account's seal, so nothing of it is stored: the
same run has the same token however often its node is told, and whoever checks one asks the store
whether the run still goes on. Source: semantics.md 6.13.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

from shoal_controller.core.account import Account
from shoal_protocol.specs import RunId

_TOKEN: Final = re.compile(
    r"(shoal-task\.([a-z0-9-]{1,64})\.([0-9]{1,18})\.([0-9]{1,9}))\.([A-Za-z0-9_-]{43})"
)


@dataclass(frozen=True, slots=True)
class TaskToken:
    """A token taken apart; nothing of it is to be believed before `is_genuine`."""

    account_name: str
    run: RunId
    text: str
    mac: str = field(repr=False)

    def is_genuine(self, account: Account) -> bool:
        """Return whether this account minted it."""
        return bool(account.seal) and hmac.compare_digest(_mac(account.seal, self.text), self.mac)


def mint(account: Account, run: RunId) -> str:
    """Return the token of a run; the account has a seal."""
    assert account.seal, f"account {account.name} has no seal"
    text = f"shoal-task.{account.name}.{run.serial}.{run.attempt}"
    return f"{text}.{_mac(account.seal, text)}"


def parse(token: str) -> TaskToken | None:
    """Return a token taken apart, or None for what has another form."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        return None
    return TaskToken(found[2], RunId(int(found[3]), int(found[4])), found[1], found[5])


def _mac(seal: bytes, text: str) -> str:
    mac = hmac.digest(seal, b"task token\n" + text.encode(), "sha256")
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
