"""Requests that never reach the application: the service's error form, and a quiet log."""

from __future__ import annotations

import json
import logging
from urllib.parse import urlsplit

import pytest

from tests.conformance.conftest import Caller
from tests.conformance.unread import UNREADABLE, answer_of, assert_quiet, send_mangled


def _port(caller: Caller) -> int:
    port = urlsplit(caller.base).port
    assert port is not None
    return port


@pytest.mark.parametrize(("sent", "code"), UNREADABLE.values(), ids=UNREADABLE)
async def test_what_is_no_request_is_refused_as_any_other(
    caller: Caller, caplog: pytest.LogCaptureFixture, sent: bytes, code: str
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = await answer_of(_port(caller), sent)
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().splitlines()
    assert lines[0].split(" ")[1] == "400"
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert headers["content-type"] == "application/json;odata=minimalmetadata"
    assert headers["dataserviceversion"] == "3.0"
    error = json.loads(body)
    assert error["code"] == code
    assert f"RequestId:{headers['request-id']}\n" in error["message"]["value"]
    (reason,) = [item["value"] for item in error["values"] if item["key"] == "Reason"]
    assert reason.endswith(".")
    assert b"c2VjcmV0" not in answer
    told = [r for r in caplog.records if r.name == "shoal_controller.serving"]
    assert len(told) == 1
    assert_quiet(caplog)


@pytest.mark.parametrize(
    ("header", "body"),
    [("Transfer-Encoding: chunked", b"zz\r\nabc\r\n"), ("Content-Encoding: gzip", b"abcde")],
)
async def test_a_body_that_breaks_off_ends_its_request_and_is_no_news(
    caller: Caller, caplog: pytest.LogCaptureFixture, header: str, body: bytes
) -> None:
    caplog.set_level(logging.INFO)
    sent = f"POST /jobs HTTP/1.1\r\nHost: here\r\n{header}\r\nContent-Length: 5\r\n\r\n"
    if "chunked" in header:
        sent = sent.replace("Content-Length: 5\r\n", "")
    answer = await answer_of(_port(caller), sent.encode(), body)
    assert b'"MissingRequiredHeader"' in answer
    assert not caplog.records


@pytest.mark.parametrize("seed", [1, 2])
async def test_mangled_requests_leave_no_trace_in_the_log(
    caller: Caller, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    caplog.set_level(logging.INFO)
    answers = await send_mangled(_port(caller), seed)
    refused = [answer for answer in answers if b" 40" in answer.partition(b"\r\n")[0]]
    assert len(refused) > 100  # the rest waits for more, or was told to go on first
    assert all(b'"code":"' in answer for answer in refused)
    assert not [answer for answer in answers if b" 50" in answer.partition(b"\r\n")[0]]
    assert not caplog.records
