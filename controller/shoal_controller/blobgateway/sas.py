"""Shared access signatures for containers, blobs and accounts: sign and verify (pure).

A SAS is a query string that carries a right: which resource, what may be done, until when, and an
HMAC over all of it. Stored access policies and user delegation keys are not provided.
source: Create a service SAS, Create an account SAS (REST reference).
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Final
from urllib.parse import quote

from shoal_controller.blobgateway.errors import StorageError
from shoal_controller.blobgateway.sharedkey import matches, refused, sign

VERSION: Final = "2021-08-06"
VERSION_MIN: Final = "2015-04-05"
_FIELDS: Final = frozenset(
    ("sv", "ss", "srt", "sp", "st", "se", "sr", "si", "sip", "spr", "sig", "ses", "snapshot",
     "rscc", "rscd", "rsce", "rscl", "rsct")
)  # fmt: skip
_USER_DELEGATION: Final = ("skoid", "sktid", "skt", "ske", "sks", "skv", "sduoid", "skdutid")
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,7}))?)?(Z|[+-]\d\d:\d\d))?",
    re.ASCII,
)
_VERSION = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a verified signature allows.

    permissions     letters of `sp`; "" never occurs
    resource_types  for an account SAS, letters of `srt` (s, c, o); None for a service SAS
    blob_only       whether a service SAS is for one blob rather than for a container
    response        header name -> value the signature wants in responses to reads
    """

    permissions: str
    resource_types: str | None
    blob_only: bool
    response: Mapping[str, str]


def sign_container_sas(
    account: str,
    key: bytes,
    container: str,
    permissions: str,
    expiry: datetime,
    start: datetime | None = None,
) -> str:
    """A SAS for a container and all its blobs: a query string without the question mark.

    key          the account key with base64 undone
    permissions  letters such as "rl" or "racwdl", in any order
    expiry       aware; told in whole seconds UTC, as is `start`
    """
    return _sign(account, key, container, None, permissions, expiry, start)


def sign_blob_sas(
    account: str,
    key: bytes,
    container: str,
    blob: str,
    permissions: str,
    expiry: datetime,
    start: datetime | None = None,
) -> str:
    """A SAS for one blob, which need not exist yet; see sign_container_sas."""
    return _sign(account, key, container, blob, permissions, expiry, start)


def verify(
    account: str,
    keys: Sequence[bytes],
    container: str | None,
    blob: str | None,
    query: Sequence[tuple[str, str]],
    now: datetime,
    *,
    remote: str | None,
    secure: bool,
) -> Grant:
    """Return what the SAS in `query` allows on the named resource, or raise.

    container, blob  what the request is about, decoded; None above that level
    query            decoded pairs of the whole request; parameters of other kinds are ignored
    remote           the caller's address, for `sip`
    secure           whether the caller came by https, for `spr`
    raises           AuthenticationFailed, AuthorizationSourceIPMismatch, AuthorizationProtocol...
    """
    fields: dict[str, str] = {}
    for name, value in query:
        if name in _USER_DELEGATION:
            raise refused("A user delegation SAS is not provided by this gateway.")
        if name in _FIELDS:
            # A repeated parameter could be signed with one value and obeyed with the other.
            if name in fields:
                raise refused(f"Query parameter {name} is given twice.")
            fields[name] = value
    # A plus sign that nobody escaped was turned into a space on the way in.
    fields["sig"] = fields.get("sig", "").replace(" ", "+")
    version = fields.get("sv", "")
    if not _VERSION.fullmatch(version) or version < VERSION_MIN:
        raise refused(f"sv must be a version of {VERSION_MIN} or later.")
    if "ses" in fields:
        raise refused("Encryption scopes (ses) are not provided by this gateway.")
    if "si" in fields:
        raise refused("Stored access policies (si) are not provided by this gateway.")
    if "ss" in fields or "srt" in fields:
        text = _account_text(account, fields)
        blob_only, resource_types = False, fields.get("srt", "")
    else:
        blob_only, resource_types = fields.get("sr") == "b", None
        text = _service_text(account, container, blob, fields)
    if not matches(keys, text, fields["sig"]):
        raise refused("Signature did not match. String to sign used was " + text)
    _check_time(fields, now)
    _check_origin(fields, remote, secure)
    if resource_types is not None and "b" not in fields.get("ss", ""):
        raise StorageError(
            "AuthorizationServiceMismatch",
            "This request is not authorized to perform this operation using this service.",
        )
    response = {
        header: fields[name]
        for name, header in (
            ("rscc", "Cache-Control"),
            ("rscd", "Content-Disposition"),
            ("rsce", "Content-Encoding"),
            ("rscl", "Content-Language"),
            ("rsct", "Content-Type"),
        )
        if fields.get(name)
    }
    return Grant(fields.get("sp", ""), resource_types, blob_only, response)


