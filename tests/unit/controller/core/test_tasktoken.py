"""Tokens of tasks: made for one run by one account, and by nobody else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_controller.core.account import Account
from shoal_controller.core.tasktoken import mint, parse
from shoal_protocol.specs import RunId

ACCOUNT = Account("lab", (b"1", b"2"), seal=b"a seal")


@given(st.integers(1, 10**18 - 1), st.integers(1, 10**9 - 1))
def test_a_token_names_its_run_and_is_genuine(serial: int, attempt: int) -> None:
    token = parse(mint(ACCOUNT, RunId(serial, attempt)))
    assert token is not None
    assert (token.account_name, token.run) == ("lab", RunId(serial, attempt))
    assert token.is_genuine(ACCOUNT)


def test_a_token_outlives_a_change_of_keys_but_not_of_the_seal() -> None:
    token = parse(mint(ACCOUNT, RunId(1, 1)))
    assert token is not None
    assert token.is_genuine(replace(ACCOUNT, keys=(b"3", b"4")))
    assert not token.is_genuine(replace(ACCOUNT, seal=b"another"))
    assert not token.is_genuine(replace(ACCOUNT, seal=b""))


def test_an_account_without_a_seal_mints_nothing() -> None:
    with pytest.raises(AssertionError):
        mint(replace(ACCOUNT, seal=b""), RunId(1, 1))


def test_a_token_of_another_run_account_or_hand_is_not_genuine() -> None:
    text, _, mac = mint(ACCOUNT, RunId(12, 3)).rpartition(".")
    for changed in (
        f"{text.replace('.12.', '.13.')}.{mac}",
        f"{text.replace('.3', '.4')}.{mac}",
        f"{text.replace('lab', 'lub')}.{mac}",
        f"{text}.{mac[::-1]}",
    ):
        token = parse(changed)
        assert token is not None
        assert not token.is_genuine(ACCOUNT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b.c",
        "shoal-task.lab.1.1",
        "shoal-task.lab.1.1.",
        f"shoal-task.lab.1.1.{'A' * 42}",
        f"shoal-task.lab.1.1.{'A' * 44}",
        f"shoal-task.lab.-1.1.{'A' * 43}",
        f"shoal-task.lab.{'9' * 19}.1.{'A' * 43}",
        f"shoal-task.LAB.1.1.{'A' * 43}",
        f"shoal-task.lab.1.1.{'A' * 43}\n",
        f"shoal-task.lab.\u0661.1.{'A' * 43}",
    ],
)
def test_what_has_another_form_is_no_token_of_a_task(text: str) -> None:
    assert parse(text) is None


@given(st.text(max_size=80))
def test_any_text_is_a_token_or_is_not(text: str) -> None:
    parse(text)


def test_the_mac_is_not_shown() -> None:
    token = parse(mint(ACCOUNT, RunId(1, 1)))
    assert token is not None
    assert token.mac not in repr(token)
