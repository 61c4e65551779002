"""Pages: how many items, from where, and the link to the next page."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Final

from shoal_controller.api.call import Call, raw_path
from shoal_controller.core.errors import Refused

PAGE_MAX: Final = 1000
_MAC_BYTES: Final = 9
_INTEGER_CHARACTERS_MAX: Final = 10
_TOKEN_CHARACTERS_MAX: Final = 8192


def page_size(call: Call, limit: int = PAGE_MAX) -> int:
    """Return `maxresults`, or the limit where it is absent; raise Refused outside of 1..limit."""
    value = call.query.get("maxresults")
    if value is None or value == "":
        return limit
    count = integer_parameter("maxresults", value)
    if not 1 <= count <= limit:
        raise Refused(
            "OutOfRangeQueryParameterValue",
            QueryParameterName="maxresults",
            QueryParameterValue=value,
            MinimumAllowed="1",
            MaximumAllowed=str(limit),
            Reason=f"It must be in the range 1 to {limit}.",
        )
    return count


def integer_parameter(name: str, value: str) -> int:
    """Return a query parameter as a number, or raise Refused."""
    text = value.strip()
    if (
        len(text) > _INTEGER_CHARACTERS_MAX
        or not text.removeprefix("-").isascii()
        or not (text.removeprefix("-").isdigit())
    ):
        raise invalid_parameter(name, value, "It must be an integer.")
    return int(text)


def boolean_parameter(call: Call, name: str) -> bool:
    """Return a query parameter that is `true` or `false`; absent means false."""
    value = call.query.get(name, "").lower()
    if value in ("", "false", "true"):
        return value == "true"
    raise invalid_parameter(name, value, "It must be true or false.")


def invalid_parameter(name: str, value: str, reason: str) -> Refused:
    """Return the refusal of a query parameter."""
    return Refused(
        "InvalidQueryParameterValue",
        QueryParameterName=name,
        QueryParameterValue=value[:256],
        Reason=reason,
    )


# --- continuation: positions are signed, so that nobody can point a list anywhere else ------------


def position(call: Call) -> str | None:
    """Return the position that `$skiptoken` carries, or None; raise Refused if it is not ours."""
    token = call.query.get("$skiptoken")
    if token is None or token == "":
        return None
    if len(token) > _TOKEN_CHARACTERS_MAX:
        raise _not_ours(token)
    try:
        blob = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        mac, text = blob[:_MAC_BYTES], blob[_MAC_BYTES:].decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        raise _not_ours(token) from None
    if not hmac.compare_digest(mac, _mac(call, text)):
        raise _not_ours(token)
    return text


def serial_position(call: Call) -> int:
    """Return the position of a list that is ordered by serial; 0 at its begin."""
    text = position(call)
    return 0 if text is None else int(text)


def next_link(call: Call, after: str | int | None) -> str | None:
    """Return the URL of the page behind `after`, or None where there is none.

    It repeats the query as it was sent, on the host that the client used, because clients follow it
    as it is and sign it again. The token has no character that form decoding would change.
    """
    if after is None:
        return None
    text = str(after)
    token = (
        base64.urlsafe_b64encode(_mac(call, text) + text.encode("utf-8", "surrogateescape"))
        .decode()
        .rstrip("=")
    )
    path, query = raw_path(call.request)
    kept = [
        pair
        for pair in query.split("&")
        if pair and pair.partition("=")[0].lower() not in ("$skiptoken", "%24skiptoken")
    ]
    return f"{call.base}{path}?{'&'.join([*kept, f'$skiptoken={token}'])}"


def _mac(call: Call, text: str) -> bytes:
    # Of the account, the list and its filter: a token of another list is as wrong as an invented
    # one. By the seal, which stays when the keys are made anew between two pages.
    where = call.query.get("$filter", "").strip()
    message = f"skiptoken\n{raw_path(call.request)[0]}\n{where}\n{text}"
    seal = call.ctx.account.seal
    return hmac.digest(seal, message.encode("utf-8", "surrogateescape"), "sha256")[:_MAC_BYTES]


def _not_ours(token: str) -> Refused:
    return invalid_parameter("$skiptoken", token, "It is no token of a link to a next page.")
