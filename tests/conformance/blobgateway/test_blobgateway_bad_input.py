"""Malformed, oversized and hostile requests: each gets its documented error and has no effect."""

import base64
import hashlib
import socket
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from azure.storage.blob import BlobServiceClient

from shoal_controller.blobgateway.web import call
from tests.conformance.blobgateway.server import VERSION, RunningGateway, signed

BLOB = "/dev/room/b"
PUT = {"x-ms-blob-type": "BlockBlob"}


@pytest.fixture(scope="module", autouse=True)
def room(gateway: RunningGateway) -> Iterator[None]:
    with BlobServiceClient.from_connection_string(gateway.connection_string) as service:
        service.create_container("room").upload_blob("b", b"0123456789")
        yield
        # Nothing any test did had an effect.
        container = service.get_container_client("room")
        assert [(blob.name, blob.size) for blob in container.list_blobs()] == [("b", 10)]
        assert container.get_container_properties().metadata == {}
        assert container.get_blob_client("b").get_blob_properties().metadata == {}


@pytest.mark.parametrize(
    ("wanted", "status", "body", "content_range"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=8-999", 206, b"89", "bytes 8-9/10"),
        ("bytes=0-0", 206, b"0", "bytes 0-0/10"),
        ("bytes=10-", 416, None, None),
        ("bytes=99999999999999999-", 416, None, None),
        ("bytes=5-2", 400, None, None),
        ("bytes=-3", 200, b"0123456789", None),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
        ("bytes=a-b", 200, b"0123456789", None),
    ],
)
@pytest.mark.parametrize("name", ["range", "x-ms-range"])
def test_ranges(
    gateway: RunningGateway,
    name: str,
    wanted: str,
    status: int,
    body: bytes | None,
    content_range: str | None,
) -> None:
    reply = gateway.ask("GET", BLOB, {name: wanted})
    assert reply.status == status
    assert reply.headers.get("content-range") == content_range
    if body is not None:
        assert reply.body == body
    else:
        assert reply.code == ("InvalidRange" if status == 416 else "InvalidHeaderValue")


