"""What to do about a refusal."""

from __future__ import annotations

import re
from datetime import timedelta

import click
import pytest

from shoal_cli.hints import _HINTS, hint, segments_of
from shoal_cli.main import cli


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/pools", {}),
        ("/pools/nodes", {"pool": "nodes"}),
        ("/pools/p/nodes/n/reboot", {"pool": "p", "node": "n", "target": "--node p/n"}),
        ("/jobs/j/addtaskcollection", {"job": "j"}),
        ("/jobs/jobs/tasks/t/files/x", {"job": "jobs", "task": "t", "target": "jobs/t"}),
        (
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Batch/batchAccounts/b"
            "/applications/a/versions/1",
            {"app": "a"},
        ),
    ],
)
def test_a_path_names_its_resources(path: str, expected: dict[str, str]) -> None:
    assert segments_of(path) == expected


def test_what_is_to_be_created_is_named_too() -> None:
    assert segments_of("/pools", "p") == {"pool": "p"}
    assert segments_of("/jobs/j/tasks", "t") == {"job": "j", "task": "t", "target": "j/t"}
    assert segments_of("/pools/p/resize", None) == {"pool": "p"}


def test_a_hint_is_a_command_with_the_ids_at_hand() -> None:
    text = hint("TaskNotFound", segments={"job": "j"}, sources={})
    assert text == "`shoal task list j` shows the tasks of the job"


def test_a_refused_signature_names_where_the_settings_came_from() -> None:
    text = hint("AuthenticationFailed", segments={}, sources={"key": "the environment"})
    assert text is not None
    assert "key from the environment" in text


def test_a_clock_that_is_off_is_blamed_instead_of_the_key() -> None:
    skew = timedelta(minutes=-42)
    text = hint("AuthenticationFailed", segments={}, sources={}, skew=skew)
    assert text == "set this machine's clock: it is 42 minutes behind the service's"


def test_a_token_that_is_refused_is_what_to_look_at() -> None:
    for code in ("AuthenticationFailed", "InvalidAuthenticationInfo"):
        told = hint(code, segments={}, sources={"token": "the environment"})
        assert told is not None
        assert "the token from the environment" in told


def test_an_unknown_code_has_no_hint() -> None:
    assert hint("Whatever", segments={}, sources={}) is None


@pytest.mark.parametrize("code", sorted(_HINTS))
def test_every_command_in_a_hint_exists_and_takes_its_options(code: str) -> None:
    for text in re.findall(r"`shoal ([^`]+)`", _HINTS[code]):
        words = text.split()
        command: click.Command = cli
        while words and isinstance(command, click.Group):
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, text
            command = found
        names = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= names
