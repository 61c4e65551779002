"""SharedKey of the Batch API: the string to sign, a signature, and whether one is right.

Pure: knows nothing of HTTP libraries or of clocks. The generations of clients differ in small ways
(query names, empty values, Content-Length without a body, %2F in paths), so whoever verifies tries
the variants that fit the request at hand. Source: wire.md 1.1, and the published clients.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final
from urllib.parse import unquote, unquote_plus

SIGNED_HEADERS: Final = (
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
"""Headers whose values are signed, in this order; empty where absent."""

SIGNATURE_BYTES: Final = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class SignedParts:
    """What of a request is signed.

    method   any case
    path     as in the request line, percent-encoded
    query    as in the request line, percent-encoded, without the question mark
    headers  names in lower case
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Habits:
    """In which ways a client differs from others. The defaults are those of Python clients."""

    lowers_names: bool = False
    keeps_empty: bool = False
    plus_is_plus: bool = False
    joins_repeated: bool = False
    folds_path: bool = False
    content_length: str | None = None


def string_to_sign(account: str, parts: SignedParts, habits: Habits | None = None) -> str:
    """Return the text whose HMAC is the signature."""
    habits = habits or Habits()
    headers = parts.headers
    lines = [parts.method.upper()]
    for name in SIGNED_HEADERS:
        value = headers.get(name, "")
        if name == "content-length" and habits.content_length is not None:
            value = habits.content_length
        elif name == "date" and "ocp-date" in headers:
            value = ""
        lines.append(value)
    lines += [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("ocp-")]
    path = parts.path
    if habits.folds_path:
        path = path.replace("%2F", "/").replace("%2f", "/")
        path = path.replace("%5C", "/").replace("%5c", "/")
    lines.append(f"/{account}{path}")
    lines += [f"{name}:{value}" for name, value in _query(parts.query, habits)]
    return "\n".join(lines)


def sign(key: bytes, account: str, parts: SignedParts) -> str:
    """Return the value of the Authorization header.

    key      the account key with base64 undone
    headers  of `parts` hold ocp-date or date already, and content-length where it will be sent
    """
    text = string_to_sign(account, parts)
    return f"SharedKey {account}:{base64.b64encode(_mac(key, text)).decode('ascii')}"


def verify(keys: Sequence[bytes], account: str, parts: SignedParts, signature: str) -> bool:
    """Return whether `signature` was made with one of `keys` by any kind of client.

    Does the same work whichever variant or key fits, or none does: at most 64 variants, fewer where
    the request leaves nothing to differ about. Whether the date is fresh is the caller's question.
    """
    try:
        given = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    if len(given) != SIGNATURE_BYTES:
        return False
    texts = {string_to_sign(account, parts, habits) for habits in _variants(parts)}
    is_right = False
    for text, key in product(texts, keys):
        is_right |= hmac.compare_digest(_mac(key, text), given)
    return is_right


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode("utf-8", "surrogateescape"), "sha256")


def _query(query: str, habits: Habits) -> list[tuple[str, str]]:
    decode = unquote if habits.plus_is_plus else unquote_plus
    values: dict[str, list[str]] = {}
    for pair in query.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        name, value = decode(name), decode(value)
        if value or habits.keeps_empty:
            values.setdefault(name.lower() if habits.lowers_names else name, []).append(value)
    return [
        (name, ",".join(held) if habits.joins_repeated else held[0])
        for name, held in sorted(values.items())
    ]


def _variants(parts: SignedParts) -> Iterator[Habits]:
    query, path = parts.query, parts.path.upper()
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    names = [unquote_plus(name) for name, _, _ in pairs]
    folded = [name.lower() for name in names]
    length = parts.headers.get("content-length", "")
    either, never = (False, True), (False,)
    for choice in product(
        either if names != folded else never,
        either if any(not value for _, _, value in pairs) else never,
        either if "+" in query else never,
        either if len(set(folded)) < len(folded) else never,
        either if "%2F" in path or "%5C" in path else never,
        ("", "0") if length in ("", "0") else (None,),
    ):
        yield Habits(*choice)