def parse_time(text: str) -> datetime:
    """The UTC moment of an ISO 8601 text in one of the forms a SAS may have; else ValueError."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"not a SAS time: {text[:40]!r}")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    micros = int((fraction or "0").ljust(7, "0")[:7]) // 10
    offset = UTC
    if zone and zone != "Z":
        minutes = int(zone[1:3]) * 60 + int(zone[4:6])
        offset = timezone(timedelta(minutes=-minutes if zone[0] == "-" else minutes))
    try:
        return datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
            micros, offset,
        ).astimezone(UTC)  # fmt: skip
    except OverflowError:
        raise ValueError(f"not a SAS time: {text[:40]!r}") from None


def _sign(
    account: str,
    key: bytes,
    container: str,
    blob: str | None,
    permissions: str,
    expiry: datetime,
    start: datetime | None,
) -> str:
    fields = {
        "sv": VERSION,
        "sr": "c" if blob is None else "b",
        # The service wants the letters in this order.
        "sp": "".join(letter for letter in "racwdxyltfmei" if letter in permissions),
        "se": _format_time(expiry),
    }
    if start is not None:
        fields["st"] = _format_time(start)
    fields["sig"] = sign(key, _service_text(account, container, blob, fields))
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())


def _service_text(
    account: str, container: str | None, blob: str | None, fields: Mapping[str, str]
) -> str:
    kind = fields.get("sr", "")
    if kind == "c" and container is not None:
        resource = f"/blob/{account}/{container}"
    elif kind == "b" and container is not None and blob is not None:
        resource = f"/blob/{account}/{container}/{blob}"
    else:
        raise refused("sr must be c or b, on a resource of that kind or inside it.")
    version = fields["sv"]
    names = ["sp", "st", "se", "", "si", "sip", "spr", "sv"]
    if version >= "2018-11-09":
        names += ["sr", "snapshot"]
    if version >= "2020-12-06":
        names += ["ses"]
    names += ["rscc", "rscd", "rsce", "rscl", "rsct"]
    if "snapshot" in fields:
        raise refused("Snapshots are not provided by this gateway.")
    return "\n".join(resource if not name else fields.get(name, "") for name in names)


def _account_text(account: str, fields: Mapping[str, str]) -> str:
    names = ["sp", "ss", "srt", "st", "se", "sip", "spr", "sv"]
    if fields["sv"] >= "2020-12-06":
        names += ["ses"]
    return account + "\n" + "".join(fields.get(name, "") + "\n" for name in names)


def _check_time(fields: Mapping[str, str], now: datetime) -> None:
    try:
        expiry = parse_time(fields.get("se", ""))
        start = parse_time(fields["st"]) if fields.get("st") else None
    except ValueError:
        raise refused("Signature fields not well formed: st or se.") from None
    if now >= expiry or (start is not None and now < start):
        raise refused(
            f"Signature not valid in the specified time frame: Start [{fields.get('st', '')}] - "
            f"Expiry [{fields['se']}] - Current [{_format_time(now)}]"
        )


def _check_origin(fields: Mapping[str, str], remote: str | None, secure: bool) -> None:
    protocol = fields.get("spr", "https,http")
    if protocol not in ("https", "https,http", "http,https"):
        raise refused("Signature fields not well formed: spr.")
    if protocol == "https" and not secure:
        raise StorageError(
            "AuthorizationProtocolMismatch",
            "This request is not authorized to perform this operation using this protocol.",
        )
    if fields.get("sip") and not _inside(remote, fields["sip"]):
        raise StorageError(
            "AuthorizationSourceIPMismatch",
            "This request is not authorized to perform this operation using this source IP "
            f"{remote}.",
        )


def _inside(remote: str | None, text: str) -> bool:
    first, _, last = text.partition("-")
    try:
        address = ipaddress.IPv4Address(remote or "")
        return ipaddress.IPv4Address(first) <= address <= ipaddress.IPv4Address(last or first)
    except ValueError:
        return False


def _format_time(moment: datetime) -> str:
    assert moment.tzinfo is not None, "an expiry without a time zone means nothing"
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
