"""$filter text to a tree.

Grammar (wire.md 5.1): comparisons `property op literal`, `startswith(property, 'text')`, joined by
`and` and `or` (`and` binds stronger), with parentheses and `not`. Literals: 'text' with '' for a
quote, DateTime'...' or DateTimeOffset'...', integers, true, false.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from shoal_controller.core.errors import Refused

TEXT_CHARACTERS_MAX: Final = 8192
DEPTH_MAX: Final = 16
"""Of parentheses and `not`; chains of `and` and `or` are flat. SQLite has its limits too."""

Literal = str | int | bool | datetime

OPERATORS: Final = ("eq", "ne", "gt", "ge", "lt", "le")

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<date>datetime(?:offset)?'[^']*')|(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:/[A-Za-z_][A-Za-z0-9_]*)*)|(?P<sign>[(),]))",
    re.IGNORECASE,
)
_DATE: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,7}))?)?)?(Z|[+-]\d\d:\d\d)?\Z",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Compare:
    """`path op value`; `at` is where the path stands in the text."""

    path: str
    operator: str
    value: Literal
    at: int


@dataclass(frozen=True, slots=True)
class StartsWith:
    """`startswith(path, 'prefix')`; `at` as in Compare."""

    path: str
    prefix: str
    at: int


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold; there are two at least."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One part holds at least; there are two at least."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The inside does not hold."""

    inside: Filter


Filter = Compare | StartsWith | And | Or | Not


def refusal(reason: str, text: str, **details: str) -> Refused:
    """Return the refusal of a $filter, which is shown; `details` as in Refused."""
    shown = text if len(text) <= 256 else text[:256] + "..."
    return Refused(
        "InvalidQueryParameterValue",
        QueryParameterName="$filter",
        QueryParameterValue=shown,
        **details,
        Reason=reason,
    )


def parse(text: str) -> Filter:
    """Return the tree of a $filter, or raise Refused naming the position of what is wrong."""
    if len(text) > TEXT_CHARACTERS_MAX:
        raise refusal(f"A filter has at most {TEXT_CHARACTERS_MAX} characters.", text)
    return _Parser(text).parse()


def parse_datetime(text: str) -> datetime | None:
    """Return an ISO 8601 date or date and time as UTC, or None when it is none.

    Without a zone it is UTC. Fractions beyond a microsecond are cut off.
    """
    match = _DATE.match(text)
    if match is None:
        return None
    date, minutes, seconds, fraction, zone = match.groups()
    zone = "+00:00" if zone is None or zone in "zZ" else zone
    micros = ((fraction or "") + "000000")[:6]
    try:
        at = datetime.fromisoformat(f"{date}T{minutes or '00:00'}:{seconds or '00'}.{micros}{zone}")
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._scan()
        self._next = 0
        self._depth = 0

    def parse(self) -> Filter:
        tree = self._or()
        if not self._is_done():
            raise self._error("'and', 'or' or the end")
        return tree

    def _scan(self) -> list[_Token]:
        tokens: list[_Token] = []
        at, end = 0, len(self._text.rstrip())
        while at < end:
            match = _TOKEN.match(self._text, at)
            if match is None or match.lastgroup is None:
                at += len(self._text[at:]) - len(self._text[at:].lstrip())
                shown = self._text[at : at + 20]
                raise refusal(f"At position {at + 1}: cannot read {shown!r}.", self._text)
            kind = match.lastgroup
            tokens.append(_Token(kind, match[kind], match.start(kind)))
            at = match.end()
        return tokens

    def _is_done(self) -> bool:
        return self._next >= len(self._tokens)

    def _peek(self, *words: str) -> bool:
        if self._is_done():
            return False
        token = self._tokens[self._next]
        return token.kind in ("name", "sign") and token.text.lower() in words

    def _take(self, kind: str, expected: str) -> _Token:
        if self._is_done() or self._tokens[self._next].kind != kind:
            raise self._error(expected)
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _sign(self, sign: str) -> None:
        if not self._peek(sign):
            raise self._error(f"'{sign}'")
        self._next += 1

    def _error(self, expected: str) -> Refused:
        if self._is_done():
            return refusal(f"At the end: {expected} is expected.", self._text)
        token = self._tokens[self._next]
        return refusal(
            f"At position {token.at + 1}: {expected} is expected, found {token.text[:64]!r}.",
            self._text,
        )

    def _or(self) -> Filter:
        parts = [self._and()]
        while self._peek("or"):
            self._next += 1
            parts.append(self._and())
        return Or(tuple(parts)) if len(parts) > 1 else parts[0]

    def _and(self) -> Filter:
        parts = [self._term()]
        while self._peek("and"):
            self._next += 1
            parts.append(self._term())
        return And(tuple(parts)) if len(parts) > 1 else parts[0]

    def _term(self) -> Filter:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise refusal(f"A filter is at most {DEPTH_MAX} parentheses deep.", self._text)
        try:
            return self._term_inside()
        finally:
            self._depth -= 1

    def _term_inside(self) -> Filter:
        if self._peek("("):
            self._next += 1
            tree = self._or()
            self._sign(")")
            return tree
        if self._peek("not"):
            self._next += 1
            return Not(self._term())
        name = self._take("name", "a property")
        if name.text.lower() == "startswith" and self._peek("("):
            return self._startswith()
        operator = self._take("name", "an operator (eq, ne, gt, ge, lt, le)")
        if operator.text.lower() not in OPERATORS:
            self._next -= 1
            raise self._error("an operator (eq, ne, gt, ge, lt, le)")
        return Compare(name.text, operator.text.lower(), self._literal(), name.at)

    def _startswith(self) -> StartsWith:
        self._sign("(")
        path = self._take("name", "a property")
        self._sign(",")
        prefix = self._take("text", "a text in quotes")
        self._sign(")")
        return StartsWith(path.text, _unquote(prefix.text), path.at)

    def _literal(self) -> Literal:
        if self._is_done():
            raise self._error("a value")
        token = self._tokens[self._next]
        self._next += 1
        match token.kind:
            case "text":
                return _unquote(token.text)
            case "number" if len(token.text) <= 18:
                return int(token.text)
            case "date":
                at = parse_datetime(token.text[token.text.index("'") + 1 : -1])
                if at is not None:
                    return at
            case "name" if token.text.lower() in ("true", "false"):
                return token.text.lower() == "true"
            case _:
                pass
        self._next -= 1
        raise self._error("a value ('text', DateTime'2026-01-31T00:00:00Z', a number, true, false)")


def _unquote(text: str) -> str:
    return text[1:-1].replace("''", "'")
