"""The SharedKey signature, against texts written out by hand."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from shoal_controller.blobgateway.errors import StorageError
from shoal_controller.blobgateway.sharedkey import (
    SignedParts,
    authorization,
    strings_to_sign,
    verify,
)

KEY = b"secret"
NOW = datetime(2026, 11, 21, 7, 0, 0, tzinfo=UTC)
HEADERS = {
    "content-length": "0",
    "content-type": "text/plain",
    "x-ms-date": "Sat, 21 Nov 2026 07:00:00 GMT",
    "x-ms-meta-m1": "one",
    "x-ms-meta-m_x": "two",
    "x-ms-version": "2021-12-02",
}
QUERY = (("restype", "container"), ("comp", "list"), ("include", "metadata"), ("include", "copy"))
PARTS = SignedParts("GET", "/dev/room/a%20b", QUERY, HEADERS)


def sign(text: str) -> str:
    return base64.b64encode(hmac.new(KEY, text.encode(), hashlib.sha256).digest()).decode()


def test_the_canonical_string_is_that_of_the_documentation() -> None:
    assert (
        "GET\n\n\n\n\ntext/plain\n\n\n\n\n\n\n"
        "x-ms-date:Sat, 21 Nov 2026 07:00:00 GMT\nx-ms-meta-m1:one\nx-ms-meta-m_x:two\n"
        "x-ms-version:2021-12-02\n"
        "/dev/dev/room/a%20b\ncomp:list\ninclude:copy,metadata\nrestype:container"
    ) in strings_to_sign("dev", PARTS)


def test_both_orders_of_headers_are_accepted() -> None:
    texts = strings_to_sign("dev", PARTS)
    assert len(texts) == 2
    for text in texts:
        signed = PARTS.headers | {"authorization": f"SharedKey dev:{sign(text)}"}
        verify("dev", [b"old key", KEY], SignedParts("GET", PARTS.path, QUERY, signed), NOW)


@pytest.mark.parametrize("minutes", [-15, 0, 15])
def test_a_date_within_fifteen_minutes_passes(minutes: int) -> None:
    signed = HEADERS | {"authorization": authorization("dev", KEY, PARTS)}
    parts = SignedParts("GET", PARTS.path, QUERY, signed)
    verify("dev", [KEY], parts, NOW + timedelta(minutes=minutes))
    beyond = timedelta(minutes=minutes, seconds=1 if minutes > 0 else -1)
    if minutes:
        with pytest.raises(StorageError, match="AuthenticationFailed"):
            verify("dev", [KEY], parts, NOW + beyond)


@pytest.mark.parametrize(
    "change",
    [{"authorization": ""}, {"authorization": "SharedKey dev"}, {"x-ms-date": ""},
     {"authorization": "SharedKey other:" + sign("x")}, {"x-ms-date": "never"},
     {"content-type": "text/html"}, {"x-ms-extra": "1"}],
)  # fmt: skip
def test_anything_else_is_refused(change: dict[str, str]) -> None:
    signed = HEADERS | {"authorization": authorization("dev", KEY, PARTS)} | change
    with pytest.raises(StorageError, match="AuthenticationFailed"):
        verify("dev", [KEY], SignedParts("GET", PARTS.path, QUERY, signed), NOW)


def test_an_account_without_keys_accepts_nothing() -> None:
    signed = HEADERS | {"authorization": authorization("dev", b"", PARTS)}
    with pytest.raises(StorageError, match="AuthenticationFailed"):
        verify("dev", [], SignedParts("GET", PARTS.path, QUERY, signed), NOW)
