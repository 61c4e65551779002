"""Who is calling: SharedKey, checked before anything else is looked at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, Protocol

from shoal_controller.clock import Clock
from shoal_controller.core.errors import Refused
from shoal_protocol.sharedkey import SignedParts, string_to_sign, verify

if TYPE_CHECKING:
    from shoal_controller.operations.context import Context

SKEW_MAX: Final = timedelta(minutes=15)
_SHARED_KEY: Final = re.compile(r"SharedKey ([a-z0-9-]{1,64}):([A-Za-z0-9+/=]{1,128})\Z", re.I)


class Controller(Protocol):
    """What the door needs of the controller behind it."""

    clock: Clock

    def account(self, name: str) -> Context | None:
        """Return the account of that name, or None."""
        ...

    def contexts(self) -> Iterable[Context]:
        """Return all accounts."""
        ...


def authenticate(controller: Controller, parts: SignedParts) -> Context:
    """Return the account that the request speaks for, or raise Refused.

    Codes: MissingRequiredHeader (no Authorization, no date), InvalidAuthenticationInfo (malformed),
    InvalidHeaderValue (unreadable date), AuthenticationFailed (everything else). The answer to a
    wrong key says what was signed on this side, as the service does.
    """
    authorization = parts.headers.get("authorization")
    if not authorization:
        raise Refused("MissingRequiredHeader", HeaderName="Authorization")
    match = _SHARED_KEY.match(authorization)
    if match is None:
        raise Refused("InvalidAuthenticationInfo")
    name, signature = match[1], match[2]
    ctx = controller.account(name.lower())
    if ctx is None:
        raise _failed(
            f"Cannot find the claimed account when trying to GetProperties for the account {name}."
        )
    _check_date(parts.headers, controller.clock.now())
    if not verify(ctx.account.keys, name, parts, signature):
        raise _failed(
            f"The MAC signature found in the HTTP request '{signature}' is not the same as any "
            "computed signature. Server used following string to sign: "
            f"'{string_to_sign(name, parts)}'."
        )
    return ctx


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
        raise Refused("InvalidHeaderValue", HeaderName=header, HeaderValue=value[:256])
    if abs(date - now) > SKEW_MAX:
        raise _failed(
            f"The date header in the request is incorrect: {header} is '{value}', more than "
            "15 minutes away from the time of the server."
        )


def _failed(detail: str) -> Refused:
    return Refused("AuthenticationFailed", AuthenticationErrorDetail=detail)