def test_the_md5_of_a_range_is_told_when_asked_for(gateway: RunningGateway) -> None:
    wanted = {"x-ms-range": "bytes=0-3", "x-ms-range-get-content-md5": "true"}
    reply = gateway.ask("GET", BLOB, wanted)
    assert reply.status == 206
    assert reply.headers["content-md5"] == base64.b64encode(hashlib.md5(b"0123").digest()).decode()
    assert "x-ms-blob-content-md5" in reply.headers
    for text in ("bytes=0-4194304", "bytes=0-"):
        reply = gateway.ask("GET", BLOB, wanted | {"x-ms-range": text})
        assert (reply.status, reply.code) == (400, "OutOfRangeInput")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("PUT", "/dev/room/x", {}, 400, "MissingRequiredHeader"),
        ("PUT", "/dev/room/x", {"x-ms-blob-type": "PageBlob"}, 400, "InvalidHeaderValue"),
        ("PUT", "/dev/room/x", {"x-ms-blob-type": "AppendBlob"}, 400, "InvalidHeaderValue"),
        ("PUT", "/dev/room/x", PUT | {"content-md5": "AAAA"}, 400, "InvalidMd5"),
        ("PUT", "/dev/room/x", PUT | {"content-md5": "%%%"}, 400, "InvalidMd5"),
        ("PUT", "/dev/room/x", PUT | {"x-ms-meta-": "v"}, 400, "EmptyMetadataKey"),
        ("PUT", "/dev/room/x", PUT | {"x-ms-meta-a-b": "v"}, 400, "InvalidMetadata"),
        ("PUT", "/dev/room/x", PUT | {"x-ms-meta-1a": "v"}, 400, "InvalidMetadata"),
        ("PUT", "/dev/room/x", PUT | {"x-ms-meta-a": "\xe9"}, 400, "InvalidMetadata"),
        ("PUT", "/dev/room/x", PUT | {"content-type": "\xe9"}, 400, "InvalidHeaderValue"),
        ("PUT", "/dev/room/x", PUT | {"x-ms-meta-a": "v" * 8192}, 400, "MetadataTooLarge"),
        ("PUT", "/dev/room/x", PUT | {"x-ms-access-tier": "Archive"}, 400, "InvalidHeaderValue"),
        ("PUT", "/dev/room/x", PUT | {"x-ms-tags": "a=b"}, 400, "UnsupportedHeader"),
        ("PUT", "/dev/room/x", PUT | {"x-ms-lease-id": "x"}, 400, "UnsupportedHeader"),
        ("PUT", "/dev/room/x", PUT | {"x-ms-content-crc64": "x"}, 400, "UnsupportedHeader"),
        ("PUT", "/dev/room/x", PUT | {"x-ms-encryption-key": "x"}, 400, "UnsupportedHeader"),
        ("PUT", "/dev/room/x", PUT | {"if-match": "*"}, 412, "ConditionNotMet"),
        ("PUT", "/dev/room/x", PUT | {"if-modified-since": "soon"}, 400, "InvalidHeaderValue"),
        ("PUT", "/dev/room/x", PUT | {"content-length": str(2**53)}, 413, "RequestBodyTooLarge"),
        ("PUT", "/dev/nowhere/x", PUT, 404, "ContainerNotFound"),
        ("PUT", "/dev/No/x", PUT, 400, "OutOfRangeInput"),
        ("PUT", "/dev/room/x?comp=block", {}, 400, "MissingRequiredQueryParameter"),
        ("PUT", "/dev/room/x?comp=block&blockid=!", {}, 400, "InvalidQueryParameterValue"),
        ("PUT", "/dev/room/x?comp=block&blockid=", {}, 400, "InvalidQueryParameterValue"),
        ("PUT", "/dev/room/x?comp=block&blockid=QQ==", {}, 400, "InvalidHeaderValue"),
        ("PUT", f"/dev/room/x?comp=block&blockid={'QUFB' * 30}", {}, 400, "InvalidBlockId"),
        ("PUT", "/dev/room/b?comp=lease", {}, 400, "UnsupportedQueryParameter"),
        ("PUT", "/dev/room/b?comp=snapshot", {}, 400, "UnsupportedQueryParameter"),
        ("PUT", "/dev/room/b?comp=tags", {}, 400, "UnsupportedQueryParameter"),
        ("PUT", "/dev/room/b?comp=tier", {}, 400, "UnsupportedQueryParameter"),
        ("PUT", "/dev/room/b?comp=page", {}, 400, "UnsupportedQueryParameter"),
        ("PUT", "/dev/room/b?comp=appendblock", {}, 400, "UnsupportedQueryParameter"),
        ("GET", "/dev/room/b?snapshot=2020", {}, 400, "UnsupportedQueryParameter"),
        ("DELETE", BLOB, {"x-ms-lease-id": "x"}, 400, "UnsupportedHeader"),
        ("DELETE", BLOB, {"x-ms-delete-snapshots": "only"}, 202, None),
        ("DELETE", BLOB, {"x-ms-delete-snapshots": "some"}, 400, "InvalidHeaderValue"),
        ("DELETE", BLOB, {"if-match": '"0x1"'}, 412, "ConditionNotMet"),
        ("GET", "/dev/room/b?comp=nonsense", {}, 400, "InvalidQueryParameterValue"),
        ("GET", "/dev/room/b?comp=metadata&comp=", {}, 400, "InvalidQueryParameterValue"),
        ("POST", BLOB, {}, 405, "UnsupportedHttpVerb"),
        ("PATCH", "/dev/room?restype=container", {}, 405, "UnsupportedHttpVerb"),
        ("OPTIONS", BLOB, {}, 405, "UnsupportedHttpVerb"),
        ("GET", "/dev/room", {}, 400, "InvalidUri"),
        ("GET", "/dev", {}, 400, "InvalidUri"),
        ("GET", "/dev/room/" + "x" * 1025, {}, 400, "OutOfRangeInput"),
        ("GET", "/dev/room/" + "a/" * 300, {}, 400, "InvalidUri"),
        ("GET", "/dev/room/nul%00", {}, 400, "InvalidUri"),
        ("GET", "/dev/room/%0d%0aSet-Cookie:x", {}, 400, "InvalidUri"),
        ("GET", "/dev/room/..%2f..%2fcatalogue.sqlite", {}, 404, "BlobNotFound"),
        ("GET", "/dev/room/../../catalogue.sqlite", {}, 404, "BlobNotFound"),
        ("GET", "/dev/room//etc/passwd", {}, 404, "BlobNotFound"),
        ("GET", "/dev/../catalogue.sqlite", {}, 400, "OutOfRangeInput"),
        ("GET", BLOB, {"x-ms-version": "1.0"}, 400, "InvalidHeaderValue"),
        ("GET", BLOB, {"x-ms-version": "2009-09-19"}, 400, "InvalidHeaderValue"),
    ],
)
def test_each_mistake_has_its_error(
    gateway: RunningGateway,
    method: str,
    path: str,
    headers: dict[str, str],
    status: int,
    code: str | None,
) -> None:
    reply = gateway.ask(method, path, headers)
    assert (reply.status, reply.code) == (status, code), reply.body
    if code is not None:
        assert f"<Code>{code}</Code>".encode() in reply.body
        assert reply.headers["x-ms-request-id"].encode() in reply.body


