"""The page about the command line tells of commands and options that exist, and of all of them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from shoal_cli.main import cli

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
LINES = [
    line
    for block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("shoal ")
]


def command_of(line: str) -> tuple[str, click.Command, list[str]]:
    """Return a line's command by name, the command, and the words left for it."""
    words = shlex.split(line, comments=True)[1:]
    words = words[: words.index("|")] if "|" in words else words
    command: click.Command = cli
    names: list[str] = []
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, line
        command, _ = found, names.append(words.pop(0))
    return " ".join(names), command, words


@pytest.mark.parametrize("line", [line for line in LINES if not line.startswith("shoal dev")])
def test_every_example_is_taken_as_written(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(click.File, "convert", lambda *given: given[1])  # files need not exist
    name, command, words = command_of(line)
    command.make_context(name, words)


def test_every_command_has_an_example() -> None:
    def leaves(command: click.Command, name: str) -> set[str]:
        if not isinstance(command, click.Group):
            return {name}
        ctx = click.Context(command)
        found = {n: command.get_command(ctx, n) for n in command.list_commands(ctx)}
        return {
            leaf
            for n, child in found.items()
            if child is not None
            for leaf in leaves(child, f"{name} {n}".strip())
        }

    told = {command_of(line)[0] for line in LINES}
    assert leaves(cli, "") - told == {"completion"}, "it stands inside an eval"
