"""How good documents are spoiled: values, names and bytes."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

from shoal_controller.api.wire.models import STRUCTURES


@dataclass(frozen=True, slots=True)
class Raw:
    """A piece of JSON, or of what is none, as it stands."""

    text: bytes

    def __repr__(self) -> str:
        return f"Raw({self.text[:60]!r}{'...' if len(self.text) > 60 else ''})"


@dataclass(frozen=True, slots=True)
class Pairs:
    """An object some of whose names occur twice."""

    items: tuple[tuple[str, Any], ...]


def nested(depth: int, *, objects: bool = False) -> Raw:
    """Return lists in lists, or objects in objects."""
    if objects:
        return Raw(b'{"a":' * depth + b"1" + b"}" * depth)
    return Raw(b"[" * depth + b"]" * depth)


def encode(value: Any) -> bytes:
    """Return a value as JSON, with what is raw in it left as it is."""
    match value:
        case Raw(text):
            return text
        case Pairs(items):
            return b"{%b}" % b",".join(_text(key) + b":" + encode(held) for key, held in items)
        case dict():
            return b"{%b}" % b",".join(
                _text(key) + b":" + encode(held) for key, held in value.items()
            )
        case list() | tuple():
            return b"[%b]" % b",".join(encode(item) for item in value)
        case str():
            return _text(value)
        case _:
            return json.dumps(value).encode()


def _text(value: str) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()


DEPTHS: Final = (3, 50, 300, 480, 700, 850, *range(900, 1001, 10), 1100, 100_000)

_DURATIONS: Final = (
    *("P", "PT", "P1Y", "-P1D", "P999999999D", "PT999999999H", "PT0.5S", "PT-5S", "1.00:00:00"),
    *("P1W", "PT1H1H", "P١D", "PT5m", "pt5m", "PT5M ", "P0D", "-P0D", "PT0.0000001S", "PT0S"),
    *("P99999999999999999999D", "P10675199DT2H48M5.4775807S", "P1000000D", "PT5M\n", "P1DT"),
    *("P999999999Y", "P999999999M", "P999999999DT999999999H"),
)
_INSTANTS: Final = (
    *("2026-02-30T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.9999999-14:00"),
    *("2026-05-01T25:00:00Z", "2026-05-01T12:00:60Z", "2026-W01-1", "2026-05-01T12:00:00+99:99"),
    *("Fri, 01 May 2026 12:00:00 GMT", "0000-00-00", "2026-05-01T12:00:00z ", "1777636800"),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "٢٠٢٦-05-01T00:00:00Z", "-2026-05-01"),
)
_URLS: Final = (
    *("http://", "http://[::1", "http:///x", "file:///etc/passwd", "http://u:p@h:99999/x", "//h/x"),
    *(
        "https://h/a b",
        "http://h/\0",
        "http://h/" + "x" * 3000,
        "javascript:alert(1)",
        "HTTP://H/?",
    ),
)
_IDS: Final = (
    *("..", ".", "../x", "/etc/passwd", "a/../../b", "..\\..\\x", "%2e%2e%2f", "a/b", "a:b", "a:"),
    *("a b", "a\n", "\na", "a/b/../c", "é" * 70, "x" * 64, "x" * 65, "x" * 300, "ı", "ſ", "K", "İ"),
    *("e\u0301", "a?b", "a#b", "a%00", "'", '"', "'; DROP TABLE tasks; --", "a,b", "-", "_"),
)
_DIGITS: Final = (
    *("null", "true", "TRUE", " true", "9" * 25, "9" * 5000, "-1", "+1", "--1", "1e5", "0x10"),
    *("1_000", "NaN", "²", "٣", "1.0", " 1 ", "1\n", "-0", "00", ""),
)
_TEXTS: Final = (
    *("", " ", "\0", "x\0y", "\x01\x1b[0m\x7f", "\r\nX-Injected: 1", "\u2028", "\ufeff"),
    *("\U0010ffff", "x" * 40_000, "${jndi:x}", "<script>", "{{7*7}}", "%s%n", "\\", "a='"),
    *_DURATIONS[:6],
    *_INSTANTS[:6],
    *_URLS[:6],
    *_IDS,
    *_DIGITS,
)
_NUMBERS: Final = (
    *(0, -1, 1, 2**31 - 1, 2**31, -(2**31) - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1),
    *(2**64, 10**30, 10**400, 0.5, -0.0, 1e300, 5e-324, 1.0),
)
_RAWS: Final = (
    *(
        b"1e999",
        b"-1e999",
        b"1E400",
        b"-0",
        b"1" * 5000,
        b'"\\u0000"',
        b'"\\ud83d\\ude00"',
        b'"\\/"',
    ),
    *(b'{"a":1,"a":2}', b"[" + b"1," * 3000 + b"1]", b'{"name":"a","name":"b","value":null}'),
)
BROKEN: Final = (
    *(b"NaN", b"Infinity", b"-Infinity", b"01", b"1.", b".5", b"-", b"+1", b"undefined", b"nul"),
    *(b'"\\ud800"', b'"\\udfff\\ud800"', b'"\xff\xfe"', b'"\xed\xa0\x80"', b'"\xc0\x80"'),
    *(b'"\x00"', b'"\n"', b'"\\x41"', b"'x'", b"/**/1", b"", b",", b"[1,]", b'{"a":1,}', b"{a:1}"),
)
"""What is no JSON, wherever it stands."""
ODD: Final[st.SearchStrategy[Any]] = st.one_of(
    st.sampled_from(
        (None, True, False, [], {}, [None], [[]], [{}], {"": ""}, {"name": 5}, {"a": {}})
    ),
    st.sampled_from(_TEXTS),
    st.sampled_from(_NUMBERS),
    st.sampled_from(_RAWS).map(Raw),
    st.builds(nested, st.sampled_from(DEPTHS), objects=st.booleans()),
    st.text(max_size=12),
    st.integers(-(2**70), 2**70),
)
"""Values of which hardly any is right anywhere."""
_KINDS: Final = (
    (re.compile(r"-?P[0-9T]"), _DURATIONS),
    (re.compile(r"[0-9]{4}-[0-9]{2}-"), _INSTANTS),
    (re.compile(r"https?://"), _URLS),
    (re.compile(r"[A-Za-z0-9_-]+\Z"), _IDS),
)
"""By what a text looks like, others of the kind that are odd."""
_NAMES: Final = sorted(
    {name for members in STRUCTURES.values() for name in members}
    | {"odata.type", "odata.metadata", "x@odata.y", "", " ", "\0", "__proto__", "é", "x" * 3000}
)
_NEAR: Final[Mapping[str, Callable[[str], str]]] = {
    "case": str.swapcase,
    "title": str.title,
    "plural": lambda name: f"{name}s",
    "cut": lambda name: name[:-1],
    "space": lambda name: f"{name} ",
    "annotated": lambda name: f"{name}@odata.type",
}
Path = tuple[Any, ...]


def _paths(value: Any, path: Path = ()) -> list[Path]:
    """Return the way to every value inside of a document."""
    items: Any = ()
    if type(value) is dict:
        items = value.items()
    elif type(value) in (list, tuple):
        items = enumerate(value)
    return [path, *(found for key, held in items for found in _paths(held, (*path, key)))]


def _at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def _changed(value: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    """Return a document with one value in it changed."""
    if not path:
        return change(value)
    key, rest = path[0], path[1:]
    inner = _changed(value[key], rest, change)
    if type(value) is dict:
        return {name: inner if name == key else held for name, held in value.items()}
    return [inner if at == key else held for at, held in enumerate(value)]


@st.composite
def broken(draw: st.DrawFn, document: Any) -> bytes:
    """Return a document as JSON that is none in one place."""
    piece = Raw(draw(st.sampled_from(BROKEN)))
    return encode(_changed(document, draw(st.sampled_from(_paths(document))), lambda _: piece))


@st.composite
def spoiled(draw: st.DrawFn, document: Any) -> Any:
    """Return a document that is spoiled in one place."""
    path = draw(st.sampled_from(_paths(document)))
    value = _at(document, path)
    ways = ["replace", "replace", "wrap"]
    if type(value) in (str, int, bool):
        ways += ["kin"] * 6
    if type(value) is str:
        ways += ["upper", "pad", "split"]
    if type(value) is dict:
        ways += ["add", "add"]
        ways += ["rename", "drop", "double"] if value else []
    if type(value) in (list, tuple) and value:
        ways += ["repeat"]
    way = draw(st.sampled_from(ways))
    change = _CHANGES.get(way) or draw(_named_change(way, value))
    return _changed(document, path, change)


_CHANGES: Final[Mapping[str, Callable[[Any], Any]]] = {
    "wrap": lambda value: [value],
    "upper": lambda value: value.upper(),
    "pad": lambda value: f" {value}\t",
    "split": lambda value: list(value[:5]),
    "repeat": lambda value: [*value, *value] * 60,
}


def _kin(value: Any) -> st.SearchStrategy[Any]:
    """Return odd values of the kind of a value."""
    if type(value) is str:
        kinds = (odd for looks, odd in _KINDS if looks.match(value))
        return st.sampled_from(next(kinds, _TEXTS))
    return st.sampled_from((*_NUMBERS, *_DIGITS))


def _named_change(way: str, value: Any) -> st.SearchStrategy[Callable[[Any], Any]]:
    if way == "replace":
        return ODD.map(lambda odd: lambda _: odd)
    if way == "kin":
        return _kin(value).map(lambda odd: lambda _: odd)
    if way == "add":
        return st.tuples(st.sampled_from(_NAMES), ODD).map(
            lambda pair: lambda held: held | {pair[0]: pair[1]}
        )
    name = st.sampled_from(sorted(value))
    if way == "drop":
        return name.map(lambda key: lambda held: {k: v for k, v in held.items() if k != key})
    if way == "double":
        return st.tuples(name, ODD).map(
            lambda pair: lambda held: Pairs((*held.items(), (pair[0], pair[1])))
        )
    near = st.sampled_from(sorted(_NEAR)).map(_NEAR.__getitem__)
    return st.tuples(name, near).map(
        lambda pair: lambda held: {pair[1](k) if k == pair[0] else k: v for k, v in held.items()}
    )


@st.composite
def bodies(draw: st.DrawFn, body: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Return a body that is spoiled as bytes, and headers that belong to it."""
    way = draw(st.sampled_from(("gzip", "cut", *_BYTES)))
    if way == "gzip":
        return gzip.compress(body, mtime=0), [("Content-Encoding", b"gzip")]
    if way == "cut":
        return body[: draw(st.integers(0, len(body)))], []
    return _BYTES[way](body), []


_BYTES: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "behind": lambda body: body + b"{}",
    "before": lambda body: b"\xef\xbb\xbf" + body,
    "spaces": lambda body: b" \r\n\t" * 500 + body,
    "utf-16": lambda body: body.decode("utf-8", "replace").encode("utf-16"),
    "invalid": lambda body: body[: len(body) // 2] + b"\xff\x00" + body[len(body) // 2 :],
    "list": lambda body: b"[" + body + b"]",
    "deep": lambda _: nested(100_000).text,
    "deep objects": lambda _: nested(100_000, objects=True).text,
    "none": lambda _: b"",
    "too much": lambda body: body.ljust(1_100_000),
}
