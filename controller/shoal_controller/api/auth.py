"""Who is calling, checked before anything else is looked at: SharedKey, or a bearer token.

Bearer tokens are of two kinds: those of tasks, which this service mints itself, and those of
identity providers that the configuration trusts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, Protocol

from shoal_controller.api.issuers import Issuers, untrusted
from shoal_controller.clock import Clock
from shoal_controller.core import claims, tasktoken
from shoal_controller.core.access import Grant, Role
from shoal_controller.core.errors import Refused, invalid_header
from shoal_controller.core.tasktoken import TaskToken
from shoal_controller.operations.tasks import job_of_run
from shoal_protocol.sharedkey import SignedParts, string_to_sign, verify

if TYPE_CHECKING:
    from shoal_controller.operations.context import Context

SKEW_MAX: Final = timedelta(minutes=15)
DATE_WANTED: Final = "It must be an HTTP date, such as Fri, 01 May 2026 12:00:00 GMT."
_SHARED_KEY: Final = re.compile(r"SharedKey ([a-z0-9-]{1,64}):([A-Za-z0-9+/=]{1,128})\Z", re.I)
_BEARER: Final = re.compile(r"Bearer ([A-Za-z0-9._~+/=-]{1,16384})\Z", re.I)


class Controller(Protocol):
    """What the door needs of the controller behind it."""

    clock: Clock

    def account(self, name: str) -> Context | None:
        """Return the account of that name, or None."""
        ...

    def contexts(self) -> Iterable[Context]:
        """Return all accounts."""
        ...


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: the account spoken for, and what may be done in it."""

    ctx: Context
    grant: Grant


async def authenticate(
    controller: Controller,
    issuers: Issuers,
    parts: SignedParts,
    account_name: str | None = None,
) -> Principal:
    """Return who is calling, or raise Refused.

    account_name  that the path names, where paths do; a token of several accounts means that one
    Codes: MissingRequiredHeader (no Authorization, no date), InvalidAuthenticationInfo (malformed),
    InvalidHeaderValue (unreadable date), InsufficientAccountPermissions (a token that grants
    nothing here), AuthenticationFailed (everything else). The answer to a wrong key says what was
    signed on this side, as the service does; what a token holds is never repeated.
    """
    authorization = parts.headers.get("authorization")
    if not authorization:
        raise Refused("MissingRequiredHeader", HeaderName="Authorization")
    if (signed := _SHARED_KEY.match(authorization)) is not None:
        return _by_key(controller, parts, signed[1], signed[2])
    bearer = _BEARER.match(authorization)
    if bearer is None:
        raise Refused("InvalidAuthenticationInfo")
    token = tasktoken.parse(bearer[1])
    if token is not None:
        return await _by_task(controller, token)
    wanted = account_name or parts.headers.get("host", "").partition(".")[0]
    return await _by_issuer(controller, issuers, bearer[1], wanted.lower())


def _by_key(controller: Controller, parts: SignedParts, name: str, signature: str) -> Principal:
    ctx = controller.account(name.lower())
    if ctx is None:
        raise untrusted(
            f"Cannot find the claimed account when trying to GetProperties for the account {name}."
        )
    _check_date(parts.headers, controller.clock.now())
    if not verify(ctx.account.keys, name, parts, signature):
        raise untrusted(
            f"The MAC signature found in the HTTP request '{signature}' is not the same as any "
            "computed signature. Server used following string to sign: "
            f"'{string_to_sign(name, parts)}'."
        )
    return Principal(ctx, Grant(Role.OWNER))


async def _by_task(controller: Controller, token: TaskToken) -> Principal:
    ctx = controller.account(token.account_name)
    if ctx is None or not token.is_genuine(ctx.account):
        raise untrusted("The token is of no task of this service.")
    job = await job_of_run(ctx, token.run)
    if job is None:
        raise untrusted("The task that this token was made for does not run any more.")
    return Principal(ctx, Grant(Role.CONTRIBUTOR, job))


async def _by_issuer(
    controller: Controller, issuers: Issuers, token: str, wanted: str
) -> Principal:
    issuer, held = await issuers.verified(token)
    wrong = claims.what_is_wrong(held, issuer.audiences, controller.clock.now())
    if wrong is not None:
        raise untrusted(wrong)
    granted = claims.granted(held, issuer.rules)
    known = {name: ctx for name in granted if (ctx := controller.account(name)) is not None}
    if not known:
        raise Refused(
            "InsufficientAccountPermissions",
            Reason="The token is good, but grants nothing in any account of this service.",
        )
    name = next(iter(known)) if len(known) == 1 else wanted
    if name not in known:
        raise untrusted(
            f"The token is good for several accounts ({', '.join(sorted(known))}); name the one "
            "that is meant as the first part of the host."
        )
    return Principal(known[name], Grant(granted[name]))


def parse_date(value: str) -> datetime | None:
    """Return the time of an HTTP date (RFC 1123, RFC 850 or asctime), or None."""
    try:
        date = parsedate_to_datetime(value)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _check_date(headers: Mapping[str, str], now: datetime) -> None:
    header = "ocp-date" if "ocp-date" in headers else "date"
    value = headers.get(header)
    if not value:
        raise Refused("MissingRequiredHeader", HeaderName="ocp-date")
    date = parse_date(value)
    if date is None:
        raise invalid_header(header, value, DATE_WANTED)
    if abs(date - now) > SKEW_MAX:
        raise untrusted(
            f"The date header in the request is incorrect: {header} is '{value}', more than "
            "15 minutes away from the time of the server."
        )