@pytest.mark.parametrize(
    "query",
    ["maxresults=0", "maxresults=-1", "maxresults=x", "maxresults=1e3", "marker=%00",
     "marker=a", "marker=_w==", "include=everything", "include=uncommittedblobs",
     "prefix=%ff", "maxresults=" + "9" * 5000],
)  # fmt: skip
def test_bad_list_parameters_are_refused(gateway: RunningGateway, query: str) -> None:
    path = f"/dev/room?restype=container&comp=list&{query}"
    reply = gateway.send("GET", path, signed("GET", path) if "%ff" not in query else {})
    assert reply.status in (400, 401)
    assert reply.code is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no xml",
        b"<BlockList><Latest>QQ==</Latest>",
        b"<Other/>",
        b"<BlockList><Newest>QQ==</Newest></BlockList>",
        b"<BlockList><Latest><Latest>QQ==</Latest></Latest></BlockList>",
        b"<BlockList>" * 500,
        b'<?xml version="1.0" encoding="utf-7"?><BlockList/>',
        b'<!DOCTYPE b [<!ENTITY a "aaaa"><!ENTITY c "&a;&a;">]><BlockList>&c;</BlockList>',
        b'<!DOCTYPE b SYSTEM "file:///etc/passwd"><BlockList></BlockList>',
        b"<BlockList>\xff\xfe</BlockList>",
        b"<BlockList>\x00</BlockList>",
    ],
)
def test_a_bad_block_list_is_refused(gateway: RunningGateway, body: bytes) -> None:
    reply = gateway.ask("PUT", BLOB + "?comp=blocklist", {}, body)
    assert (reply.status, reply.code) == (400, "InvalidXmlDocument")


def test_a_block_list_has_a_longest_length(gateway: RunningGateway) -> None:
    entry = b"<Latest>QQ==</Latest>"
    body = b"<BlockList>" + entry * 50_001 + b"</BlockList>"
    reply = gateway.ask("PUT", BLOB + "?comp=blocklist", {}, body)
    assert (reply.status, reply.code) == (400, "BlockListTooLong")
    path = BLOB + "?comp=blocklist"
    headers = {"content-length": str(9 * 1024 * 1024), "connection": "close"}
    reply = gateway.send("PUT", path, signed("PUT", path, headers))
    assert (reply.status, reply.code) == (413, "RequestBodyTooLarge")


def test_service_properties_cannot_turn_anything_on(gateway: RunningGateway) -> None:
    path = "/dev?restype=service&comp=properties"
    told = gateway.ask("GET", path)
    assert gateway.ask("PUT", path, {}, told.body).status == 202
    on = told.body.replace(b"<Enabled>false", b"<Enabled>true", 1)
    assert gateway.ask("PUT", path, {}, on).code == "UnsupportedQueryParameter"


@pytest.mark.parametrize(
    ("kind", "body"),
    [("text/plain", b"x"), ("multipart/mixed", b"x"), ("multipart/mixed; boundary=b", b""),
     ("multipart/mixed; boundary=b", b"--b\r\n"), ("multipart/mixed; boundary=", b"--\r\n--\r\n"),
     ("multipart/mixed; boundary=b", b"--b\r\n" * 300 + b"--b--"),
     ("multipart/mixed; boundary=\xe9", b"--\xe9\r\n\r\n\r\n--\xe9--")],
)  # fmt: skip
def test_a_bad_batch_is_refused(gateway: RunningGateway, kind: str, body: bytes) -> None:
    path = "/dev/room?restype=container&comp=batch"
    reply = gateway.ask("POST", path, {"content-type": kind}, body)
    assert reply.status in (400, 202)
    assert b"HTTP/1.1 2" not in reply.body


