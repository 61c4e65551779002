"""Which files an output file's pattern means (pure).

`*` stands for any characters of one name, `?` for one, `[abc]`, `[a-c]` and `[!abc]` for one of a
set, `**` for any directories. A name that begins with a dot only matches where the dot is written;
brackets escape (`abc[*]`). Source: reference, semantics 6.11.

A tree is matched in one walk, however many `**` a pattern has: the walker carries the set of places
in the pattern that a directory stands for. A name is matched in time proportional to its length
times the pattern's: no pattern can stall the agent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shoal_agent.core.paths import COMPONENT_BYTES_MAX, PATH_BYTES_MAX, PathRefused

PARTS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Token:
    """One place of a name's pattern. star: any characters; else one of `ranges`, or, negated, not
    one of them; no ranges and negated is any character.
    """

    star: bool = False
    ranges: tuple[tuple[str, str], ...] = ()
    negated: bool = False

    def accepts(self, character: str) -> bool:
        """Whether one character fits."""
        return any(low <= character <= high for low, high in self.ranges) != self.negated

    @property
    def literal(self) -> str | None:
        """The one character that fits, if there is only one."""
        if self.star or self.negated or len(self.ranges) != 1:
            return None
        low, high = self.ranges[0]
        return low if low == high else None


_STAR: Final = Token(star=True)
_ANY: Final = Token(negated=True)
Name = tuple[Token, ...] | None
"""The pattern of one component; None is `**`."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern.

    base          components below the node's root where the search begins
    rest          what is matched below that, never empty
    has_wildcard  False: it names one file
    """

    base: tuple[str, ...]
    rest: tuple[Name, ...]
    has_wildcard: bool

    def start(self) -> frozenset[int]:
        """Return the places that the base directory stands for."""
        return self._closure({0})

    def enter(self, places: frozenset[int], name: str) -> frozenset[int]:
        """Return the places that a directory of one stands for; empty: nothing below it matches."""
        reached: set[int] = set()
        for place in places:
            wanted = self.rest[place]
            if wanted is None:
                if not name.startswith("."):
                    reached.add(place)
            elif place + 1 < len(self.rest) and matches(wanted, name):
                reached.add(place + 1)
        return self._closure(reached)

    def takes(self, places: frozenset[int], name: str) -> bool:
        """Whether a file in a directory that stands for `places` is meant."""
        last = len(self.rest) - 1
        wanted = self.rest[last]
        return last in places and wanted is not None and matches(wanted, name)

    def _closure(self, places: set[int]) -> frozenset[int]:
        for place in sorted(places):
            while place < len(self.rest) and self.rest[place] is None:
                place += 1
                places.add(place)
        return frozenset(places)


def parse(text: str, wd: tuple[str, ...], root: str) -> Pattern:
    """Read a pattern whose variables are expanded already.

    wd      components of the working directory below the node's root, where relative ones begin
    raises  PathRefused when it leads out of the root, or names nothing
    """
    if "\0" in text or len(text) > PATH_BYTES_MAX:
        raise PathRefused("not a file pattern")
    if text.startswith("/"):
        if not text.startswith(f"{root}/"):
            raise PathRefused("the pattern lies outside of the node's root directory")
        base: list[str] = []
        text = text[len(root) :]
    else:
        base = list(wd)
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if len(parts) > PARTS_MAX:
        raise PathRefused("the pattern has too many components")
    rest: list[Name] = []
    for part in parts:
        if part == "..":
            if rest or not base:
                raise PathRefused("the pattern leads outside")
            base.pop()
        elif part == "**":
            if not rest or rest[-1] is not None:
                rest.append(None)
        elif not rest and (name := _literal(_tokens(part))) is not None:
            base.append(name)
        else:
            rest.append(_tokens(part))
    if not rest:
        if not parts or parts[-1] == ".." or not base:
            raise PathRefused("the pattern names no file")
        return Pattern(tuple(base[:-1]), (_spelled(base[-1]),), False)
    if rest[-1] is None:
        rest.append((_STAR,))
    has_wildcard = any(name is None or _literal(name) is None for name in rest)
    return Pattern(tuple(base), tuple(rest), has_wildcard)


def matches(tokens: tuple[Token, ...], name: str) -> bool:
    """Whether a name fits the pattern of one component."""
    if name.startswith(".") and (not tokens or tokens[0].literal != "."):
        return False
    at = token = 0
    star_token, star_at = -1, 0
    while at < len(name):
        if token < len(tokens) and tokens[token].star:
            star_token, star_at = token, at
            token += 1
        elif token < len(tokens) and tokens[token].accepts(name[at]):
            at += 1
            token += 1
        elif star_token >= 0:
            star_at += 1
            at, token = star_at, star_token + 1
        else:
            return False
    return all(rest.star for rest in tokens[token:])


def _tokens(part: str) -> tuple[Token, ...]:
    if len(part.encode(errors="replace")) > COMPONENT_BYTES_MAX * 4:
        raise PathRefused("a name in the pattern is too long")
    tokens: list[Token] = []
    at = 0
    while at < len(part):
        character = part[at]
        end = _bracket_end(part, at) if character == "[" else -1
        if end > 0:
            tokens.append(_set(part[at + 1 : end]))
            at = end
        elif character == "*":
            if not tokens or not tokens[-1].star:
                tokens.append(_STAR)
        elif character == "?":
            tokens.append(_ANY)
        else:
            tokens.append(Token(ranges=((character, character),)))
        at += 1
    return tuple(tokens)


def _bracket_end(part: str, at: int) -> int:
    # A bracket right after the opening one, or after the negation, belongs to the set.
    first = at + 2 if part[at + 1 : at + 2] == "!" else at + 1
    return part.find("]", first + 1)


def _set(text: str) -> Token:
    negated = len(text) > 1 and text.startswith("!")
    if negated:
        text = text[1:]
    ranges: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        if at + 2 < len(text) and text[at + 1] == "-":
            ranges.append((text[at], text[at + 2]))
            at += 3
        else:
            ranges.append((text[at], text[at]))
            at += 1
    return Token(ranges=tuple(ranges), negated=negated)


def _literal(tokens: tuple[Token, ...]) -> str | None:
    characters = [token.literal for token in tokens]
    return None if None in characters else "".join(c for c in characters if c is not None)


def _spelled(name: str) -> tuple[Token, ...]:
    return tuple(Token(ranges=((character, character),)) for character in name)
