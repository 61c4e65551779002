"""Command lines are split as a POSIX shell would, and nothing in them is expanded."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_agent.core.commandline import CommandRefused, split


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("/bin/true", ["/bin/true"]),
        ("  a  b\tc\n", ["a", "b", "c"]),
        ("/bin/sh -c 'echo $X && ls *'", ["/bin/sh", "-c", "echo $X && ls *"]),
        ('a "b c" d\\ e ""', ["a", "b c", "d e", ""]),
        ("echo $HOME > x # y", ["echo", "$HOME", ">", "x", "#", "y"]),
        ("äö ü", ["äö", "ü"]),
    ],
)
def test_words_and_quotes(text: str, arguments: list[str]) -> None:
    assert split(text) == arguments


@pytest.mark.parametrize("text", ["", "  ", "'", 'a "b', "a\\", "''", "a\0b"])
def test_what_is_no_command_is_refused(text: str) -> None:
    with pytest.raises(CommandRefused):
        split(text)


@given(st.text(max_size=30))
def test_the_short_way_is_the_lexers(text: str) -> None:
    try:
        expected = shlex.split(text)
    except ValueError:
        expected = []
    if "\0" in text or not expected or not expected[0]:
        with pytest.raises(CommandRefused):
            split(text)
    else:
        assert split(text) == expected
