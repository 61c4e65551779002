"""What differs between the recorded answer and ours: names, forms, and values where they matter.

A value is compared as it is unless it has a form of its own that no two services share: times,
version tags, request ids. URLs are compared without their host.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.conformance.conftest import Answer
from tests.replay.recorded import Document, Recorded


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the answers differ; `place` is such as `body/value/state` or `header/etag`."""

    place: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.place}: {self.expected} -> {self.found}"


ABSENT: Final = "(absent)"
_FRAMING: Final = frozenset({"transfer-encoding", "content-length"})
"""How the end of a body is told is the server's affair. A HEAD tells the length of a file."""
_UNRECORDED: Final = frozenset(
    {"date", "server", "strict-transport-security", "x-content-type-options"}
)
"""The service sends them with every answer; they were taken out of the recordings."""
_FORMS: Final = {
    "time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?Z"),
    "version tag": re.compile(r"0x[0-9A-F]{15,16}"),
    "request id": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE),
    "date": re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"),
    "directory of logs": re.compile(r"[^/]+/[^/]+/[^/]+/[0-9a-f-]{36}"),
    "file mode": re.compile(r"0o10[0-7]{4}"),
}
_EXPLANATION: Final = re.compile(r"(body|/error)/values\[\]/value\Z")
"""What was wrong with which value, in words of one's own."""
_KEYS: Final = ("id", "taskId", "poolId", "thumbprint", "key", "name")
_OFFERED: Final = ("list_supported_images", "list_node_agent_skus")
"""Lists of what a service happens to offer: any element may stand for any other."""


def compare(recorded: Recorded, answer: Answer) -> list[Difference]:
    """Return every difference of an answer, none where it agrees; of different statuses only that.

    A status goes with the code of the error, if it is one.
    """
    status = f"{recorded.status} {recorded.code}".strip()
    our_code = answer.code if answer.status >= 400 and answer.body else ""
    our_status = f"{answer.status} {our_code}".strip()
    if status != our_status:
        return [Difference("status", status, our_status)]
    found = [*_compare_value("reason", recorded.reason, answer.reason)]
    headers = {name.lower(): value for name, value in answer.headers.items()}
    found += _compare_headers(recorded, headers)
    if recorded.document:
        ours = answer.json if answer.body else {}
        theirs = recorded.document
        if recorded.name in _OFFERED:
            theirs, ours = _merged(theirs), _merged(ours)
        found += _compare_document("body", theirs, ours)
    elif not recorded.text.strip() and answer.body.strip():
        found.append(Difference("body", ABSENT, repr(answer.body[:80])))
    return found


def _compare_headers(recorded: Recorded, ours: Mapping[str, str]) -> Iterator[Difference]:
    theirs = recorded.answer_headers
    dropped = _FRAMING | _UNRECORDED
    if recorded.method == "HEAD" and "ocp-batch-file-mode" in theirs:
        dropped -= {"content-length"}
    for name in sorted((theirs.keys() | ours.keys()) - dropped):
        place = f"header/{name}"
        if name not in ours:
            yield Difference(place, theirs[name], ABSENT)
        elif name not in theirs:
            yield Difference(place, ABSENT, ours[name])
        else:
            yield from _compare_value(place, theirs[name], ours[name])


def _compare_document(place: str, theirs: Document, ours: Document) -> Iterator[Difference]:
    for name in dict.fromkeys([*theirs, *ours]):
        inner = f"{place}/{name}"
        if name not in ours:
            yield Difference(inner, _short(theirs[name]), ABSENT)
        elif name not in theirs:
            yield Difference(inner, ABSENT, _short(ours[name]))
        elif not _EXPLANATION.search(inner):
            yield from _compare_value(inner, theirs[name], ours[name])


def _compare_value(place: str, theirs: Any, ours: Any) -> Iterator[Difference]:
    if type(theirs) is dict and type(ours) is dict:
        yield from _compare_document(place, theirs, ours)
    elif type(theirs) is list and type(ours) is list:
        yield from _compare_list(place, theirs, ours)
    elif form(theirs) != form(ours):
        yield Difference(place, form(theirs), form(ours))


def _compare_list(place: str, theirs: list[Any], ours: list[Any]) -> Iterator[Difference]:
    named, ours_named = _by_name(theirs), _by_name(ours)
    for name in dict.fromkeys([*named, *ours_named]):
        if name not in ours_named:
            yield Difference(f"{place}[]", _short(named[name]), ABSENT)
        elif name not in named:
            yield Difference(f"{place}[]", ABSENT, _short(ours_named[name]))
        else:
            yield from _compare_value(f"{place}[]", named[name], ours_named[name])


def _by_name(items: list[Any]) -> dict[Any, Any]:
    """Return the elements by what names them, or by their place: the order of names is free."""
    for key in _KEYS:
        names = [item.get(key) if type(item) is dict else None for item in items]
        if None not in names and len(set(names)) == len(names):
            return dict(zip(names, items, strict=True))
    return dict(enumerate(items))


def form(value: Any) -> str:
    """Return what is compared of a value: its form where it has one, itself otherwise."""
    if type(value) is not str:
        return f"{type(value).__name__} {value}"
    for name, pattern in _FORMS.items():
        if pattern.fullmatch(value):
            return name
    if value.startswith(("http%3A", "https%3A")):
        return f"encoded {form(unquote(value))}"
    if value.startswith(("http://", "https://")):
        parts = urlsplit(value)
        names = sorted(name for name, _ in parse_qsl(parts.query))
        return f"URL {parts.path} {','.join(names)} {parts.fragment}".strip()
    first, _, rest = value.partition("\nRequestId:")
    return f"{first!r} and request" if rest else repr(value)


def _merged(document: Any) -> Any:
    """Return a list as one element that has what any of them has, values by their type alone."""
    if type(document) is list:
        merged: Document = {}
        for item in document:
            if type(item) is not dict:
                return [type(item).__name__]
            for name, value in item.items():
                merged.setdefault(name, value)
        return [_merged(merged)]
    if type(document) is dict:
        return {
            name: value if name == "odata.metadata" else _merged(value)
            for name, value in document.items()
        }
    shape = form(document)
    return shape if shape in _FORMS else type(document).__name__


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:60] + "..."
