"""What the claims of a token say: whether it is good now and here, and what it grants.

Signatures are another file's affair (api/issuers.py); these rules are plain functions of claims.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeGuard, cast

from shoal_controller.core.access import Role, highest

ALGORITHMS: Final = frozenset(
    {
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "EdDSA"),
    }
)
"""What issuers may sign with: private keys of their own. Neither `none` nor a shared secret."""
LEEWAY_S: Final = 60.0
"""Clocks of others may be so far off."""

Claims = Mapping[str, Any]
ClaimPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """Whose tokens may do what: where `claim` is `value`, or a list with it, `role` is granted.

    claim     the names that lead to the claim, from outside in
    account   the account's name; or else
    account_claim   the claim that holds it
    """

    claim: ClaimPath
    value: str
    role: Role
    account: str = ""
    account_claim: ClaimPath = ()


def what_is_wrong(claims: Claims, audiences: Collection[str], now: datetime) -> str | None:
    """Return why a token of a known issuer is not good here and now, or None.

    Source: RFC 7519 4.1. `exp` is required: a token without end could never be taken back.
    """
    now_s = now.timestamp()
    held = claims.get("aud")
    named = cast("list[Any]", held) if isinstance(held, list) else [held]
    if not any(isinstance(audience, str) and audience in audiences for audience in named):
        return "The token is for another audience."
    end, begin = claims.get("exp"), claims.get("nbf", 0)
    if not _is_number(end) or not _is_number(begin):
        return "The token does not say until when it is good (exp, nbf)."
    # In these forms a NaN is no good time, and a number beyond all floats is one.
    if not now_s - LEEWAY_S < end:
        return "The token has expired."
    if not now_s + LEEWAY_S > begin:
        return "The token is not good yet."
    return None


def granted(claims: Claims, rules: Sequence[Rule]) -> dict[str, Role]:
    """Return the accounts that a token speaks for, each with the highest role that a rule gives."""
    roles: dict[str, list[Role]] = {}
    for rule in rules:
        if rule.value not in _texts(_at(claims, rule.claim)):
            continue
        named = [rule.account] if rule.account else _texts(_at(claims, rule.account_claim))
        for account in named:
            roles.setdefault(account, []).append(rule.role)
    return {account: highest(held) for account, held in roles.items()}


def _at(claims: Claims, path: ClaimPath) -> Any:
    found: Any = claims
    for name in path:
        if not isinstance(found, Mapping):
            return None
        found = cast("Claims", found).get(name)
    return found


def _texts(value: Any) -> list[str]:
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
