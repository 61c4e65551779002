"""One recorded interaction, read: which operation it is, what was asked and what came back."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shoal_controller.api.routes import ROUTES
from shoal_controller.api.routing import Router
from tests.recordings import recordings

Document = dict[str, Any]

_ROUTER = Router(ROUTES)


@dataclass(frozen=True)
class Recorded:
    """What was asked in which api-version, and the answer. Names of headers are in lower case."""

    name: str
    arguments: Mapping[str, str]
    version: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    request: str
    status: int
    reason: str
    answer_headers: Mapping[str, str]
    text: str

    @cached_property
    def asked(self) -> Document:
        """The body of the request; empty without one."""
        return json.loads(self.request) if self.request else {}

    @cached_property
    def document(self) -> Document:
        """The body of the answer; empty where it is none, or no JSON."""
        try:
            found = json.loads(self.text.lstrip("\ufeff"))
        except ValueError:
            return {}
        return found if type(found) is dict else {}

    @property
    def items(self) -> list[Document]:
        """The elements of a list, or the one entity."""
        return self.document.get("value", [self.document])

    @property
    def code(self) -> str:
        """The code of an error; empty for what succeeded."""
        return self.document["code"] if self.status >= 400 else ""


def load() -> list[Recorded]:
    """Return all recorded interactions."""
    return [_read(row) for row in recordings()]


def _read(row: Mapping[str, Any]) -> Recorded:
    route, arguments = _ROUTER.find(row["method"], row["path"])
    return Recorded(
        route.name,
        arguments,
        row["api"],
        row["method"],
        row["path"],
        row["query"],
        {name.lower(): values[0] for name, values in row["reqh"].items()},
        _unquoted(row["req"] or ""),
        row["status"],
        row["reason"],
        {name.lower(): values[0] for name, values in row["resph"].items()},
        row["body"] or "",
    )


def _unquoted(text: str) -> str:
    """Return a body without the quotes of Python's bytes, of which some were given several."""
    while text.startswith("b'"):
        text = ast.literal_eval(text).decode()
    return text
