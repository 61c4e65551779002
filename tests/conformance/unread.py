"""What strangers send to a port that speaks HTTP, for all servers of the controller."""

from __future__ import annotations

import asyncio
import logging
import random

import pytest

SECRET = b"sig=c2VjcmV0"
HOST = b"Host: here\r\n"

UNREADABLE: dict[str, tuple[bytes, str]] = {
    "no method": (b"open sesame\r\n\r\n", "InvalidHttpVerb"),
    "a method of bytes": (b"G\xffT / HTTP/1.1\r\n" + HOST + b"\r\n", "InvalidHttpVerb"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), "InvalidHttpVerb"),
    "zeros": (bytes(100_000), "InvalidHttpVerb"),
    "a version to come": (b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", "InvalidInput"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "InvalidInput"),
    "no URL": (b"GET http://[::1?" + SECRET + b" HTTP/1.1\r\n" + HOST + b"\r\n", "InvalidUri"),
    "no authority": (b"CONNECT [ HTTP/1.1\r\n" + HOST + b"\r\n", "InvalidUri"),
    "a long target": (b"GET /?" + SECRET + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", "InvalidInput"),
    "a long header": (
        b"GET / HTTP/1.1\r\nAuthorization: " + SECRET + b"a" * 20_000 + b"\r\n\r\n",
        "InvalidInput",
    ),
    "a flood of headers": (
        b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: 1\r\n" % n for n in range(500)) + b"\r\n",
        "InvalidHeaderValue",
    ),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", "InvalidHeaderValue"),
    "two hosts": (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", "InvalidHeaderValue"),
    "a control in a header": (
        b"GET / HTTP/1.1\r\n" + HOST + b"Authorization: " + SECRET + b"\x01\r\n\r\n",
        "InvalidHeaderValue",
    ),
    "no name of a header": (b"GET / HTTP/1.1\r\n" + HOST + b"a b: c\r\n\r\n", "InvalidHeaderValue"),
    "a folded header": (b"GET / HTTP/1.1\r\n" + HOST + b" folded\r\n\r\n", "InvalidHeaderValue"),
    "two lengths": (
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "InvalidHeaderValue",
    ),
    "no length": (
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\n\r\n",
        "InvalidHeaderValue",
    ),
    "no chunk": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + SECRET + b"\r\n",
        "InvalidInput",
    ),
    "rubbish behind a request": (
        b"GET / HTTP/1.1\r\n" + HOST + b"\r\n" + SECRET + b"\r\n\r\n",
        "InvalidHttpVerb",
    ),
}
"""What is sent, and the code of the answer."""

MANGLED_COUNT = 400


async def answer_of(port: int, request: bytes, *more: bytes) -> bytes:
    """Send bytes as they are, `more` of them later; return what comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in (request, *more):
            writer.write(part)
            await writer.drain()
            if more:
                await asyncio.sleep(0.05)  # so that the server reads one without the other
        return await reader.read()
    except ConnectionResetError:  # it closed before it read everything
        return b""
    finally:
        writer.close()


async def send_mangled(port: int, seed: int) -> list[bytes]:
    """Send requests with bytes changed, dropped and doubled; return the answers that came."""
    choice = random.Random(seed)
    answers: list[bytes] = []
    for _ in range(MANGLED_COUNT):
        request = bytearray(
            choice.choice([b"GET", b"POST", b"OPTIONS", b"CONNECT"])
            + b" /jobs?api-version=2025-06-01 HTTP/1.1\r\nHost: here\r\nConnection: close\r\n"
            + choice.choice([b"", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"])
            + choice.choice([b"", b"Content-Encoding: gzip\r\n", b"Expect: 100-continue\r\n"])
            + choice.choice([b"", b"Upgrade: websocket\r\n", b"Authorization: SharedKey a:b\r\n"])
            + b"\r\n"
            + choice.choice([b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"zz\r\n"])
        )
        for _ in range(choice.choice([1, 1, 2, 5])):
            at = choice.randrange(len(request))
            request[at : at + choice.choice([0, 1, 1])] = choice.choice(
                [b"", b"\0", b"\r\n", b" ", b":", b"\xff", b"0", b"[", bytes([request[at]] * 2)]
            )
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(bytes(request))
        try:
            async with asyncio.timeout(0.05):  # some wait for more, rightly
                answers.append(await reader.read())
        except (TimeoutError, ConnectionResetError):
            pass
        finally:
            writer.close()
    return answers


def assert_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing was logged but short lines at level debug, and nothing of what was sent."""
    for record in caplog.records:
        assert record.levelno == logging.DEBUG, record.getMessage()
        assert record.exc_info is None
        assert "c2VjcmV0" not in record.getMessage()
        assert len(record.getMessage()) < 300
