"""Properly signed nonsense: thousands of requests put together at random, none answered with 5xx.

A failure prints the request; the seed is fixed, so it comes again.
"""

import http.client
import random
from urllib.parse import quote

import pytest

from shoal_controller.blobgateway.errors import StorageError
from tests.conformance.blobgateway.server import RunningGateway, signed

REQUESTS = 1500
METHODS = ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "OPTIONS"]
TEXTS = [
    "", "0", "-1", "1", "true", "*", '"0x1"', "bytes=0-1", "bytes=9-", "QQ==", "a", "BlockBlob",
    "PageBlob", "Hot", "include", "only", "container", "service", "metadata", "list", "\u00e9",
    "Sat, 21 Nov 2026 07:00:00 GMT", "99999999999999999999", "http://127.0.0.1:1/x", "x" * 3000,
    "2021-12-02", "private", "all", "/", "a/b", "%", "\U0001f600", "multipart/mixed; boundary=b",
]  # fmt: skip
PARAMETERS = [
    "comp", "restype", "prefix", "delimiter", "marker", "maxresults", "include", "blockid",
    "blocklisttype", "snapshot", "timeout", "sig", "sv", "sp", "se", "sr", "",
]  # fmt: skip
COMPS = [
    "list",
    "metadata",
    "properties",
    "block",
    "blocklist",
    "batch",
    "acl",
    "copy",
    "lease",
    "tier",
]
HEADERS = [
    "range", "x-ms-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since",
    "content-md5", "content-type", "x-ms-blob-type", "x-ms-copy-source", "x-ms-source-range",
    "x-ms-blob-content-md5", "x-ms-blob-content-type", "x-ms-meta-a", "x-ms-meta-", "x-ms-meta-a-b",
    "x-ms-access-tier", "x-ms-delete-snapshots", "x-ms-range-get-content-md5", "x-ms-version",
    "x-ms-source-if-match", "x-ms-requires-sync", "x-ms-copy-source-blob-properties",
    "x-ms-client-request-id", "content-encoding", "x-ms-source-content-md5",
]  # fmt: skip
BODIES = [
    b"", b"x", b"x" * 20_000, b"<BlockList><Latest>QQ==</Latest></BlockList>", b"<BlockList/>",
    b"<SignedIdentifiers/>", b"<StorageServiceProperties/>", b"\x00\xff", b"<a>" * 100,
    b"--b\r\nContent-ID: 0\r\n\r\nDELETE /dev/fuzz/a HTTP/1.1\r\n\r\n\r\n--b--\r\n",
]  # fmt: skip


ROOM = "/dev/fuzz?restype=container"
PUT = {"x-ms-blob-type": "BlockBlob"}
COPY = {"x-ms-copy-source": "{here}/dev/fuzz/a"}
VALID: list[tuple[str, str, dict[str, str], bytes]] = [
    ("GET", "/dev?comp=list", {}, b""),
    ("GET", "/dev?restype=service&comp=properties", {}, b""),
    ("PUT", ROOM, {}, b""),
    ("GET", ROOM, {}, b""),
    ("PUT", ROOM + "&comp=metadata", {"x-ms-meta-a": "1"}, b""),
    ("GET", ROOM + "&comp=acl", {}, b""),
    ("PUT", ROOM + "&comp=acl", {}, b"<SignedIdentifiers/>"),
    ("GET", ROOM + "&comp=list", {}, b""),
    ("GET", ROOM + "&comp=list&delimiter=/&maxresults=2", {}, b""),
    ("POST", ROOM + "&comp=batch", {"content-type": "multipart/mixed; boundary=b"}, BODIES[9]),
    ("PUT", "/dev/fuzz/a", PUT, b"data"),
    ("PUT", "/dev/fuzz/a/b", PUT, b"x" * 20_000),
    ("PUT", "/dev/fuzz/a?comp=block&blockid=QQ==", {}, b"block"),
    ("PUT", "/dev/fuzz/a?comp=blocklist", {}, BODIES[3]),
    ("GET", "/dev/fuzz/a?comp=blocklist&blocklisttype=all", {}, b""),
    ("GET", "/dev/fuzz/a", {"x-ms-range": "bytes=1-2"}, b""),
    ("HEAD", "/dev/fuzz/a", {}, b""),
    ("PUT", "/dev/fuzz/a?comp=metadata", {"x-ms-meta-a": "1"}, b""),
    ("PUT", "/dev/fuzz/a?comp=properties", {"x-ms-blob-content-type": "a/b"}, b""),
    ("PUT", "/dev/fuzz/copy", COPY, b""),
    ("PUT", "/dev/fuzz/copy", PUT | COPY, b""),
    ("PUT", "/dev/fuzz/copy?comp=block&blockid=QQ==", COPY, b""),
    ("DELETE", "/dev/fuzz/a/b", {}, b""),
    ("DELETE", "/dev/fuzz/copy", {}, b""),
]


def a_request(choice: random.Random, here: str) -> tuple[str, str, dict[str, str], bytes]:
    """A valid request with up to three things about it changed."""
    method, path, given, body = choice.choice(VALID)
    headers = {name: value.replace("{here}", here) for name, value in given.items()}
    for _ in range(choice.choice([0, 1, 1, 2, 3])):
        text = choice.choice(TEXTS)
        change = choice.randrange(12)
        if change < 6:
            headers[choice.choice(HEADERS)] = text.strip()
        elif change < 8:
            mark = "&" if "?" in path else "?"
            path += f"{mark}{choice.choice(PARAMETERS)}={quote(text)}"
        elif change == 8:
            path = path.replace("list", choice.choice(COMPS), 1)
        elif change == 9:
            path = path.replace("/a", "/" + quote(text), 1)
        elif change == 10:
            method = choice.choice(METHODS)
        else:
            body = choice.choice(BODIES)
    return method, path, headers, body


@pytest.mark.parametrize("seed", [1, 2])
def test_no_signed_nonsense_is_answered_with_a_5xx(gateway: RunningGateway, seed: int) -> None:
    choice = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    statuses: dict[int, int] = {}
    for _ in range(REQUESTS):
        method, path, headers, body = a_request(choice, gateway.url(""))
        try:
            sent = signed(method, path, headers, body)
        except StorageError:
            continue
        encoded = {name: value.encode() for name, value in sent.items()}
        connection.request(method, path, body, encoded)
        with connection.getresponse() as response:
            response.read()
        statuses[response.status] = statuses.get(response.status, 0) + 1
        assert response.status < 500, (method, path, headers, body)
    connection.close()
    # It is no use if everything is refused at the door.
    assert statuses.get(201, 0) > 10
    assert statuses.get(200, 0) + statuses.get(206, 0) > 50
