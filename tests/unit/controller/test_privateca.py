"""The private authority: what it signs, for whom and how long; and when it signs anew."""

from __future__ import annotations

import ipaddress
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from shoal_controller.config import BadConfig
from shoal_controller.privateca import RENEWAL, SERVER_LIFE, ends_at, ensure_server, make_authority
from tests.builders import NOON

HOSTS = ("batch.example.org", "*.batch.example.org", "10.0.0.1", "fd00::1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_authority(tmp_path / "tls", NOON)
    return tmp_path / "tls"


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_it_signs_for_the_hosts_and_for_this_machine(folder: Path) -> None:
    assert ensure_server(folder, HOSTS, NOON)
    held, authority = read(folder / "server.pem"), read(folder / "ca.pem")
    held.verify_directly_issued_by(authority)
    names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [*HOSTS[:2], "localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address(text) for text in (*HOSTS[2:], "127.0.0.1", "::1")
    ]
    of_server = held.extensions.get_extension_for_class(x509.BasicConstraints)
    of_authority = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (of_server.value.ca, of_authority.value.ca) == (False, True)
    assert of_authority.value.path_length == 0
    assert ends_at(folder / "server.pem") == NOON + SERVER_LIFE


def test_keys_are_readable_by_nobody_else_and_certificates_by_all(folder: Path) -> None:
    ensure_server(folder, HOSTS, NOON)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"ca.key": 0o600, "ca.pem": 0o644, "server.key": 0o600, "server.pem": 0o644}


def test_a_good_certificate_stays_and_others_are_made_anew(folder: Path) -> None:
    assert ensure_server(folder, HOSTS, NOON)
    first = read(folder / "server.pem").serial_number
    assert not ensure_server(folder, HOSTS, NOON)
    assert not ensure_server(folder, HOSTS[::-1], NOON + SERVER_LIFE - RENEWAL - timedelta(hours=1))
    assert read(folder / "server.pem").serial_number == first
    assert ensure_server(folder, HOSTS[:1], NOON)  # for other hosts
    assert ensure_server(folder, HOSTS, NOON + SERVER_LIFE - RENEWAL)  # late in its life
    (folder / "server.key").write_text("damaged")
    assert ensure_server(folder, HOSTS, NOON)
    (folder / "server.pem").unlink()
    assert ensure_server(folder, HOSTS, NOON)
    assert not ensure_server(folder, HOSTS, NOON)


def test_a_certificate_of_another_authority_is_made_anew(folder: Path, tmp_path: Path) -> None:
    make_authority(tmp_path / "other", NOON)
    ensure_server(tmp_path / "other", HOSTS, NOON)
    for name in ("server.pem", "server.key"):
        (folder / name).write_bytes((tmp_path / "other" / name).read_bytes())
    assert ensure_server(folder, HOSTS, NOON)


def test_no_certificate_outlives_its_authority(folder: Path) -> None:
    end = ends_at(folder / "ca.pem")
    late = end - timedelta(days=10)
    assert ensure_server(folder, HOSTS, late)
    assert ends_at(folder / "server.pem") == end
    assert not ensure_server(folder, HOSTS, late)
    with pytest.raises(BadConfig, match="expired"):
        ensure_server(folder, HOSTS, end)


def test_an_authority_is_never_replaced(folder: Path) -> None:
    before = (folder / "ca.key").read_bytes()
    with pytest.raises(BadConfig, match="holds an authority already"):
        make_authority(folder, NOON)
    assert (folder / "ca.key").read_bytes() == before


@pytest.mark.parametrize("name", ["ca.key", "ca.pem"])
def test_a_damaged_authority_is_told_by_name(folder: Path, tmp_path: Path, name: str) -> None:
    kept = (folder / name).read_bytes()
    (folder / name).write_text("nothing")
    with pytest.raises(BadConfig, match="holds no authority"):
        ensure_server(folder, HOSTS, NOON)
    (folder / name).unlink()
    with pytest.raises(BadConfig, match=name):
        ensure_server(folder, HOSTS, NOON)
    make_authority(tmp_path / "other", NOON)
    (folder / name).write_bytes((tmp_path / "other" / name).read_bytes())
    with pytest.raises(BadConfig, match="do not belong together"):
        ensure_server(folder, HOSTS, NOON)
    (folder / name).write_bytes(kept)
    assert ensure_server(folder, HOSTS, NOON)
