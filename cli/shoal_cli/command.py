"""What every command shares: options, one signed client, one way to fail, confirmations, waiting.

A command is an async function `f(session, **params)` that returns None or an exit code. Modules
that cost start-up time (aiohttp, rich) are imported when a command runs, not when help is shown.
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from shoal_cli.faults import EXIT_BUG, Fault, UsageFault
from shoal_cli.text import iso_duration

if TYPE_CHECKING:
    from shoal_cli.client import Client
    from shoal_cli.render import Output

F = TypeVar("F", bound=Callable[..., Any])
FOLLOW_PATIENCE_S = 120.0
"""How long a command that follows something waits for a service that restarts."""


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with: the service, and where it writes. `yes`: ask nothing."""

    client: Client
    out: Output
    yes: bool = False

    def confirm(self, question: str) -> None:
        """Ask before something is lost; only a person at a terminal is asked."""
        if self.yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return
        click.confirm(question, abort=True, err=True)


# --- kinds of parameters --------------------------------------------------------------------------


class Id(click.ParamType):
    """An id of a resource: what may stand in a path. Jobs of schedules have a colon."""

    name = "id"
    _form = re.compile(r"[A-Za-z0-9_:-]{1,128}\Z")

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Return the id, or fail as a usage error."""
        if not self._form.match(value):
            self.fail(f"'{value}' is not an id: use letters, digits, '-' and '_'", param, ctx)
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


ID, DURATION, PAIR, ENV = Id(), Duration(), Pair(), Pair(from_environment=True)

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
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
wait_option = click.option("--wait", is_flag=True, help="Return when it is done.")
limit_option = click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="At most N; all without it."
)
filter_option = click.option(
    "--filter", "filter_", metavar="ODATA", help="Which ones: an OData $filter."
)


def body_option(noun: str) -> Callable[[F], F]:
    """Return the option for a request body of the caller's own."""
    return click.option(
        "--body", type=click.File("rb"), metavar="FILE",
        help=f"The {noun} as the API's JSON (- reads standard input); options add to it.",
    )  # fmt: skip


# --- running --------------------------------------------------------------------------------------


def api_command(
    group: click.Group | None, name: str, *, doing: str, patience_s: float = 1.5, **attributes: Any
) -> Callable[[Callable[..., Awaitable[int | None]]], click.Command]:
    """Make an async function a command: of `group`, or one that stands alone.

    doing       what is being done, for errors: "create pool '{pool}'", filled from the parameters
    patience_s  see Client
    """

    def register(function: Callable[..., Awaitable[int | None]]) -> click.Command:
        @functools.wraps(function)
        def run(**params: Any) -> int:
            ctx = click.get_current_context()
            return _run(ctx, function, doing, patience_s, params)

        decorated = connection_options(output_options(run))
        make = click.command if group is None else group.command
        return make(name, **attributes)(decorated)

    return register


def _run(
    ctx: click.Context,
    function: Callable[..., Awaitable[int | None]],
    doing: str,
    patience_s: float,
    params: dict[str, Any],
) -> int:
    outer = ctx.find_root().params

    def chosen(name: str) -> Any:
        return params.pop(name) or outer.get(name)

    debug = chosen("debug")
    options = {name: chosen(name) or "" for name in ("endpoint", "account", "key_file")}
    what = "cannot " + doing.format_map(_Named(params))
    try:
        with Naming(what):
            return asyncio.run(_with_session(function, options, patience_s, params)) or 0
    except Exception:
        if debug:
            traceback.print_exc()
        raise


async def _with_session(
    function: Callable[..., Awaitable[int | None]],
    options: dict[str, str],
    patience_s: float,
    params: dict[str, Any],
) -> int | None:
    from shoal_cli.client import Client
    from shoal_cli.render import Output
    from shoal_cli.settings import Options, load

    settings = load(Options(**options), os.environ, Path.cwd())
    out = Output(params.pop("format_"), params.pop("header"), params.pop("quiet"))
    async with Client(settings, patience_s=patience_s) as client:
        return await function(Session(client, out, params.pop("yes", False)), **params)


class Naming:
    """Name what failed in a Fault that passes; turn any other exception into a Fault."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        if isinstance(error, Fault):
            error.what = error.what or self._what
        elif isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            fault = Fault(": ".join(str(p) for p in (error.filename, error.strerror or error) if p))
            fault.what = self._what
            raise fault from error
        elif isinstance(error, Exception) and not isinstance(
            error, click.ClickException | click.exceptions.Exit | click.Abort | BrokenPipeError
        ):
            raise bug(self._what, error) from error


def bug(what: str, error: BaseException) -> Fault:
    """Return the block for a failure that is ours."""
    fault = Fault(
        f"{type(error).__name__}: {error}",
        mend="this is a fault of shoal itself; repeat it with --debug and report what it shows",
    )
    fault.what = what
    fault.exit_code = EXIT_BUG
    return fault


class _Named(dict[str, Any]):
    """Parameters for a message: several ids are joined, a missing one is left out."""

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if isinstance(value, tuple | list):
            return "', '".join(str(v) for v in value)
        return str(value) if value is not None else "?"

    def __missing__(self, name: str) -> str:
        return "?"


# --- waiting, bodies ------------------------------------------------------------------------------


async def poll(
    check: Callable[[], Awaitable[bool]], *, first_s: float = 0.1, most_s: float = 1.0
) -> None:
    """Return when `check` gives True; asks often at first, then every `most_s`."""
    delay = first_s
    while not await check():
        await asyncio.sleep(delay)
        delay = min(delay * 1.5, most_s)


async def wait_gone(client: Client, path: str) -> None:
    """Return when the resource does not exist any more."""

    async def gone() -> bool:
        return not await client.exists(path)

    await poll(gone)


def read_body(file: Any, *, what: str) -> Any:
    """Return the JSON of --body, or `{}` without one; raise UsageFault where it is not JSON."""
    import json

    if file is None:
        return {}
    try:
        return json.loads(file.read())
    except ValueError as err:
        raise UsageFault(
            f"--body is not JSON: {err}", mend=f"give the {what} as the API's JSON"
        ) from err


def put(body: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """Set those properties that were given; None and an empty list of options were not."""
    for name, value in properties.items():
        if value is not None and value != () and value != {}:
            body[name] = list(value) if isinstance(value, tuple) else value
    return body


def odata(filter_: str | None, state: str | None) -> dict[str, str]:
    """Return the query for --filter and --state, both of which must hold."""
    parts: list[str] = []
    if filter_:
        both = state and re.search(r"\bor\b", filter_)
        parts.append(f"({filter_})" if both else filter_)
    if state:
        parts.append("state eq '{}'".format(state.lower().replace("'", "''")))
    return {"$filter": " and ".join(parts)} if parts else {}


def command_line(words: Sequence[str], given: str | None) -> str | None:
    """Return the API's command line from words after `--` or from --command-line.

    The service splits it as a POSIX shell would, so quoting each word gives the same words back.
    """
    import shlex

    if words and given:
        raise UsageFault("the command is given twice: after -- and by --command-line")
    return shlex.join(words) if words else given
