"""The command `shoal`: finds the command's module, runs it, and turns failures into one block.

Nothing heavy is imported here: `shoal --help` has to appear at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import click

from shoal_cli.faults import EXIT_USAGE, Fault, NobodyReads

COMMANDS: Final = {
    "dev": ("shoal_cli.commands.dev:dev", "Start a whole service on this machine."),
    "run": ("shoal_cli.commands.run:run", "Run one command on a node, as if it ran here."),
    "pool": ("shoal_cli.commands.pool:pool", "Pools: groups of nodes."),
    "node": ("shoal_cli.commands.node:node", "Nodes: where tasks run."),
    "job": ("shoal_cli.commands.job:job", "Jobs: groups of tasks."),
    "schedule": (
        "shoal_cli.commands.schedule:schedule",
        "Job schedules: jobs that are made when they are due.",
    ),
    "task": ("shoal_cli.commands.task:task", "Tasks: commands that run on nodes."),
    "app": ("shoal_cli.commands.app:app", "Applications: programs for nodes."),
    "file": ("shoal_cli.commands.file:file", "Files of tasks and nodes."),
    "account": ("shoal_cli.commands.account:account", "Accounts: their keys and quotas."),
    "images": ("shoal_cli.commands.images:images", "List the images that nodes can have."),
    "completion": ("shoal_cli.commands.completion:completion", "Print completions for a shell."),
}
"""Each command's place and its line in the help, so that help imports none of them."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table: the most useful first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, imported now, or None."""
        if cmd_name not in COMMANDS:
            return None
        from importlib import import_module

        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        return getattr(import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import version

    click.echo(f"shoal {version('shoal')}")
    ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--endpoint", metavar="URL", help="The service's address.")
@click.option("--account", metavar="NAME", help="The account.")
@click.option("--key-file", metavar="FILE", help="A file that holds the account's key.")
@click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version,
    help="Show the version.",
)  # fmt: skip
def cli(**_: Any) -> None:
    """Run commands on pools of nodes: the Azure Batch API on your own machines.

    Which service is asked is told by AZURE_BATCH_ENDPOINT, AZURE_BATCH_ACCOUNT and
    AZURE_BATCH_ACCESS_KEY, or by the file that `shoal dev` leaves in ./.shoal, or by the options.
    """


def main() -> NoReturn:
    """Run the command line of this process and exit with its code.

    0 done, 1 refused or failed, 2 wrong usage or settings, 3 service out of reach, 130 interrupted.
    """
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; failures are told on the error stream."""
    try:
        code = cli.main(list(arguments), prog_name="shoal", standalone_mode=False)
        sys.stdout.flush()
    except Fault as fault:
        _tell(fault)
        return fault.exit_code
    except click.UsageError as error:
        error.show()
        return EXIT_USAGE
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except click.Abort:
        click.echo("shoal: interrupted", err=True)
        return 130
    except (NobodyReads, BrokenPipeError):
        # Python would complain when it flushes at exit, so the stream is pointed at nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # 128 + SIGPIPE
    except Exception as error:
        from shoal_cli.command import bug

        fault = bug("cannot go on", error)
        _tell(fault)
        return fault.exit_code
    return code if isinstance(code, int) else 0


def _tell(fault: Fault) -> None:
    head, _, rest = fault.block().partition("\n")
    head = head if os.environ.get("NO_COLOR") else click.style(head, fg="red")
    click.echo(head + ("\n" + rest if rest else ""), err=True)
