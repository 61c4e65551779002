"""shoal dev: the whole service on this machine. This process becomes it; nothing is interpreted."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click


class _Untouched(click.Command):
    """A command whose arguments, `--help` and `--` included, are another program's affair."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep everything."""
        ctx.params["arguments"] = tuple(args)
        return []


@click.command(cls=_Untouched)
def dev(arguments: tuple[str, ...]) -> NoReturn:
    """Start a whole service on this machine."""
    sys.stdout.flush()
    # -P: a folder the user happens to stand in must not lend its modules to the service.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "shoal_controller.dev", *arguments])
