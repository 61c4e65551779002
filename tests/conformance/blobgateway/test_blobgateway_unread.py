"""Requests that never reach the gateway: its own error form, and a quiet log."""

import asyncio
import logging

import pytest

from tests.conformance.blobgateway.server import RunningGateway
from tests.conformance.unread import UNREADABLE, answer_of, assert_quiet, send_mangled


@pytest.mark.parametrize(("sent", "code"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_request_is_refused_as_any_other(
    gateway: RunningGateway, caplog: pytest.LogCaptureFixture, sent: bytes, code: str
) -> None:
    caplog.set_level(logging.DEBUG, "shoal_controller")
    answer = asyncio.run(answer_of(gateway.port, sent))
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().splitlines()
    assert lines[0].split(" ")[1] == "400"
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert headers["x-ms-error-code"] == code.lower()
    assert headers["content-type"] == "application/xml"
    assert f"<Error><Code>{code}</Code><Message>".encode() in body
    assert f"RequestId:{headers['x-ms-request-id']}\n".encode() in body
    assert b"c2VjcmV0" not in answer
    assert_quiet(caplog)


def test_an_expectation_that_nobody_knows_is_passed_over(gateway: RunningGateway) -> None:
    reply = gateway.ask("GET", "/dev?comp=list", {"expect": "everything"})
    assert reply.status == 200


@pytest.mark.parametrize("seed", [1, 2])
def test_mangled_requests_leave_no_trace_in_the_log(
    gateway: RunningGateway, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    caplog.set_level(logging.INFO)
    answers = asyncio.run(send_mangled(gateway.port, seed))
    refused = [answer for answer in answers if b" 40" in answer.partition(b"\r\n")[0]]
    assert len(refused) > 100
    assert all(b"<Error><Code>" in answer for answer in refused)
    assert not [answer for answer in answers if b" 50" in answer.partition(b"\r\n")[0]]
    assert not caplog.records
