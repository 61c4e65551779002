"""What an account's folder keeps beside its state: secrets, and what was decided by command."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from shoal_controller.config import BadConfig
from shoal_controller.store import accounts
from shoal_controller.store.accounts import Decided, load_decided, load_secrets


def test_secrets_are_made_once_and_readable_by_nobody_else(tmp_path: Path):
    first = load_secrets(tmp_path / "acc")
    assert load_secrets(tmp_path / "acc") == first
    keys = (*first.batch, *first.storage)
    assert len({*keys, first.seal}) == 5
    assert {len(key) for key in keys} == {accounts.KEY_BYTES}
    assert len(first.seal) == accounts.SEAL_BYTES
    assert stat.S_IMODE((tmp_path / "acc" / "keys.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "acc").stat().st_mode) == 0o700
    assert repr(first) == "Secrets()"


def test_keys_of_an_earlier_release_stay_and_get_a_seal(tmp_path: Path):
    kept = {"batch": ["YQ==", "Yg=="], "storage": ["Yw==", "ZA=="]}
    (tmp_path / "keys.json").write_text(json.dumps(kept))
    found = load_secrets(tmp_path)
    assert (found.batch, found.storage) == ((b"a", b"b"), (b"c", b"d"))
    assert len(found.seal) == accounts.SEAL_BYTES
    assert load_secrets(tmp_path) == found


@pytest.mark.parametrize("text", ["", "{}", '{"batch": ["eA=="]}', '{"batch": ["", ""]}', "[1]"])
def test_damaged_keys_are_refused_not_replaced(tmp_path: Path, text: str):
    (tmp_path / "keys.json").write_text(text)
    with pytest.raises(BadConfig, match=r"keys\.json"):
        load_secrets(tmp_path)
    assert (tmp_path / "keys.json").read_text() == text


def test_what_was_decided_is_found_again(tmp_path: Path):
    folder = tmp_path / "accounts" / "acc"
    assert load_decided(folder) == Decided()
    decided = Decided(is_made=True, quotas={"pool_count": 5})
    accounts.save_decided(folder, decided)
    (folder.parent / ".gone-other-1").mkdir()
    (folder.parent / "Not-an-account").mkdir()
    assert accounts.decided_by_name(folder.parent) == {"acc": decided}


@pytest.mark.parametrize(
    "text", ["", "[]", '{"quotas": {"pools": 1}}', '{"quotas": {"pool_count": -1}}', '{"x": 1}']
)
def test_damaged_decisions_are_refused(tmp_path: Path, text: str):
    (tmp_path / "account.json").write_text(text)
    with pytest.raises(BadConfig, match=r"account\.json"):
        load_decided(tmp_path)


def test_an_account_that_is_set_aside_is_none_any_more(tmp_path: Path):
    load_secrets(tmp_path / "acc")
    aside = accounts.set_aside(tmp_path / "acc")
    assert accounts.decided_by_name(tmp_path) == {}
    assert accounts.set_aside_before(tmp_path) == [aside]
