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


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("echo 'a", "the quote ' at position 6 of the command line is never closed"),
        ("echo 'a' \"it's", 'the quote " at position 10 of the command line is never closed'),
        ("echo \"a\\\" 'b'", 'the quote " at position 6 of the command line is never closed'),
        ("echo \\' 'a\\' '", "the quote ' at position 14 of the command line is never closed"),
        ('a "b\\', 'the quote " at position 3 of the command line is never closed'),
        ("a b\\", "the command line ends in a backslash that has nothing behind it"),
    ],
)
def test_what_is_left_open_is_named_with_its_position(text: str, reason: str) -> None:
    with pytest.raises(CommandRefused) as caught:
        split(text)
    assert str(caught.value) == reason


@given(st.text("ab'\"\\ ", max_size=20))
def test_a_quote_that_is_left_open_is_where_the_text_can_be_cut(text: str) -> None:
    try:
        shlex.split(text)
    except ValueError:
        with pytest.raises(CommandRefused) as caught:
            split(text)
        reason = str(caught.value)
        if "backslash" in reason:
            shlex.split(text[:-1])
        else:
            shlex.split(text[: int(reason.split()[5]) - 1])


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
