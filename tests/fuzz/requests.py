"""Requests for every row of the tables of operations: right ones, and ones spoiled anywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from hypothesis import strategies as st

from shoal_controller.api.call import http_date
from shoal_controller.api.management import routes as management
from shoal_controller.api.ownroutes import OWN_ROUTES
from shoal_controller.api.routes import ROUTES
from shoal_controller.api.routing import Route
from shoal_controller.api.versions import VERSIONS
from shoal_controller.links.listener import JOIN_PATH, LINK_PATH
from shoal_protocol.sharedkey import SignedParts, sign
from tests.conformance.conftest import ACCOUNT
from tests.fuzz.documents import body_of, has_body
from tests.fuzz.headers import BREAKING, odd_headers
from tests.fuzz.mutations import bodies, broken, encode, spoiled
from tests.fuzz.targets import options_of, paths, queries
from tests.fuzz.wire import Header, message

LINKS: Final = (Route("join", "POST", JOIN_PATH), Route("link", "GET", LINK_PATH))
OURS: Final = (*OWN_ROUTES, *LINKS)
ALL: Final = (*ROUTES, *OURS, *management.ROUTES)
"""Every row there is, but those of the administrator's socket."""
METHODS: Final = (
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "get",
    "BREW",
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request before it is signed.

    route    that it was made for; it may reach another one, or none
    path     as it stands in the request line
    caller   how it shows who is calling, a key of CALLERS
    how      it goes over the wire, a key of WAYS
    """

    route: Route
    method: str
    path: str
    query: str = ""
    headers: tuple[Header, ...] = ()
    body: bytes = b""
    caller: str = "good"
    how: str = "plain"
    flips: tuple[tuple[int, bytes], ...] = field(default=())

    @property
    def is_whole(self) -> bool:
        """Whether the server has all it needs for an answer."""
        return self.how in ("plain", "chunked", "expect", "absolute", "old")

    def __repr__(self) -> str:
        shown = [self.route.name, self.method, self.path, self.query, self.headers, self.body]
        shown += [self.caller, self.how, *self.flips]
        return f"Request({', '.join(map(repr, shown))})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # so that the row does not show all that it holds

    def wire(self, keys: Sequence[bytes], now: datetime) -> bytes:
        """Return it as it goes over the wire.

        keys  of the account, one of which signs
        """
        target = f"{self.path}?{self.query}" if self.query else self.path
        headers: list[Header] = [("Host", b"batch.test:1"), *self.headers]
        names = {name.lower() for name, _ in headers}
        if "ocp-date" not in names:
            date = now - timedelta(minutes=16 if self.caller == "late" else 0)
            headers.append(("ocp-date", http_date(date).encode()))
        body = self.body
        if self.how in ("chunked", "both"):
            headers.append(("Transfer-Encoding", b"chunked"))
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        if self.how != "chunked" and (body or self.method not in ("GET", "HEAD")):
            length = len(body) + {"longer": -2, "shorter": 5}.get(self.how, 0)
            headers.append(("Content-Length", b"%d" % length))
        if self.how == "expect":
            headers.append(("Expect", b"100-continue"))
        if self.caller != "nobody" and self.route not in LINKS:
            headers.append(("Authorization", self._authorization(headers, keys)))
        raw = target.encode("utf-8", "surrogateescape")
        if self.how == "absolute":
            raw = b"http://elsewhere.test:5" + raw
        sent = message(self.method, raw, headers, body)
        if self.how == "old":
            sent = sent.replace(b"HTTP/1.1", b"HTTP/1.0", 1)
        if self.how == "lines":
            sent = sent.replace(b"\r\n", b"\n")
        for at, piece in self.flips if self.how == "flipped" else ():
            place = at % max(1, len(sent) - len(body))
            sent = sent[:place] + piece + sent[place + 1 :]
        return sent

    def _authorization(self, headers: Sequence[Header], keys: Sequence[bytes]) -> bytes:
        if self.caller in _BAD_CALLERS:
            return _BAD_CALLERS[self.caller]
        lower: dict[str, str] = {}
        for name, value in headers:
            lower.setdefault(name.lower(), value.decode("utf-8", "surrogateescape").strip(" \t"))
        path = "/elsewhere" if self.caller == "other" else self.path
        key = b"wrong" if self.caller == "wrong key" else keys[0]
        parts = SignedParts(self.method, path, self.query.partition("#")[0], lower)
        return sign(key, ACCOUNT, parts).encode("utf-8", "surrogateescape")


_BAD_CALLERS: Final[Mapping[str, bytes]] = {
    "empty": b"",
    "scheme": b"Negotiate AAAA",
    "no account": b"SharedKey",
    "no signature": b"SharedKey testaccount:",
    "no base64": b"SharedKey testaccount:=\xff=",
    "unknown": b"SharedKey nobody:AAAA",
    "bearer": b"Bearer a.b.c",
    "task": b"Bearer shoal-task.testaccount.1.1.AAAA",
    "jwt": b"Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.",
    "long": b"Bearer " + b"A" * 12_000,
    "bytes": b"SharedKey \xff\xfe:\xc3\x28",
}
CALLERS: Final = ("nobody", "late", "other", "wrong key", *_BAD_CALLERS)
WAYS: Final = (
    *("chunked", "expect", "absolute", "old", "both", "longer", "shorter", "lines", "flipped"),
)

_ODD_VERSIONS: Final = ("", "x", "2031-01-01.1.0", "2016-02-01", "\0", "9" * 300, "2024-02-01 ")
_PIECES: Final = (b"", b"\0", b"\r\n", b" ", b":", b"\xff", b"0", b"[", b"\r", b"\n", b"\t", b"%")
_FLIPS: Final = st.lists(
    st.tuples(st.integers(0, 2000), st.sampled_from(_PIECES)), min_size=1, max_size=3
)
_MUTATIONS: Final = st.sampled_from((1, 1, 1, 1, 2, 3))


class Part(StrEnum):
    """What of a request is spoiled; mostly one thing, so that the others do not hide it."""

    NOTHING = "nothing"
    BODY = "body"
    BYTES = "bytes"
    QUERY = "query"
    HEADERS = "headers"
    PATH = "path"
    VERSION = "version"
    METHOD = "method"
    CALLER = "caller"
    TRANSPORT = "transport"
    ALL = "all"


_PARTS: Final = (
    *[Part.NOTHING] * 4,
    *[Part.BODY] * 14,
    *[Part.QUERY] * 4,
    *[Part.HEADERS] * 3,
    *[Part.PATH] * 2,
    *(Part.BYTES, Part.VERSION, Part.METHOD, Part.CALLER, Part.TRANSPORT, Part.ALL),
)


def _fitting(part: Part, routes: Sequence[Route]) -> Sequence[Route]:
    """Return the rows where spoiling that part says most."""
    fits: Callable[[Route], bool] = {
        Part.BODY: lambda route: has_body(route.name),
        Part.BYTES: lambda route: has_body(route.name),
        Part.QUERY: lambda route: bool(options_of(route)),
        Part.HEADERS: lambda route: bool(route.conditional),
    }.get(part, lambda _: True)
    fitting = [route for route in routes if fits(route)]
    return [*fitting, *fitting, *fitting, *routes]


@st.composite
def requests(
    draw: st.DrawFn, arguments: Mapping[str, str], routes: Sequence[Route] = ALL
) -> Request:
    """Return a request for one of the rows."""
    part = draw(st.sampled_from(_PARTS))
    route = draw(st.sampled_from(_fitting(part, routes)))
    known = management.VERSIONS if route in management.ROUTES else tuple(VERSIONS)
    there = [version for version in known if route.is_in(version)] or known
    version = draw(st.sampled_from(there))
    document: Any = draw(body_of(route.name, version))
    if part is Part.VERSION:
        version = draw(st.sampled_from((*known, *known, *_ODD_VERSIONS)))
    if part in (Part.BODY, Part.ALL):
        document = {} if document is None else document
        for _ in range(draw(_MUTATIONS)):
            document = draw(spoiled(document))
    body, headers = b"" if document is None else encode(document), list[Header]()
    if part in (Part.BYTES, Part.ALL):
        body = draw(broken(document)) if draw(st.booleans()) else body
        body, headers = draw(bodies(body))
    if part in (Part.HEADERS, Part.ALL):
        headers += draw(odd_headers())
    if body and not any(name == "Content-Type" for name, _ in headers):
        headers.append(("Content-Type", b"application/json; odata=minimalmetadata"))
    how = draw(st.sampled_from(WAYS)) if part in (Part.TRANSPORT, Part.ALL) else "plain"
    if any(name in BREAKING for name, _ in headers):
        how = "unsound"
    method = draw(st.sampled_from(METHODS)) if part in (Part.METHOD, Part.ALL) else route.method
    caller = draw(st.sampled_from(CALLERS)) if part in (Part.CALLER, Part.ALL) else "good"
    return Request(
        route,
        method,
        draw(paths(route, arguments, is_odd=part in (Part.PATH, Part.ALL))),
        draw(queries(route, version, is_odd=part in (Part.QUERY, Part.ALL))),
        tuple(headers),
        body,
        caller,
        how,
        tuple(draw(_FLIPS)) if how == "flipped" else (),
    )
