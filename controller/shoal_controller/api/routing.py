"""Rows of operations, and how a request finds its own.

Knows nothing of which operations there are: routes.py is that table.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import unquote

from aiohttp import web

from shoal_controller.core.access import Role
from shoal_controller.core.errors import Refused, invalid_path

Handler = Callable[[Any], Awaitable[web.StreamResponse]]
"""Takes the Call; named there, each would need the other."""


@dataclass(frozen=True, slots=True)
class Route:
    """One operation.

    path         segments in braces are arguments; `{filePath}` takes all that is left
    conditional  4: all four conditional headers count; 2: the two with dates; 0: none
    needs        the least role of a caller; None: reader to look, contributor to change
    """

    name: str
    method: str
    path: str
    handler: Handler | None = None
    since: str = ""
    until: str = "~"
    conditional: Literal[0, 2, 4] = 0
    needs: Role | None = None

    @property
    def role(self) -> Role:
        if self.needs is not None:
            return self.needs
        return Role.READER if self.method in ("GET", "HEAD") else Role.CONTRIBUTOR

    def is_in(self, version: str) -> bool:
        """Return whether an api-version has the operation; dates order as text."""
        return self.since <= version <= self.until


_REST: Final = "{filePath}"
NOT_UTF_8: Final = "its percent-encoding is that of no UTF-8."
_KEYED: Final = re.compile(r"certificates\((.*)\)\Z", re.DOTALL)


@dataclass(slots=True)
class _Branch:
    """What may follow a prefix of a path."""

    children: dict[str, _Branch] = field(default_factory=dict)
    argument: _Branch | None = None
    rest: _Branch | None = None
    methods: dict[str, tuple[Route, tuple[str, ...]]] = field(default_factory=dict)


class Router:
    """Finds the row of a request."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._root = _Branch()
        for route in routes:
            self._add(route)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return the row and its arguments, percent-decoded.

        path    as in the request line, percent-encoded
        raises  Refused: InvalidUri where it can not be decoded, ResourceNotFound, or
                UnsupportedHttpVerb where the path exists for other methods
        """
        branch, values = self._root, list[str]()
        segments = path.removeprefix("/").split("/")
        for position, segment in enumerate(segments):
            keyed = _KEYED.match(segment)
            if keyed and "certificates()" in branch.children:
                branch = branch.children["certificates()"]
                values.append(_decoded(keyed[1]))
            elif segment in branch.children:
                branch = branch.children[segment]
            elif branch.rest is not None:
                branch = branch.rest
                values.append("/".join(map(_decoded, segments[position:])))
                break
            elif branch.argument is not None and segment:
                branch = branch.argument
                values.append(_decoded(segment))
            else:
                wrong = invalid_path("it has an empty part.")
                raise Refused("ResourceNotFound") if segment else wrong
        if not branch.methods:
            raise Refused("ResourceNotFound")
        found = branch.methods.get(method)
        if found is None:
            raise Refused("UnsupportedHttpVerb")
        return found[0], dict(zip(found[1], values, strict=True))

    def _add(self, route: Route) -> None:
        branch, names = self._root, list[str]()
        for segment in route.path.removeprefix("/").split("/"):
            if segment == _REST:
                branch.rest = branch.rest or _Branch()
                branch = branch.rest
                names.append("filePath")
            elif segment.startswith("{"):
                branch.argument = branch.argument or _Branch()
                branch = branch.argument
                names.append(segment[1:-1])
            elif segment.startswith("certificates("):
                branch = branch.children.setdefault("certificates()", _Branch())
                names.append("thumbprint")
            else:
                branch = branch.children.setdefault(segment, _Branch())
        branch.methods[route.method] = (route, tuple(names))


def _decoded(segment: str) -> str:
    if "%" not in segment:
        return segment
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        raise invalid_path(NOT_UTF_8) from None
