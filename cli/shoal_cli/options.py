"""Options and kinds of parameters that several commands share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from shoal_cli.text import ELLIPSIS, iso_duration

F = TypeVar("F", bound=Callable[..., Any])


class Id(click.ParamType):
    """An id of a resource: what may stand in a path. Jobs of schedules have a colon."""

    name = "id"
    _form = re.compile(r"[A-Za-z0-9_:-]{1,128}\Z")

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Return the id, or fail as a usage error."""
        if not self._form.match(value):
            self.fail(f"'{value}' is not an id: use letters, digits, '-' and '_'", param, ctx)
        return value


class NodeId(Id):
    """A node's id, or its beginning as tables show it."""

    name = "node"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Return the id or its beginning, or fail as a usage error."""
        return super().convert(value.rstrip(f"{ELLIPSIS}."), param, ctx)


class Version(Id):
    """The version of an application."""

    name = "version"
    _form = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Return the version, or fail as a usage error."""
        if not self._form.match(value) or not value.strip("."):
            self.fail(
                f"'{value}' is not a version: use letters, digits, '-', '_' and '.'", param, ctx
            )
        return value


class Duration(click.ParamType):
    """A length of time: `90`, `15m`, `1h30m`, `PT90S`; gives the API's form."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Return the ISO 8601 form, or fail as a usage error."""
        found = iso_duration(value)
        if found is None:
            self.fail(f"'{value}' is not a length of time: 90, 15m, 1h30m, PT90S", param, ctx)
        return found


class Pair(click.ParamType):
    """NAME=VALUE; with `from_environment` also NAME alone, whose value is taken from here."""

    name = "name=value"

    def __init__(self, *, from_environment: bool = False) -> None:
        self._from_environment = from_environment

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, str]:
        """Return the API's `{name, value}`, or fail as a usage error."""
        if isinstance(value, dict):
            return value
        name, equals, text = value.partition("=")
        if not equals and self._from_environment:
            if name not in os.environ:
                self.fail(f"'{name}' is not set here; write {name}=VALUE", param, ctx)
            text, equals = os.environ[name], "="
        if not name or not equals:
            self.fail(f"'{value}' is not NAME=VALUE", param, ctx)
        return {"name": name, "value": text}


class Count(click.ParamType):
    """A whole number, at least `least`."""

    name = "n"

    def __init__(self, least: int) -> None:
        self._least = least

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return the number, or fail as a usage error."""
        try:
            number = int(value)
        except ValueError:
            number = self._least - 1
        if number < self._least:
            self.fail(f"'{value}' is not a whole number from {self._least} up", param, ctx)
        return number


VERSION = Version()
ID, NODE_ID, DURATION, PAIR, ENV = Id(), NodeId(), Duration(), Pair(), Pair(from_environment=True)

# --- options --------------------------------------------------------------------------------------


def _stack(*options: Callable[[F], F]) -> Callable[[F], F]:
    def apply(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return apply


connection_options = _stack(
    click.option("--endpoint", metavar="URL", help="The service's address."),
    click.option("--account", metavar="NAME", help="The account."),
    click.option("--key-file", metavar="FILE", help="A file that holds the account's key."),
    click.option("--debug", is_flag=True, help="Show the traceback of a failure."),
)
output_options = _stack(
    click.option(
        "-o", "--output", "format_", type=click.Choice(["table", "json", "tsv"]), default="table",
        help="How to write the answer.",
    ),
    click.option("--header", is_flag=True, help="tsv: begin with a line of names."),
    click.option("-q", "--quiet", is_flag=True, help="Only ids, no notes."),
)  # fmt: skip
socket_option = click.option(
    "--socket", metavar="FILE",
    help="On the controller's machine: admin.sock in its data folder.",
)  # fmt: skip
quiet_option = click.option("-q", "--quiet", is_flag=True, help="No notes.")
COMMON = frozenset(
    {"endpoint", "account", "key_file", "debug", "socket", "format_", "header", "quiet"}
)
"""Parameters that every command has; help shows a command's own first."""
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
wait_option = click.option("--wait", is_flag=True, help="Return when it is done.")
limit_option = click.option("--limit", type=Count(1), help="At most N; all without it.")
filter_option = click.option(
    "--filter", "filter_", metavar="ODATA", help="Which ones: an OData $filter."
)


def body_option(noun: str) -> Callable[[F], F]:
    """Return the option for a request body of the caller's own."""
    return click.option(
        "--body", type=click.File("rb"), metavar="FILE",
        help=f"The {noun} as the API's JSON (- reads standard input); options add to it.",
    )  # fmt: skip
