"""What a controller.toml may say, and how it is told that it says something else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from shoal_controller import config
from shoal_controller.config import BadConfig, account_keys, load
from shoal_controller.core.account import Quotas
from shoal_controller.core.scheduler import Limits
from shoal_controller.core.vmsize import core_count

LEAST = 'data = "data"\n[accounts.acc]\n'


def loaded(tmp_path: Path, text: str) -> config.Config:
    path = tmp_path / "controller.toml"
    path.write_text(text)
    return load(path)


def test_the_least_that_can_be_said_gets_loopback_and_the_usual_limits(tmp_path: Path):
    found = loaded(tmp_path, LEAST)
    assert found.data == tmp_path / "data"
    assert (found.listen.host, found.listen.port) == ("127.0.0.1", config.API_PORT)
    assert (found.storage.host, found.storage.port) == ("127.0.0.1", config.STORAGE_PORT)
    assert found.accounts["acc"].quotas == Quotas()
    assert found.scheduling.limits == Limits()


def test_what_init_writes_can_be_loaded(tmp_path: Path):
    assert list(loaded(tmp_path, config.TEMPLATE).accounts) == ["myaccount"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data = 1\n[accounts.acc]", "data: "),
        ('data = ""\n[accounts.acc]', "data: "),
        ('data = "x"', "accounts"),
        ('data = "x"\n[accounts]', "accounts"),
        ('data = "x"\n[accounts."../x"]', "accounts.../x"),
        ('data = "x"\n[accounts.Upper]', "accounts.Upper"),
        (LEAST + "[listen]\nport = 70000", "listen.port: "),
        (LEAST + '[listen]\nport = "80"', "listen.port: "),
        (LEAST + '[listen]\nhost = ""', "host is empty"),
        (LEAST + '[listen]\nurl = "batch.example.org"', "batch.example.org"),
        (LEAST + '[storage]\nurl = "http://x/"', "http://x/"),
        (LEAST + "[storage]\nprot = 1", "prot"),
        (LEAST + "[scheduling]\nplacements_max = 0", "scheduling.placements_max: "),
        (LEAST + "pool_count_max = -1", "pool_count_max: "),
        (LEAST + "pool_counts = 1", "pool_counts"),
        ("data = ", "TOML"),
    ],
)
def test_a_mistake_is_refused_with_the_name_of_the_file_and_the_key(
    tmp_path: Path, text: str, told: str
):
    with pytest.raises(BadConfig) as refused:
        loaded(tmp_path, text)
    assert str(refused.value).startswith(str(tmp_path / "controller.toml"))
    assert told in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(BadConfig, match=r"nowhere\.toml cannot be read: No such file"):
        load(tmp_path / "nowhere.toml")


def test_keys_are_made_once_and_readable_by_nobody_else(tmp_path: Path):
    first = account_keys(tmp_path / "acc")
    assert account_keys(tmp_path / "acc") == first
    assert len({*first.batch, *first.storage}) == 4
    assert {len(key) for key in (*first.batch, *first.storage)} == {config.KEY_BYTES}
    assert stat.S_IMODE((tmp_path / "acc" / "keys.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "acc").stat().st_mode) == 0o700
    assert first.batch[0].hex() not in repr(first)


@pytest.mark.parametrize("text", ["", "{}", '{"batch": ["eA=="]}', '{"batch": ["", ""]}', "[1]"])
def test_damaged_keys_are_refused_not_replaced(tmp_path: Path, text: str):
    (tmp_path / "keys.json").write_text(text)
    with pytest.raises(BadConfig, match=r"keys\.json"):
        account_keys(tmp_path)
    assert (tmp_path / "keys.json").read_text() == text


@pytest.mark.parametrize(
    ("size", "cores"),
    [
        ("STANDARD_D1_v2", 1),
        ("standard_d3_v2", 4),
        ("standard_ds14_v2", 16),
        ("standard_d4s_v3", 4),
        ("standard_a4", 8),
        ("standard_a4_v2", 4),
        ("standard_f16", 16),
        ("standard_m8-2ms", 2),
        ("standard_g5", 32),
        ("basic_a0", 1),
        ("whatever", 1),
        ("standard_d" + "9" * 5000, 1),
    ],
)
def test_a_size_counts_for_the_cores_it_has(size: str, cores: int):
    assert core_count(size) == cores
