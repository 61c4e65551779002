"""The SharedKey signature of Azure Storage: canonical string, sign, verify (pure).

Not the signature of Azure Batch: other headers are signed, and path-style endpoints have the
account twice in the resource. source: Authorize with Shared Key, version 2015-02-21 and later.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shoal_controller.blobgateway.conditions import parse_http_date
from shoal_controller.blobgateway.errors import StorageError

CLOCK_SKEW_MAX: Final = timedelta(minutes=15)
_SIGNED_HEADERS: Final = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)


@dataclass(frozen=True, slots=True)
class SignedParts:
    """The parts of a request that its signature covers.

    path     as on the wire, percent-encoding untouched, without the query
    query    decoded names and values, in any order, repeats kept
    headers  lower-case names, values stripped
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: dict[str, str]


def sign(key: bytes, text: str) -> str:
    """The base64 HMAC-SHA256 of `text`; header text that is not UTF-8 cannot raise here."""
    digest = hmac.new(key, text.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def matches(keys: Iterable[bytes], text: str, signature: str) -> bool:
    """Whether `signature` is that of `text` under one of `keys`; constant time for each key."""
    given = signature.encode("utf-8", "surrogateescape")
    found = False
    for key in keys:
        found |= hmac.compare_digest(sign(key, text).encode(), given)
    return found


def strings_to_sign(account: str, parts: SignedParts) -> list[str]:
    """The texts a client may have signed: they differ in the order of the x-ms- headers only.

    The documentation says lexicographic; the SDKs sort as Windows does, hyphens last of all and
    underscores before digits (azure-storage-blob: _shared/authentication.py, `compare`).
    """
    headers = parts.headers
    length = headers.get("content-length", "")
    values = [headers.get(name, "") for name in _SIGNED_HEADERS]
    values[2] = "" if length == "0" else length
    if "x-ms-date" in headers:
        # With x-ms-date there the Date line is empty, whatever a proxy or library put there.
        values[5] = ""
    head = parts.method + "\n" + "\n".join(values) + "\n"
    tail = _canonical_resource(account, parts)
    names = [name for name in headers if name.startswith("x-ms-")]
    orders = {tuple(sorted(names)), tuple(sorted(names, key=_collation))}
    return [
        head + "".join(f"{name}:{headers[name]}\n" for name in order) + tail for order in orders
    ]


def verify(account: str, keys: Sequence[bytes], parts: SignedParts, now: datetime) -> None:
    """Accept the Authorization header of `parts`, or raise AuthenticationFailed.

    keys  the account's keys with base64 undone; any of them will do
    now   UTC; a date more than 15 minutes away is refused, so a recorded request ages
    """
    scheme, _, rest = parts.headers.get("authorization", "").partition(" ")
    name, _, signature = rest.strip().partition(":")
    if scheme != "SharedKey" or name != account:
        raise refused(f"Only SharedKey of account {account} and SAS are accepted here.")
    date = parts.headers.get("x-ms-date") or parts.headers.get("date")
    if not date:
        raise refused("Request date header not specified.")
    try:
        moment = parse_http_date("x-ms-date", date)
    except StorageError:
        raise refused("The Date header in the request is incorrect.") from None
    if abs(moment - now) > CLOCK_SKEW_MAX:
        raise refused(f"Request date header too old or too new: '{date}'.")
    # No short-circuit: each candidate takes the same time.
    if not any([matches(keys, text, signature) for text in strings_to_sign(account, parts)]):
        raise refused("The MAC signature found in the HTTP request is not the computed one.")


def authorization(account: str, key: bytes, parts: SignedParts) -> str:
    """The Authorization header for `parts`: what a client of the gateway sends."""
    return f"SharedKey {account}:{sign(key, strings_to_sign(account, parts)[0])}"


def refused(detail: str) -> StorageError:
    return StorageError(
        "AuthenticationFailed",
        "Server failed to authenticate the request. Make sure the value of Authorization header "
        "is formed correctly including the signature.",
        AuthenticationErrorDetail=detail,
    )


def _canonical_resource(account: str, parts: SignedParts) -> str:
    values: dict[str, list[str]] = {}
    for name, value in parts.query:
        values.setdefault(name.lower(), []).append(value)
    lines = [f"\n{name}:{','.join(sorted(values[name]))}" for name in sorted(values)]
    return f"/{account}{parts.path}" + "".join(lines)


def _collation(name: str) -> tuple[str, str]:
    return name.replace("-", "").replace("_", "\x01"), name
