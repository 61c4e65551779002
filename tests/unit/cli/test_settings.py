"""Where endpoint, account and key come from, and which wins."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from shoal_cli.faults import UsageFault
from shoal_cli.settings import Options, load, load_admin

KEY = base64.b64encode(b"secret").decode()
ENVIRON = {
    "AZURE_BATCH_ENDPOINT": "http://127.0.0.1:1",
    "AZURE_BATCH_ACCOUNT": "env",
    "AZURE_BATCH_ACCESS_KEY": KEY,
}


def connection(folder: Path, **values: object) -> None:
    (folder / ".shoal").mkdir()
    whole = {"endpoint": "http://127.0.0.1:2", "account": "dev", "key": KEY, **values}
    (folder / ".shoal" / "connection.json").write_text(json.dumps(whole))


def config(folder: Path, text: str) -> dict[str, str]:
    (folder / "shoal").mkdir(parents=True)
    (folder / "shoal" / "config.toml").write_text(text)
    return {"XDG_CONFIG_HOME": str(folder)}


def test_the_environment_alone_is_enough(tmp_path: Path) -> None:
    settings = load(Options(), ENVIRON, tmp_path)
    assert (settings.endpoint, settings.account) == ("http://127.0.0.1:1", "env")
    assert settings.key == b"secret"


def test_options_win_over_the_environment_one_by_one(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(base64.b64encode(b"other").decode() + "\n")
    options = Options(endpoint="https://host:8443/", key_file=str(key_file))
    settings = load(options, ENVIRON, tmp_path)
    assert (settings.endpoint, settings.account) == ("https://host:8443", "env")
    assert settings.key == b"other"
    assert settings.sources["account"] == "the environment"


def test_the_file_of_shoal_dev_is_found_from_a_folder_below(tmp_path: Path) -> None:
    connection(tmp_path, storage="BlobEndpoint=x")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    settings = load(Options(), {}, below)
    assert (settings.account, settings.storage) == ("dev", "BlobEndpoint=x")


def test_the_environment_wins_over_the_file_of_shoal_dev(tmp_path: Path) -> None:
    connection(tmp_path)
    assert load(Options(), {"AZURE_BATCH_ACCOUNT": "env"}, tmp_path).account == "env"


def test_the_file_of_shoal_dev_wins_over_the_users_own(tmp_path: Path) -> None:
    connection(tmp_path)
    environ = config(tmp_path / "config", 'account = "home"')
    assert load(Options(), environ, tmp_path).account == "dev"


def test_the_users_file_may_name_a_file_with_the_key(tmp_path: Path) -> None:
    environ = config(
        tmp_path / "config",
        'endpoint = "https://h"\naccount = "home"\nkey_file = "batch.key"\n',
    )
    (tmp_path / "config" / "shoal" / "batch.key").write_text(KEY)
    assert load(Options(), environ, tmp_path).key == b"secret"


def test_an_endpoint_without_a_scheme_means_https(tmp_path: Path) -> None:
    environ = {**ENVIRON, "AZURE_BATCH_ENDPOINT": "acct.region.batch.azure.com"}
    assert load(Options(), environ, tmp_path).endpoint == "https://acct.region.batch.azure.com"


@pytest.mark.parametrize(
    "endpoint", ["ftp://h", "http://", "http://h:x", "http://u:p@h", "http://h/path", "http://[::1"]
)
def test_an_endpoint_that_is_no_address_is_refused(tmp_path: Path, endpoint: str) -> None:
    with pytest.raises(UsageFault, match="not the address of a service"):
        load(Options(endpoint=endpoint), ENVIRON, tmp_path)


def test_what_is_missing_is_said_with_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(UsageFault) as caught:
        load(Options(account="a"), {}, tmp_path)
    assert caught.value.why == [
        "the endpoint of the service is not set",
        "the key of the service is not set",
    ]
    assert "AZURE_BATCH_ENDPOINT, AZURE_BATCH_ACCESS_KEY" in (caught.value.mend or "")


def test_a_key_that_is_not_base64_is_refused_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(UsageFault) as caught:
        load(Options(), {**ENVIRON, "AZURE_BATCH_ACCESS_KEY": "hunter2!"}, tmp_path)
    assert "hunter2" not in caught.value.block()


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="nowhere does not exist"):
        load(Options(key_file=str(tmp_path / "nowhere")), ENVIRON, tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"endpoint": 1}'])
def test_a_broken_file_of_shoal_dev_is_named(tmp_path: Path, text: str) -> None:
    connection(tmp_path)
    (tmp_path / ".shoal" / "connection.json").write_text(text)
    with pytest.raises(UsageFault, match=r"connection\.json"):
        load(Options(), {}, tmp_path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can plant a file of another user")
def test_a_file_that_another_user_planted_above_is_ignored(tmp_path: Path) -> None:
    connection(tmp_path)
    os.chown(tmp_path / ".shoal" / "connection.json", 12345, 12345)
    with pytest.raises(UsageFault, match="not set"):
        load(Options(), {}, tmp_path)


def test_secrets_do_not_appear_when_settings_are_printed(tmp_path: Path) -> None:
    environ = {**ENVIRON, "AZURE_STORAGE_CONNECTION_STRING": "AccountKey=tops"}
    shown = repr(load(Options(), environ, tmp_path))
    assert "secret" not in shown
    assert "tops" not in shown


# --- tokens, certificates, the admin's socket -----------------------------------------------------


def test_a_token_takes_the_place_of_account_and_key(tmp_path: Path) -> None:
    environ = {"AZURE_BATCH_ENDPOINT": "https://host", "SHOAL_TOKEN": "t.o.k"}
    settings = load(Options(), environ, tmp_path)
    assert (settings.token, settings.account, settings.key) == ("t.o.k", "", b"")
    assert "t.o.k" not in repr(settings)


def test_of_token_and_key_the_nearer_one_counts(tmp_path: Path) -> None:
    (tmp_path / "shoal").mkdir()
    (tmp_path / "shoal" / "token").write_text("t.o.k\n")
    text = 'endpoint = "https://host"\ntoken_file = "token"\n'
    (tmp_path / "shoal" / "config.toml").write_text(text)
    home = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert load(Options(), home, tmp_path).token == "t.o.k"
    settings = load(Options(), ENVIRON | home, tmp_path)
    assert (settings.token, settings.key) == ("", b"secret")
    settings = load(Options(), ENVIRON | {"SHOAL_TOKEN": "mine"}, tmp_path)
    assert (settings.token, settings.key) == ("mine", b"")


def test_a_task_needs_no_settings_to_speak_to_its_service(tmp_path: Path) -> None:
    environ = {
        "AZ_BATCH_ACCOUNT_URL": "http://127.0.0.1:5/",
        "AZ_BATCH_ACCOUNT_NAME": "lab",
        "AZ_BATCH_AUTHENTICATION_TOKEN": "shoal-task.x",
    }
    settings = load(Options(), environ, tmp_path)
    assert settings.endpoint == "http://127.0.0.1:5"
    assert (settings.account, settings.token) == ("lab", "shoal-task.x")
    assert load(Options(), environ | ENVIRON, tmp_path).token == ""
    del environ["AZ_BATCH_AUTHENTICATION_TOKEN"]
    with pytest.raises(UsageFault):
        load(Options(), environ, tmp_path)


def test_an_account_that_is_named_does_not_go_with_a_token(tmp_path: Path) -> None:
    environ = {"AZURE_BATCH_ENDPOINT": "https://host", "SHOAL_TOKEN": "t.o.k"}
    with pytest.raises(UsageFault, match="--account does not go with a token"):
        load(Options(account="other"), environ, tmp_path)


def test_a_token_is_not_sent_for_all_to_read(tmp_path: Path) -> None:
    for endpoint, is_sent in (
        ("http://batch.example.org", False),
        ("http://10.0.0.1:10443", False),
        ("https://batch.example.org", True),
        ("batch.example.org", True),
        ("http://127.0.0.1:1", True),
        ("http://[::1]:1", True),
    ):
        environ = {"AZURE_BATCH_ENDPOINT": endpoint, "SHOAL_TOKEN": "t"}
        if is_sent:
            assert load(Options(), environ, tmp_path).token == "t"
        else:
            with pytest.raises(UsageFault, match="for all to read"):
                load(Options(), environ, tmp_path)


def test_certificates_and_socket_belong_to_the_endpoint_they_stand_beside(tmp_path: Path) -> None:
    connection(tmp_path, ca_file="/data/ca.pem", admin_socket="/data/admin.sock", storage="x")
    settings = load(Options(), {}, tmp_path)
    assert settings.ca_file == "/data/ca.pem"
    assert settings.admin_socket == ""
    admin = load_admin(Options(), {}, tmp_path)
    assert (admin.admin_socket, admin.account, admin.key) == ("/data/admin.sock", "dev", b"")
    elsewhere = {"AZURE_BATCH_ENDPOINT": "https://elsewhere"}
    assert load(Options(), elsewhere, tmp_path).ca_file == ""
    assert load_admin(Options(), elsewhere, tmp_path).admin_socket == ""
    named = elsewhere | {"SHOAL_CA_FILE": "my.pem", "SHOAL_ADMIN_SOCKET": "s"}
    assert load(Options(), named, tmp_path).ca_file == "my.pem"
    assert load_admin(Options(socket="t"), named, tmp_path).admin_socket == "t"


def test_paths_of_the_config_file_are_meant_from_its_folder(tmp_path: Path) -> None:
    environ = config(
        tmp_path,
        'endpoint = "https://h"\ntoken = "t"\nca_file = "ca.pem"\nadmin_socket = "~/a.sock"\n',
    ) | {"HOME": str(tmp_path)}
    assert load(Options(), environ, tmp_path).ca_file == str(tmp_path / "shoal" / "ca.pem")
    environ = config(tmp_path / "b", "ca_file = 1\n")
    with pytest.raises(UsageFault, match="ca_file"):
        load(Options(), environ, tmp_path)
