"""Headers of every kind that the controller, its framework or a proxy might look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from hypothesis import strategies as st

from tests.fuzz.wire import Header

_TAGS: Final = (
    b"*",
    b'"0x8D0"',
    b"0x8D0",
    b'W/"0x8D0"',
    b'"',
    b'""',
    b"",
    b'a"b',
    b"\xff",
    b'"a", "b"',
)
_DATES: Final = (
    *(
        b"Fri, 01 May 2026 12:00:00 GMT",
        b"Friday, 01-May-26 12:00:00 GMT",
        b"Fri May  1 12:00:00 2026",
    ),
    *(
        b"2026-05-01T12:00:00Z",
        b"0",
        b"",
        b"yesterday",
        b"Fri, 99 May 2026 99:00:00 GMT",
        b"\xff\xfe",
    ),
    *(
        b"Fri, 01 May 99999 12:00:00 GMT",
        b"Mon, 01 Jan 0001 00:00:00 +1400",
        b"Fri, 31 Dec 9999 23:59:59 -2359",
    ),
    *(
        b"Fri, 01 May 2026 12:00:00 +99999999",
        b"Fri, 01 May -2026 12:00:00 GMT",
        b"\xd9\xa3 May 2026 1:1:1",
    ),
)
_WORDS: Final = (
    b"",
    b"x",
    b"\xff\xfe",
    b"a" * 9000,
    b"\tx\t",
    b"\xc3\xbc",
    b"=?utf-8?q?x?=",
    b'"',
    b";;,",
)
_RANGES: Final = (
    *(
        b"bytes=0-4",
        b"bytes=0-",
        b"bytes=-2",
        b"bytes=9-1",
        b"bytes=5-",
        b"bytes=0-0,2-3",
        b"bytes=-0",
    ),
    *(
        b"bytes=99999999999999999999-",
        b"items=0-1",
        b"bytes=\xd9\xa3-",
        b"bytes",
        b"",
        b"bytes=--1",
    ),
)
_HEADERS: Final[Mapping[str, Sequence[bytes]]] = {
    "If-Match": _TAGS,
    "If-None-Match": _TAGS,
    "If-Modified-Since": _DATES,
    "If-Unmodified-Since": _DATES,
    "ocp-date": _DATES,
    "ocp-range": _RANGES,
    "Range": _RANGES,
    "client-request-id": _WORDS,
    "return-client-request-id": (b"true", b"TRUE", b"1", b"\xff", b""),
    "Accept": (b"text/html", b"*/*", b"application/xml;q=0", *_WORDS),
    "Accept-Language": _WORDS,
    "Accept-Encoding": (b"gzip", b"br;q=\xff", b"identity;q=0", *_WORDS),
    "Content-Type": (
        b"application/json",
        b"text/plain; charset=utf-16",
        b"multipart/form-data",
        *_WORDS,
    ),
    "Content-Encoding": (
        b"gzip",
        b"deflate",
        b"br",
        b"zstd",
        b"identity",
        b"gzip, gzip",
        b"x",
        b"",
    ),
    "Content-MD5": _WORDS,
    "Content-Language": _WORDS,
    "Content-Length": (
        b"-1",
        b"+5",
        b"5, 5",
        b"0x5",
        b"\xd9\xa3",
        b"1e3",
        b"99999999999999999999",
        b"",
        b"_1",
    ),
    "Transfer-Encoding": (b"gzip, chunked", b"chunked, chunked", b"identity", b"Chunked", b"x"),
    "Expect": (b"200-ok", b"", b"\xff"),
    "Connection": (b"close", b"keep-alive", b"upgrade", b"\xff"),
    "Upgrade": (b"websocket", b"h2c", b"TLS/1.0"),
    "Host": (b"", b"a b", b"\xff", b"evil.test/x?y", b"[::1", b"x" * 300),
    "X-Forwarded-Proto": (b"https", b"javascript", b"\xff"),
    "X-HTTP-Method-Override": (b"DELETE",),
    "x-ms-client-request-id": _WORDS,
    "x-ms-correlation-request-id": _WORDS,
    "Sec-WebSocket-Key": (b"AAAAAAAAAAAAAAAAAAAAAA==", b"x"),
    "Sec-WebSocket-Version": (b"13", b"99", b"\xff"),
    "Cookie": _WORDS,
}
BREAKING: Final = frozenset(
    {"Content-Length", "Transfer-Encoding", "Host", "Upgrade", "Content-Encoding"}
)
"""With one of these the server may rightly wait for more, or see no request at all."""


def odd_headers() -> st.SearchStrategy[list[Header]]:
    """Return up to three headers."""

    def one(name: str) -> st.SearchStrategy[Header]:
        return st.sampled_from(_HEADERS[name]).map(lambda value: (name, value))

    return st.lists(st.sampled_from(sorted(_HEADERS)).flatmap(one), min_size=1, max_size=3)
