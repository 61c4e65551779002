"""Shared access signatures, ours and the SDK's, in the versions that differ in what is signed."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from azure.storage.blob import (
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)

from shoal_controller.blobgateway import sas
from shoal_controller.blobgateway.errors import StorageError

KEY = b"secret"
KEY_TEXT = base64.b64encode(KEY).decode()
NOW = datetime(2026, 11, 21, 7, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def verify(
    token: str | list[tuple[str, str]],
    container: str | None = "room",
    blob: str | None = "a/b",
    now: datetime = NOW,
    *,
    remote: str = "10.0.0.1",
    secure: bool = False,
) -> sas.Grant:
    pairs = parse_qsl(token, keep_blank_values=True) if isinstance(token, str) else token
    return sas.verify("dev", [b"old", KEY], container, blob, pairs, now,
                      remote=remote, secure=secure)  # fmt: skip


def signed(text: str, fields: dict[str, str]) -> list[tuple[str, str]]:
    digest = hmac.new(KEY, text.encode(), hashlib.sha256).digest()
    return [*fields.items(), ("sig", base64.b64encode(digest).decode())]


def test_what_we_sign_we_accept_and_so_does_the_sdk() -> None:
    ours = sas.sign_container_sas("dev", KEY, "room", "lr", NOW + HOUR, NOW - HOUR)
    grant = verify(ours)
    assert (grant.permissions, grant.resource_types, grant.blob_only) == ("rl", None, False)
    assert verify(ours, blob=None) == grant
    blob = sas.sign_blob_sas("dev", KEY, "room", "a/b", "wcr", NOW + HOUR)
    assert verify(blob).permissions == "rcw"
    assert verify(blob).blob_only
    theirs = generate_blob_sas("dev", "room", "a/b", None, KEY_TEXT, None, "rcw", NOW + HOUR)
    assert set(dict(parse_qsl(theirs))) == set(dict(parse_qsl(blob)))


def test_what_the_sdk_signs_we_accept() -> None:
    container = generate_container_sas(
        "dev", "room", KEY_TEXT, None, "racwdl", NOW + HOUR, NOW - HOUR, ip="10.0.0.0-10.0.0.9",
        protocol="https,http", content_type="text/x", cache_control="no-store",
    )  # fmt: skip
    grant = verify(container)
    assert grant.permissions == "racwdl"
    assert grant.response == {"Content-Type": "text/x", "Cache-Control": "no-store"}
    account = generate_account_sas("dev", KEY_TEXT, "sco", "rwdlac", NOW + HOUR)
    assert verify(account, None, None).resource_types == "sco"


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        ("2015-04-05", ["sv", "", "", "", "", ""]),
        ("2017-11-09", ["sv", "", "", "", "", ""]),
        ("2018-11-09", ["sv", "sr", "", "", "", "", "", ""]),
        ("2020-02-10", ["sv", "sr", "", "", "", "", "", ""]),
        ("2020-12-06", ["sv", "sr", "", "", "", "", "", "", ""]),
        ("2026-10-06", ["sv", "sr", "", "", "", "", "", "", ""]),
    ],
)
def test_each_version_signs_its_own_lines(version: str, fields: list[str]) -> None:
    given = {"sv": version, "sr": "c", "sp": "r", "se": "2026-11-21T08:00Z"}
    lines = ["r", "", given["se"], "/blob/dev/room", "", "", ""]
    lines += [given.get(name, "") for name in fields]
    assert verify(signed("\n".join(lines), given)).permissions == "r"
    with pytest.raises(StorageError, match="AuthenticationFailed"):
        verify(signed("\n".join([*lines, ""]), given))


def test_an_account_sas_of_an_older_version_has_one_line_less() -> None:
    given = {"sv": "2019-02-02", "ss": "b", "srt": "o", "sp": "r", "se": "2026-11-22"}
    text = "dev\nr\nb\no\n\n2026-11-22\n\n\n2019-02-02\n"
    assert verify(signed(text, given)).resource_types == "o"


def test_time_place_and_protocol_are_kept() -> None:
    token = sas.sign_container_sas("dev", KEY, "room", "r", NOW + HOUR, NOW)
    verify(token, now=NOW + HOUR - timedelta(seconds=1))
    for moment in (NOW + HOUR, NOW - timedelta(seconds=1)):
        with pytest.raises(StorageError, match="AuthenticationFailed"):
            verify(token, now=moment)
    here = generate_container_sas("dev", "room", KEY_TEXT, None, "r", NOW + HOUR, ip="10.0.0.1")
    verify(here)
    for stranger in ("10.0.0.2", "::1", ""):
        with pytest.raises(StorageError, match="AuthorizationSourceIPMismatch"):
            verify(here, remote=stranger)
    only = generate_container_sas("dev", "room", KEY_TEXT, None, "r", NOW + HOUR, protocol="https")
    verify(only, secure=True)
    with pytest.raises(StorageError, match="AuthorizationProtocolMismatch"):
        verify(only)


@pytest.mark.parametrize(
    ("container", "blob"), [("other", "a/b"), ("room", "a/c"), ("room", None), (None, None)]
)
def test_a_blob_sas_is_for_that_blob(container: str | None, blob: str | None) -> None:
    token = sas.sign_blob_sas("dev", KEY, "room", "a/b", "r", NOW + HOUR)
    with pytest.raises(StorageError, match="AuthenticationFailed"):
        verify(token, container, blob)


def test_a_container_named_like_the_start_of_a_blob_sas_gains_nothing() -> None:
    token = sas.sign_blob_sas("dev", KEY, "room", "a/b", "r", NOW + HOUR)
    pairs = [(n, "c" if n == "sr" else v) for n, v in parse_qsl(token)]
    with pytest.raises(StorageError, match="AuthenticationFailed"):
        verify(pairs, "room/a/b", "x")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-21", datetime(2026, 11, 21, tzinfo=UTC)),
        ("2026-11-21T07:30Z", datetime(2026, 11, 21, 7, 30, tzinfo=UTC)),
        ("2026-11-21T07:30:15Z", datetime(2026, 11, 21, 7, 30, 15, tzinfo=UTC)),
        ("2026-11-21T07:30:15.1234567Z", datetime(2026, 11, 21, 7, 30, 15, 123456, tzinfo=UTC)),
        ("2026-11-21T09:30+02:00", datetime(2026, 11, 21, 7, 30, tzinfo=UTC)),
    ],
)
def test_the_times_a_sas_may_have(text: str, moment: datetime) -> None:
    assert sas.parse_time(text) == moment


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-13-01", "2026-02-30", "20261121", "2026-11-21T07",
             "0001-01-01T00:00+23:59", "2026-11-21T25:00Z", "\u0662026-11-21"],
)  # fmt: skip
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - datetime's own messages vary
        sas.parse_time(text)
