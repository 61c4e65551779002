"""What a controller.toml may say, and how it is told that it says something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal_controller import config
from shoal_controller.config import BadConfig, load
from shoal_controller.core.scheduler import Limits
from shoal_controller.core.vmsize import core_count
from shoal_controller.init import write_folder
from tests.builders import NOON

LEAST = 'data = "data"\n[accounts.acc]\n'
RULE = '[[issuers.rules]]\nclaim = "groups"\nvalue = "g"\naccount = "acc"\nrole = "reader"\n'
ISSUER = '[[issuers]]\nissuer = "i"\naudience = "a"\n'


def loaded(tmp_path: Path, text: str) -> config.Config:
    path = tmp_path / "controller.toml"
    path.write_text(text)
    return load(path)


def test_the_least_that_can_be_said_gets_loopback_and_the_usual_limits(tmp_path: Path):
    found = loaded(tmp_path, LEAST)
    assert found.data == tmp_path / "data"
    assert (found.listen.host, found.listen.port) == ("127.0.0.1", config.API_PORT)
    assert (found.storage.host, found.storage.port) == ("127.0.0.1", config.STORAGE_PORT)
    assert found.accounts["acc"].fixed_quotas == {}
    assert found.scheduling.limits == Limits()


def test_what_init_writes_can_be_loaded(tmp_path: Path):
    (path,) = write_folder(tmp_path, [], NOON)
    found = load(path)
    assert list(found.accounts) == ["myaccount"]
    assert (found.listen.host, found.listen.url, found.tls) == ("127.0.0.1", "", None)


@pytest.mark.parametrize(
    ("hosts", "url"),
    [
        (["batch.example.org", "10.0.0.1"], "https://batch.example.org:10443"),
        (["fd00::1"], "https://[fd00::1]:10443"),
    ],
)
def test_for_other_machines_init_makes_an_authority(tmp_path: Path, hosts: list[str], url: str):
    path, ca_file = write_folder(tmp_path, hosts, NOON)
    found = load(path)
    assert (found.listen.host, found.listen.url) == ("0.0.0.0", url)
    assert found.tls is not None
    assert found.tls.trusted == ca_file == tmp_path / "tls" / "ca.pem"
    assert found.tls.hosts == tuple(hosts)
    assert ca_file.exists()


def test_init_leaves_alone_what_is_there(tmp_path: Path):
    write_folder(tmp_path, [], NOON)
    with pytest.raises(BadConfig, match="is there already"):
        write_folder(tmp_path, ["host"], NOON)
    with pytest.raises(BadConfig, match="neither a name nor an address"):
        write_folder(tmp_path / "other", ['a"b'], NOON)
    assert not (tmp_path / "other").exists()
    with pytest.raises(BadConfig, match=r"controller\.toml is there already"):
        write_folder(tmp_path, [], NOON)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadConfig, match="file is there already"):
        write_folder(tmp_path / "file", [], NOON)


def test_only_the_quotas_that_are_set_are_fixed(tmp_path: Path):
    found = loaded(tmp_path, LEAST + "pool_count_max = 0\nactive_job_count_max = 7")
    assert found.accounts["acc"].fixed_quotas == {"pool_count": 0, "active_job_count": 7}


def test_a_controller_may_have_no_account_yet(tmp_path: Path):
    assert loaded(tmp_path, 'data = "x"').accounts == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data = 1\n[accounts.acc]", "data: "),
        ('data = ""\n[accounts.acc]', "data: "),
        ('data = "x"\n[accounts."../x"]', "accounts.../x"),
        ('data = "x"\n[accounts.Upper]', "accounts.Upper"),
        (LEAST + "[listen]\nport = 70000", "listen.port: "),
        (LEAST + '[listen]\nport = "80"', "listen.port: "),
        (LEAST + '[listen]\nhost = ""', "host is empty"),
        (LEAST + '[listen]\nurl = "batch.example.org"', "batch.example.org"),
        (LEAST + '[storage]\nurl = "http://x/"', "http://x/"),
        (LEAST + "[storage]\nprot = 1", "prot"),
        (LEAST + "[scheduling]\nplacements_max = 0", "scheduling.placements_max: "),
        (LEAST + "[local]\ndisk_reserved_percent = 91", "local.disk_reserved_percent: "),
        (LEAST + "[local]\ndisk_reserved_bytes_max = -1", "local.disk_reserved_bytes_max: "),
        (LEAST + "pool_count_max = -1", "pool_count_max: "),
        (LEAST + "pool_counts = 1", "pool_counts"),
        (LEAST + ISSUER + RULE, "keys_url"),
        (LEAST + ISSUER + 'keys_url = "http://example.org/keys"\n' + RULE, "http://example.org"),
        (LEAST + ISSUER + 'keys_url = "https://x/"\nkeys_file = "k"\n' + RULE, "keys_file"),
        (LEAST + ISSUER + 'keys_file = ""\n' + RULE, "path"),
        (LEAST + ISSUER + 'keys_file = "k"\n', "rules"),
        (LEAST + ISSUER + 'keys_file = "k"\nalgorithms = ["none"]\n' + RULE, "none"),
        (LEAST + ISSUER + 'keys_file = "k"\nalgorithms = ["HS256"]\n' + RULE, "HS256"),
        (LEAST + ISSUER + 'keys_file = "k"\nalgorithms = []\n' + RULE, "algorithms"),
        (LEAST + ISSUER.replace('"a"', '""') + 'keys_file = "k"\n' + RULE, "audience"),
        (LEAST + ISSUER.replace('"a"', '["a", ""]') + 'keys_file = "k"\n' + RULE, "audience"),
        (LEAST + (ISSUER + 'keys_file = "k"\n' + RULE) * 2, "same name"),
        (LEAST + ISSUER + 'keys_file = "k"\n' + RULE.replace("reader", "king"), "role"),
        (LEAST + ISSUER + 'keys_file = "k"\n' + RULE + 'account_claim = "a"', "account_claim"),
        (LEAST + ISSUER + 'keys_file = "k"\n' + RULE.replace('"g"', '""'), "value"),
        (LEAST + "[tls]", "certificate and authority"),
        (LEAST + '[tls]\ncertificate = "c"', "go together"),
        (LEAST + '[tls]\nkey = "c"\nauthority = "a"', "go together"),
        (LEAST + '[tls]\ncertificate = "c"\nkey = "k"\nauthority = "a"', "exactly one"),
        (LEAST + '[tls]\ncertificate = "c"\nkey = "k"\nhosts = ["h"]', "hosts"),
        (LEAST + '[tls]\nauthority = "a"\nca_file = "c"', "ca_file"),
        (LEAST + '[tls]\nauthority = "a"\nhosts = ["..", "h"]', ".."),
        (LEAST + '[tls]\nauthority = "a"\nhosts = ["http://h"]', "http://h"),
        (LEAST + "[rate_limit]\nrequests_per_s = -1", "rate_limit.requests_per_s: "),
        (LEAST + "[rate_limit]\nrequests_per_s = nan", "rate_limit.requests_per_s: "),
        (LEAST + "[rate_limit]\nburst = 0", "rate_limit.burst: "),
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


def test_paths_are_meant_from_the_folder_of_the_file(tmp_path: Path):
    text = LEAST + ISSUER + 'keys_file = "sub/keys.json"\n' + RULE
    (issuer,) = loaded(tmp_path, text).issuers
    assert issuer.keys_file == tmp_path / "sub" / "keys.json"
    assert issuer.algorithms == ("RS256",)
    text = LEAST + ISSUER + 'keys_url = "http://127.0.0.1:1/keys"\n' + RULE
    assert loaded(tmp_path, text).issuers[0].keys_url == "http://127.0.0.1:1/keys"


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(BadConfig, match=r"nowhere\.toml cannot be read: No such file"):
        load(tmp_path / "nowhere.toml")


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
