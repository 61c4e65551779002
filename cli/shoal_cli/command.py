"""What every command shares: one signed client, one way to fail, confirmations.

A command is an async function `f(session, **params)` that returns None or an exit code. Modules
that cost start-up time (aiohttp, rich) are imported when a command runs, not when help is shown.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shoal_cli.faults import EXIT_BUG, Fault, NobodyReads
from shoal_cli.options import (
    COMMON,
    connection_options,
    output_options,
    quiet_option,
    socket_option,
)

if TYPE_CHECKING:
    from shoal_cli.client import Client
    from shoal_cli.render import Output

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
        # The event loop keeps Ctrl-C for itself, but cannot act while we wait for the answer.
        kept = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            agreed = click.confirm(question, err=True)
        finally:
            signal.signal(signal.SIGINT, kept)
        if not agreed:
            raise Fault("it was not confirmed; nothing was done")


# --- running --------------------------------------------------------------------------------------


def api_command(
    group: click.Group | None,
    name: str,
    *,
    doing: str,
    patience_s: float = 1.5,
    has_answer: bool = True,
    is_admin: bool = False,
    **attributes: Any,
) -> Callable[[Callable[..., Awaitable[int | None]]], click.Command]:
    """Make an async function a command: of `group`, or one that stands alone.

    doing       what is being done, for errors: "create pool '{pool}'", filled from the parameters
    patience_s  see Client
    has_answer  False: what it prints is not ours to format
    is_admin    by the controller's own socket where one is known
    """

    def register(function: Callable[..., Awaitable[int | None]]) -> click.Command:
        @functools.wraps(function)
        def run(**params: Any) -> int:
            ctx = click.get_current_context()
            return _run(ctx, function, doing, patience_s, params)

        decorated = connection_options((output_options if has_answer else quiet_option)(run))
        decorated = socket_option(decorated) if is_admin else decorated
        make = click.command if group is None else group.command
        command = make(name, **attributes)(decorated)
        command.params.sort(key=lambda parameter: parameter.name in COMMON)
        return command

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
    if "socket" in params:
        options["socket"] = params.pop("socket") or ""
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
    from shoal_cli.settings import Options, load, load_admin

    gather = load_admin if "socket" in options else load
    settings = gather(Options(**options), os.environ, Path.cwd())
    out = Output(params.pop("format_", "table"), params.pop("header", False), params.pop("quiet"))
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
        elif isinstance(error, BrokenPipeError):
            raise NobodyReads from error
        elif isinstance(error, OSError):
            fault = Fault(": ".join(str(p) for p in (error.filename, error.strerror or error) if p))
            fault.what = self._what
            raise fault from error
        elif isinstance(error, Exception) and not isinstance(
            error, click.ClickException | click.exceptions.Exit | click.Abort | NobodyReads
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
