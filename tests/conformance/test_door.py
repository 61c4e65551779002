"""What holds for every request: authentication, versions, bodies, headers and errors."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from shoal_controller.api.call import BODY_BYTES_MAX, http_date
from shoal_controller.operations import jobs
from shoal_protocol.sharedkey import SignedParts, sign
from tests.conformance.conftest import (
    ACCOUNT,
    KEY,
    SECOND_KEY,
    Caller,
    House,
    job_body,
    task_body,
)
from tests.conformance.unread import answer_of


async def _raw(caller: Caller, request: bytes, *more: bytes) -> bytes:
    """Send bytes as they are and return all that comes back until the server closes."""
    port = urlsplit(caller.base).port
    assert port is not None
    return await answer_of(port, request, *more)


def _signed_lines(caller: Caller, method: str, target: str, **headers: str) -> bytes:
    """Return a request line and headers, signed, for a hand-made request."""
    path, _, query = target.partition("?")
    given = {"ocp-date": http_date(caller.clock.time), **headers}
    parts = SignedParts(method, path, query, {name.lower(): v for name, v in given.items()})
    given["Authorization"] = sign(KEY, ACCOUNT, parts)
    lines = [f"{method} {target} HTTP/1.1", "Host: here:1", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in given.items()]
    return "\r\n".join([*lines, "", ""]).encode()


TASKS = "/jobs/j1/tasks?api-version=2025-06-01"

# --- who is calling -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authorization", "status", "code"),
    [
        ("", 400, "MissingRequiredHeader"),
        ("SharedKey", 400, "InvalidAuthenticationInfo"),
        ("SharedKey testaccount", 400, "InvalidAuthenticationInfo"),
        ("SharedKey testaccount:", 400, "InvalidAuthenticationInfo"),
        ("SharedKey test/account:AAAA", 400, "InvalidAuthenticationInfo"),
        ("Bearer abc", 400, "InvalidAuthenticationInfo"),
        ("SharedKey testaccount:" + "A" * 5000, 400, "InvalidAuthenticationInfo"),
        ("SharedKey testaccount:AAAA", 403, "AuthenticationFailed"),
        ("SharedKey testaccount:====", 403, "AuthenticationFailed"),
        ("SharedKey nobody:AAAA", 403, "AuthenticationFailed"),
    ],
)
async def test_an_authorization_that_is_no_good_is_refused(
    caller: Caller, authorization: str, status: int, code: str
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    answer = await caller.send("GET", "/jobs", headers=headers, is_signed=False)
    assert (answer.status, answer.code) == (status, code)


async def test_an_unknown_account_is_told_so(caller: Caller) -> None:
    caller.account = "nobody"
    answer = await caller.get("/jobs")
    assert answer.values["AuthenticationErrorDetail"] == (
        "Cannot find the claimed account when trying to GetProperties for the account nobody."
    )


async def test_a_wrong_key_is_told_what_was_signed(caller: Caller) -> None:
    caller.key = b"wrong"
    answer = await caller.get("/jobs")
    assert answer.reason.startswith("Server failed to authenticate the request.")
    detail = answer.values["AuthenticationErrorDetail"]
    assert detail.endswith(f"/{ACCOUNT}/jobs\napi-version:2025-06-01'.")


async def test_either_key_of_an_account_signs(caller: Caller) -> None:
    caller.key = SECOND_KEY
    assert (await caller.get("/jobs")).status == 200


async def test_the_name_of_an_account_has_no_case(caller: Caller) -> None:
    caller.account = ACCOUNT.upper()
    assert (await caller.get("/jobs")).status == 200


@pytest.mark.parametrize("date", ["yesterday", "Tue, 99 Foo 2026 00:00:00 GMT", "\u00e9", "0"])
async def test_a_date_that_is_none_is_refused(caller: Caller, date: str) -> None:
    answer = await caller.get("/jobs", headers={"ocp-date": date})
    assert (answer.status, answer.code) == (400, "InvalidHeaderValue")
    assert answer.values["HeaderName"] == "ocp-date"


async def test_a_request_without_any_date_is_refused(caller: Caller) -> None:
    answer = await caller.get("/jobs", headers={"ocp-date": ""})
    assert (answer.status, answer.code) == (400, "MissingRequiredHeader")


async def test_the_date_header_counts_where_ocp_date_is_absent(caller: Caller) -> None:
    date = http_date(caller.clock.time)
    parts = SignedParts("GET", "/jobs", "api-version=2025-06-01", {"date": date})
    url = f"{caller.base}/jobs?api-version=2025-06-01"
    headers = {"Date": date, "Authorization": sign(KEY, ACCOUNT, parts)}
    async with caller.session.get(url, headers=headers) as answer:
        assert answer.status == 200


async def test_a_signature_is_good_for_its_own_request_only(house: House, caller: Caller) -> None:
    await caller.make("/jobs", job_body("j1"))
    lines = _signed_lines(caller, "GET", "/jobs/j1?api-version=2025-06-01")
    assert b" 200 " in await _raw(caller, lines)
    for old, new in (
        (b"GET /jobs/j1", b"DELETE /jobs/j1"),
        (b"/jobs/j1?", b"/jobs/j2?"),
        (b"/jobs/j1?", b"/jobs/j1?maxresults=5&"),
        (b"ocp-date:", b"If-Match: *\r\nocp-date:"),
        (b"ocp-date:", b"ocp-range: bytes=0-1\r\nocp-date:"),
    ):
        assert b" 403 " in await _raw(caller, lines.replace(old, new))
    assert (await jobs.get_job(house.ctx, "j1")).state == "active"


# --- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b'"x"',
        b"null",
        b'{"id":"a"}{',
        b"\xff\xfe",
        b'{"id": NaN}',
        b'{"id": "\\ud800"}',
        b'{"id": "\xed\xa0\x80"}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
    ],
)
@pytest.mark.parametrize("path", ["/jobs", "/pools", "/jobs/j1/tasks", "/jobs/j1/disable"])
async def test_a_body_that_is_no_object_is_refused(caller: Caller, body: bytes, path: str) -> None:
    answer = await caller.send("POST", path, raw=body)
    assert (answer.status, answer.code) == (400, "InvalidRequestBody")


@pytest.mark.parametrize("depth", range(700, 1000, 10))
@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/pools/p1/updateproperties", "applicationPackageReferences"),
        ("POST", "/jobs", "id"),
        ("POST", "/jobs", "jobManagerTask"),
        ("PATCH", "/jobs/j1", "unknown"),
    ],
)
async def test_a_body_that_is_nested_as_deeply_as_can_be_read_is_refused(
    caller: Caller, method: str, path: str, name: str, depth: int
) -> None:
    body = b'{"metadata":[],"%b":%b1%b}' % (name.encode(), b'{"a":' * depth, b"}" * depth)
    answer = await caller.send(method, path, raw=body)
    assert answer.status == 400
    assert answer.values["Reason"]


async def test_a_client_that_goes_in_the_middle_of_its_body_is_no_news(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    await caller.make("/jobs", job_body())
    lines = _signed_lines(caller, "POST", TASKS, **{"Content-Length": "100"})
    _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(caller.base).port)
    writer.write(lines + b'{"id":')
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.transport.abort()
    await asyncio.sleep(0.1)
    assert (await caller.get("/jobs")).status == 200
    assert not caplog.records


@pytest.mark.parametrize(
    ("method", "path", "headers", "raw", "values"),
    [
        ("GET", "/jobs", {"ocp-date": "today"}, None, {"HeaderName": "ocp-date"}),
        ("GET", "/jobs/j1", {"If-Match": '"'}, None, {"HeaderName": "If-Match"}),
        ("GET", "/jobs/j1", {"If-Modified-Since": "x"}, None, {"HeaderName": "If-Modified-Since"}),
        ("GET", "/jobs//tasks", {}, None, {}),
        ("GET", "/jobs/%ff", {}, None, {}),
        ("POST", "/jobs", {}, b"", {}),
        ("POST", "/jobs", {}, b"[]", {}),
        ("POST", "/jobs", {}, b'{"id":"\xff"}', {}),
        ("POST", "/jobs", {}, b"[" * 100_000, {}),
        ("POST", "/jobs", {"Content-Encoding": "gzip"}, b"no gzip", {}),
        ("POST", "/jobs", {"Content-Encoding": "deflate"}, b"no deflate", {}),
    ],
)
async def test_a_refusal_says_in_a_sentence_how_to_mend_the_request(
    caller: Caller,
    method: str,
    path: str,
    headers: dict[str, str],
    raw: bytes | None,
    values: dict[str, str],
) -> None:
    answer = await caller.send(method, path, headers=headers, raw=raw)
    assert answer.status == 400
    assert values.items() <= answer.values.items()
    assert re.fullmatch(r"[A-Z].{15,}\.", answer.values["Reason"])


async def test_a_body_of_the_limit_is_read_and_a_byte_more_is_not(caller: Caller) -> None:
    await caller.make("/jobs", job_body())
    body = json.dumps(task_body()).encode()
    answer = await caller.send("POST", "/jobs/j1/tasks", raw=body.ljust(BODY_BYTES_MAX + 1))
    assert (answer.status, answer.code) == (413, "RequestBodyTooLarge")
    assert answer.values == {"MaxLimit": "1048576"}
    answer = await caller.send("POST", "/jobs/j1/tasks", raw=body.ljust(BODY_BYTES_MAX))
    assert answer.status == 201


async def test_a_chunked_body_is_measured_as_it_comes(caller: Caller) -> None:
    await caller.make("/jobs", job_body())
    lines = _signed_lines(caller, "POST", TASKS, **{"Transfer-Encoding": "chunked"})
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    assert b" 413 " in await _raw(caller, lines + piece * 17 + b"0\r\n\r\n")
    body = json.dumps(task_body()).encode()
    whole = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    assert b" 201 " in await _raw(caller, lines + whole)


async def test_a_request_without_credentials_is_refused_before_its_body_is_read(
    caller: Caller,
) -> None:
    answer = await caller.send("POST", "/jobs", raw=b"x" * 2_000_000, is_signed=False)
    assert (answer.status, answer.code) == (400, "MissingRequiredHeader")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "text/plain", "x"])
async def test_the_type_of_a_body_does_not_matter(caller: Caller, content_type: str) -> None:
    answer = await caller.post("/jobs", job_body(), headers={"Content-Type": content_type})
    assert answer.status == 201


async def test_a_delete_without_content_length_is_understood(caller: Caller) -> None:
    await caller.make("/jobs", job_body())
    lines = _signed_lines(caller, "DELETE", "/jobs/j1?api-version=2025-06-01")
    assert b" 202 " in await _raw(caller, lines)


async def test_an_optional_body_may_be_absent_though_its_type_is_sent(caller: Caller) -> None:
    await caller.make("/jobs", job_body())
    answer = await caller.send("POST", "/jobs/j1/terminate", raw=b"")
    assert answer.status == 202


# --- answers --------------------------------------------------------------------------------------


async def test_an_error_has_the_form_that_clients_read(caller: Caller) -> None:
    answer = await caller.get("/pools/nope")
    assert (answer.status, answer.reason) == (404, "The specified pool does not exist.")
    assert answer.headers["Content-Type"] == "application/json;odata=minimalmetadata"
    document = answer.json
    assert document.pop("odata.metadata") == (
        f"{caller.base}/$metadata#Microsoft.Azure.Batch.Protocol.Entities.Container.errors/@Element"
    )
    text, request_id, time = document["message"].pop("value").split("\n")
    assert text == "The specified pool does not exist."
    assert request_id == f"RequestId:{answer.headers['request-id']}"
    assert time.startswith("Time:2026-05-01T12:00:00.")
    assert time.endswith("Z")
    assert document == {"code": "PoolNotFound", "message": {"lang": "en-US"}}


async def test_an_error_to_head_has_no_body(caller: Caller) -> None:
    answer = await caller.send("HEAD", "/pools/nope")
    assert (answer.status, answer.body) == (404, b"")


async def test_the_client_request_id_comes_back_when_asked_for(caller: Caller) -> None:
    headers = {"client-request-id": "mine", "return-client-request-id": "true"}
    assert (await caller.get("/jobs", headers=headers)).headers["client-request-id"] == "mine"
    headers["return-client-request-id"] = "false"
    assert "client-request-id" not in (await caller.get("/jobs", headers=headers)).headers


async def test_links_name_the_host_that_the_client_used(caller: Caller) -> None:
    await caller.make("/jobs", job_body("a"))
    await caller.make("/jobs", job_body("b"))
    headers = {"Host": "batch.example:8443"}
    answer = await caller.get("/jobs", "maxresults=1", headers=headers)
    assert answer.json["odata.nextLink"].startswith("http://batch.example:8443/jobs?maxresults=1&")
    assert answer.json["value"][0]["url"] == "http://batch.example:8443/jobs/a"


async def test_a_bug_is_500_with_one_traceback_and_no_detail(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> None:
        raise ValueError("a private detail")

    monkeypatch.setattr(jobs, "list_jobs", broken)
    answer = await caller.get("/jobs")
    assert (answer.status, answer.code) == (500, "InternalError")
    assert b"private" not in answer.body
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert answer.headers["request-id"] in record.getMessage()


async def test_an_answer_of_a_bug_keeps_the_connection_usable(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise ValueError

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "list_jobs", broken)
        await caller.get("/jobs")
    assert (await caller.get("/jobs")).status == 200


@pytest.mark.parametrize(
    "target",
    ["//jobs", "/jobs/../pools", "/%2e%2e/jobs", "/jobs/%00", "/pools/%2F%2F", "/jobs/a%zz", "/"],
)
async def test_odd_paths_are_refused(caller: Caller, target: str) -> None:
    lines = _signed_lines(caller, "GET", f"{target}?api-version=2025-06-01")
    answer = await _raw(caller, lines)
    assert answer.split(b" ")[1] in (b"400", b"404"), answer


async def test_the_absolute_form_of_a_request_line_is_understood(caller: Caller) -> None:
    lines = _signed_lines(caller, "GET", "/jobs?api-version=2025-06-01")
    lines = lines.replace(b"GET /jobs", b"GET http://elsewhere:5/jobs")
    assert b" 200 " in await _raw(caller, lines)


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"Host: here:1", b'Host: \xff\xfe/ "<x>', b"200"),
        (b"Host: here:1\r\n", b"", b"200"),
        (b"ocp-date", b'If-Match: "\xff\r\nocp-date', b"403"),
        (b"ocp-date", b"Content-Type: \xff\r\nocp-date", b"403"),
        (
            b"ocp-date",
            b"client-request-id: \xff\r\nreturn-client-request-id: true\r\nocp-date",
            b"200",
        ),
        (b"ocp-date", b"Expect: everything\r\nocp-date", b"200"),
        (b"SharedKey t", b"SharedKey \xff", b"400"),
    ],
)
async def test_headers_that_are_no_text_do_no_harm(
    caller: Caller, old: bytes, new: bytes, status: bytes
) -> None:
    await caller.make("/jobs", job_body())
    lines = _signed_lines(caller, "GET", "/jobs/j1?api-version=2025-06-01")
    if not new:
        lines = lines.replace(b"HTTP/1.1", b"HTTP/1.0")
    answer = await _raw(caller, lines.replace(old, new, 1))
    assert answer.split(b" ")[1] == status, answer


@pytest.mark.parametrize("target", ["OPTIONS *", "CONNECT here:80", "TRACE /", "PROPFIND /pot"])
async def test_methods_of_other_worlds_need_credentials_too(caller: Caller, target: str) -> None:
    request = f"{target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answer = await _raw(caller, request.encode())
    assert answer.split(b" ")[1] == b"400"
    assert b"MissingRequiredHeader" in answer


async def test_a_compressed_body_is_measured_by_what_it_holds(caller: Caller) -> None:
    await caller.make("/jobs", job_body())
    for body, status in (
        (gzip.compress(json.dumps(task_body()).encode()), b"201"),
        (gzip.compress(b" " * 20_000_000), b"413"),
        (b"abcde", b"400"),
    ):
        headers = {"Content-Encoding": "gzip", "Content-Length": str(len(body))}
        answer = await _raw(caller, _signed_lines(caller, "POST", TASKS, **headers) + body)
        assert answer.split(b" ")[1] == status


async def test_a_body_that_breaks_off_is_refused_at_once(caller: Caller) -> None:
    await caller.make("/jobs", job_body())
    lines = _signed_lines(caller, "POST", TASKS, **{"Transfer-Encoding": "chunked"})
    answer = await _raw(caller, lines, b"5\r\nabcde\r\n", b"zz\r\n")
    assert b'"InvalidRequestBody"' in answer
    assert b"not what its headers say" in answer


async def test_a_full_disk_is_told_as_one_and_nothing_is_lost(caller: Caller, house: House) -> None:
    writer = house.ctx.store._writer  # the disk's part is played by SQLite's own limit
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}")
    big = job_body(commonEnvironmentSettings=[{"name": "A", "value": "x" * 100_000}])
    answer = await caller.send("POST", "/jobs", big)
    assert (answer.status, answer.code) == (503, "ServerBusy")
    assert "full" in answer.body.decode()
    writer.execute("PRAGMA max_page_count = 1000000")
    assert (await caller.send("POST", "/jobs", big)).status == 201
