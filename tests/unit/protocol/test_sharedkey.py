"""SharedKey: what is signed, and that the habits of all clients are understood."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

import pytest

from shoal_protocol.sharedkey import Habits, SignedParts, sign, string_to_sign, verify

KEY = b"a key"
DATE = "Tue, 29 Jul 2014 21:49:13 GMT"


def parts(
    method: str = "GET",
    path: str = "/jobs",
    query: str = "api-version=1",
    headers: Mapping[str, str] | None = None,
) -> SignedParts:
    return SignedParts(method, path, query, {"ocp-date": DATE} | dict(headers or {}))


def is_right(given: SignedParts, signed: str) -> bool:
    """Return whether a client that signs the text `signed` is let in with the request `given`."""
    mac = base64.b64encode(hmac.digest(KEY, signed.encode(), hashlib.sha256)).decode()
    return verify((b"other", KEY), "me", given, mac)


def text(
    method: str = "GET",
    path: str = "/jobs",
    query: str = "\napi-version:1",
    *,
    length: str = "",
    more: str = "",
) -> str:
    """Return what a client signs whose only headers are ocp-date, Content-Length and `more`."""
    return f"{method}\n\n\n{length}\n\n\n\n\n\n\n\n\n{more}ocp-date:{DATE}\n/me{path}{query}"


def test_the_published_example_is_signed_as_published() -> None:
    query = "api-version=2014-01-01.1.0&timeout=20"
    given = SignedParts("get", "/jobs", query, {"ocp-date": DATE, "date": "something"})
    assert string_to_sign("myaccount", given) == (
        "GET" + "\n" * 12 + f"ocp-date:{DATE}\n/myaccount/jobs\napi-version:2014-01-01.1.0\n"
        "timeout:20"
    )


def test_what_is_signed_is_let_in_with_either_key() -> None:
    given = parts("POST", headers={"content-length": "12", "content-type": "text/plain"})
    name, _, signature = sign(KEY, "me", given).partition(":")
    assert name == "SharedKey me"
    assert verify((KEY, b"other"), "me", given, signature)
    assert verify((b"other", KEY), "me", given, signature)
    assert not verify((b"other", b"another"), "me", given, signature)
    assert not verify((), "me", given, signature)


@pytest.mark.parametrize("signed", ["\napi-version:1\ntimeOut:20", "\napi-version:1\ntimeout:20"])
def test_names_of_parameters_are_signed_as_sent_or_in_lower_case(signed: str) -> None:
    assert is_right(parts(query="timeOut=20&api-version=1"), text(query=signed))


@pytest.mark.parametrize("signed", ["\napi-version:1", "\n$filter:\napi-version:1"])
def test_empty_values_are_left_out_or_kept(signed: str) -> None:
    assert is_right(parts(query="$filter=&api-version=1"), text(query=signed))


@pytest.mark.parametrize("signed", ["\nselect:a", "\nselect:a,b"])
def test_of_repeated_parameters_the_first_counts_or_all_are_joined(signed: str) -> None:
    assert is_right(parts(query="select=a&select=b"), text(query=signed))


@pytest.mark.parametrize("signed", ["\n$filter:a b/c", "\n$filter:a+b/c"])
def test_a_plus_is_a_space_or_a_plus(signed: str) -> None:
    assert is_right(parts(query="%24filter=a+b%2Fc"), text(query=signed))


@pytest.mark.parametrize("path", ["/jobs/a/files/wd%2Fb%5cc", "/jobs/a/files/wd/b/c"])
def test_slashes_in_a_path_are_signed_encoded_or_folded(path: str) -> None:
    assert is_right(parts(path="/jobs/a/files/wd%2Fb%5cc"), text(path=path))


@pytest.mark.parametrize("sent", [{}, {"content-length": "0"}])
@pytest.mark.parametrize("signed", ["", "0"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_without_a_body_the_length_is_empty_or_zero(
    method: str, sent: Mapping[str, str], signed: str
) -> None:
    assert is_right(parts(method, headers=sent), text(method, length=signed))


@pytest.mark.parametrize("signed", ["", "0", "13"])
def test_with_a_body_the_length_is_its_length(signed: str) -> None:
    given = parts("POST", headers={"content-length": "12"})
    assert is_right(given, text("POST", length="12"))
    assert not is_right(given, text("POST", length=signed))


def test_every_ocp_header_is_signed_in_order() -> None:
    given = parts(headers={"ocp-range": "bytes=0-1", "ocp-batch": "x", "x-ocp-y": "z"})
    signed = text(more="ocp-batch:x\n").replace(
        f"ocp-date:{DATE}\n", f"ocp-date:{DATE}\nocp-range:bytes=0-1\n"
    )
    assert is_right(given, signed)


@pytest.mark.parametrize(
    "other",
    [
        parts("PUT"),
        parts(path="/jobs/x"),
        parts(query="api-version=2"),
        parts(query="api-version=1&a=b"),
        parts(headers={"if-match": "*"}),
        parts(headers={"ocp-range": "bytes=0-1"}),
        parts(headers={"ocp-date": DATE.replace("13", "14")}),
    ],
    ids=str,
)
def test_a_signature_is_of_one_request(other: SignedParts) -> None:
    assert not is_right(other, text())


def test_another_account_is_another_signature() -> None:
    signature = sign(KEY, "me", parts()).partition(":")[2]
    assert not verify((KEY,), "you", parts(), signature)


@pytest.mark.parametrize("signature", ["", "x", "====", "AAAA", "A" * 10_000, "é", "\0"])
def test_what_is_no_signature_is_refused(signature: str) -> None:
    assert not verify((KEY,), "me", parts(), signature)


def test_the_work_is_bounded_whatever_the_request() -> None:
    query = "&".join(["A=", "a=+", "A=%2F", "b"] * 500)
    given = parts(path="/a%2Fb%5C", query=query)
    assert not verify((KEY, KEY), "me", given, base64.b64encode(bytes(32)).decode())


def test_the_defaults_are_the_habits_of_python_clients() -> None:
    assert string_to_sign("me", parts()) == string_to_sign("me", parts(), Habits())
