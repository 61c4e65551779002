"""shoal completion: what makes the Tab key know the commands."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print completions: `eval "$(shoal completion bash)"` in ~/.bashrc."""
    from click.shell_completion import get_completion_class

    from shoal_cli.main import cli

    found = get_completion_class(shell)
    assert found is not None, "click knows all three"
    click.echo(found(cli, {}, "shoal", "_SHOAL_COMPLETE").source())
