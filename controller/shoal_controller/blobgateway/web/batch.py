"""Blob Batch: many small requests in one multipart body, each authorized by itself."""

import re
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from shoal_controller.blobgateway.errors import StorageError, bad_header
from shoal_controller.blobgateway.web import xml
from shoal_controller.blobgateway.web.call import Answer, Call, Target, parse_target

BODY_BYTES_MAX: Final = 4 * 1024 * 1024
PARTS_MAX: Final = 256
_BOUNDARY = re.compile(r'boundary="?([^\s";,]{1,200})')
_CONTENT_ID = re.compile(rb"^Content-ID:[ \t]*([0-9]{1,9})[ \t]*$", re.IGNORECASE | re.MULTILINE)
_REQUEST_LINE = re.compile(r"([A-Z]+) (/\S*) HTTP/1\.1")


class NoBody:
    """The body of a request that has none."""

    async def readany(self) -> bytes:
        return b""


async def run(call: Call) -> Answer:
    """Carry out the parts one after the other; each has its own answer, good or bad."""
    kind = call.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/mixed"):
        raise bad_header("Content-Type", kind[:100], "multipart/mixed with a boundary")
    body = await call.small_body(BODY_BYTES_MAX)
    parts = _split(kind, body)
    if not 1 <= len(parts) <= PARTS_MAX:
        raise StorageError("InvalidInput", f"A batch has 1 to {PARTS_MAX} well-formed parts.")
    boundary = f"batchresponse_{call.gateway.new_id()}"
    answers = [await _run_part(call, head, raw) for head, raw in parts]
    text = b"".join(f"--{boundary}\r\n".encode() + answer + b"\r\n" for answer in answers)
    return Answer(
        202,
        {"Content-Type": f"multipart/mixed; boundary={boundary}"},
        text + f"--{boundary}--\r\n".encode(),
    )


def _split(kind: str, body: bytes) -> list[tuple[bytes, bytes]]:
    """The parts of a multipart body as (headers, content); empty if it is none.

    Not with the email package: it does not understand the unquoted boundary full of equal signs
    that azure-core's asynchronous clients send.
    """
    found = _BOUNDARY.search(kind)
    if found is None:
        return []
    mark = b"\n--" + found[1].encode("utf-8", "surrogateescape")
    sections = (b"\n" + body.replace(b"\r\n", b"\n")).split(mark)
    if len(sections) < 3 or not sections[-1].startswith(b"--"):
        return []
    pairs = [section.partition(b"\n\n") for section in sections[1:-1]]
    return [(head, raw) for head, _, raw in pairs]


async def _run_part(call: Call, part_head: bytes, raw: bytes) -> bytes:
    number = _CONTENT_ID.search(part_head)
    try:
        inner = _inner_call(call, raw)
        answer = await call.gateway.dispatch(inner)
    except StorageError as error:
        answer = Answer(
            error.status,
            {"x-ms-error-code": error.code, "Content-Type": "application/xml"},
            xml.error(error.code, error.message, error.details),
        )
    head = "Content-Type: application/http\r\n"
    if number is not None:
        head += f"Content-ID: {number[1].decode()}\r\n"
    head += f"\r\nHTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
    told = {
        "x-ms-request-id": call.gateway.new_id(),
        "Content-Length": str(len(answer.body)),
        **answer.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return (head + lines + "\r\n").encode() + answer.body


def _inner_call(call: Call, raw: bytes) -> Call:
    line, _, rest = raw.lstrip(b"\n").partition(b"\n")
    found = _REQUEST_LINE.fullmatch(line.decode("ascii", "replace").strip())
    if found is None or found[1] != "DELETE":
        raise StorageError("InvalidInput", "A batch here consists of Delete Blob requests.")
    headers: dict[str, str] = {}
    for text in rest.decode("utf-8", "surrogateescape").split("\n"):
        name, colon, value = text.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return Call(
        method=found[1],
        target=_locate(call, found[2]),
        version=call.version,
        headers=headers,
        metadata=[],
        body=NoBody(),
        remote=call.remote,
        secure=call.secure,
        now=call.now,
        request_id=call.request_id,
        gateway=call.gateway,
    )


def _locate(call: Call, url: str) -> Target:
    """What a part's URL names: SDKs leave the account out of it, even for path-style endpoints.

    A batch sent to a container may touch that container only.
    """
    given = parse_target(url)
    account, container = call.target.account, call.target.container
    parts = url.partition("?")[0].split("/", 3)
    short = parse_target(f"/{account}{url}")
    whole = len(parts) == 4 and given.account == account
    if whole and container is not None:
        whole = given.container == container and short.container != container
    chosen = given if whole else replace(short, path=given.path)
    if chosen.blob is None or (container is not None and chosen.container != container):
        raise StorageError("InvalidInput", "A part names no blob of the container of its batch.")
    return chosen