@pytest.mark.parametrize(
    ("source", "status", "code"),
    [
        ("", 400, "InvalidHeaderValue"),
        ("file:///etc/passwd", 400, "InvalidHeaderValue"),
        ("ftp://127.0.0.1/x", 400, "InvalidHeaderValue"),
        ("http://", 400, "InvalidHeaderValue"),
        ("http://[::1", 400, "InvalidHeaderValue"),
        ("http://127.0.0.1:99999/x", 400, "InvalidHeaderValue"),
        ("http://169.254.169.254/latest/meta-data", 400, "InvalidHeaderValue"),
        ("http://[::ffff:169.254.169.254]/", 400, "InvalidHeaderValue"),
        ("http://[fd00:ec2::254]/", 400, "InvalidHeaderValue"),
        ("http://168.63.129.16/", 400, "InvalidHeaderValue"),
        ("http://user:word@127.0.0.1/x", 400, "InvalidHeaderValue"),
        ("http://2852039166/", 400, "CannotVerifyCopySource"),
        ("http://127.0.0.1:1/closed", 400, "CannotVerifyCopySource"),
        ("http://no-such-host.invalid/x", 400, "CannotVerifyCopySource"),
    ],
)
def test_a_copy_source_that_cannot_be_read_is_refused(
    gateway: RunningGateway, source: str, status: int, code: str
) -> None:
    for headers in ({}, PUT):
        reply = gateway.ask("PUT", "/dev/room/x", {**headers, "x-ms-copy-source": source})
        assert (reply.status, reply.code) == (status, code), reply.body


def raw(gateway: RunningGateway, data: bytes, *, end: bool = False) -> bytes:
    """What the gateway says to these very bytes; `end` closes our side after them."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(data)
        if end:
            connection.shutdown(socket.SHUT_WR)
        got = b""
        # The connection stays open for a while for the rest of a body nobody sends.
        while b"</Error>" not in got and (piece := connection.recv(65536)):
            got += piece
        return got


def head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n".encode()


def test_a_body_of_unknown_length_is_refused(gateway: RunningGateway) -> None:
    headers = signed("PUT", "/dev/room/x", PUT | {"content-length": ""})
    del headers["content-length"]
    headers["transfer-encoding"] = "chunked"
    said = raw(gateway, head("PUT", "/dev/room/x", headers) + b"3\r\nabc\r\n0\r\n\r\n")
    assert b"411 " in said
    assert b"MissingContentLengthHeader" in said


@pytest.mark.parametrize("sent", [0, 10, 400_000])
def test_a_body_that_breaks_off_leaves_nothing(gateway: RunningGateway, sent: int) -> None:
    headers = signed("PUT", "/dev/room/x", PUT | {"content-length": "500000"})
    said = raw(gateway, head("PUT", "/dev/room/x", headers) + b"x" * sent, end=True)
    assert b" 201 " not in said
    assert gateway.ask("HEAD", "/dev/room/x").status == 404


def test_a_body_that_never_comes_is_not_waited_for(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "BODY_WAIT_S", 0.01)
    headers = signed("PUT", "/dev/room/x", PUT | {"content-length": "500"})
    said = raw(gateway, head("PUT", "/dev/room/x", headers) + b"x" * 10)
    assert b"408 " in said
    assert b"OperationTimedOut" in said


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"GET /dev/room/b HTTP/1.1\r\nHost: x\r\nx-ms-meta-a: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET //// HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET http://x/dev/room/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /dev/room?marker=%F0%9F HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /dev/room/%ff%fe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /dev/room/\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"PUT /dev/x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"PUT /dev/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_garbage_is_answered_with_a_4xx(gateway: RunningGateway, data: bytes) -> None:
    said = raw(gateway, data)
    assert said.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), said[:200]


def test_errors_of_head_requests_have_no_body(gateway: RunningGateway) -> None:
    reply = gateway.ask("HEAD", "/dev/room/missing")
    assert (reply.status, reply.code, reply.body) == (404, "BlobNotFound", b"")


def test_every_answer_names_its_request(gateway: RunningGateway) -> None:
    asked = {"x-ms-client-request-id": "mine"}
    seen = set()
    for path in (BLOB, "/dev/room/missing", f"/dev/room/{quote('ü')}"):
        reply = gateway.ask("GET", path, asked)
        assert reply.headers["x-ms-client-request-id"] == "mine"
        assert reply.headers["x-ms-version"] == VERSION
        assert "date" in reply.headers
        seen.add(reply.headers["x-ms-request-id"])
    assert len(seen) == 3
    for hostile in ("x" * 1025, "\xe9"):
        reply = gateway.ask("GET", BLOB, {"x-ms-client-request-id": hostile})
        assert "x-ms-client-request-id" not in reply.headers
        assert reply.status == 200


def test_md5_texts_are_base64_of_sixteen_bytes(gateway: RunningGateway) -> None:
    short = base64.b64encode(b"x" * 15).decode()
    headers = PUT | {"x-ms-blob-content-md5": short}
    assert gateway.ask("PUT", "/dev/room/x", headers, b"x").code == "InvalidMd5"
