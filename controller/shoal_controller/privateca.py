"""A certificate authority of one's own, in a folder: it signs for the controller, clients pin it.

    <folder>/ca.pem      what clients and agents are given to trust
             ca.key      signs; stays here (0600)
             server.pem  what the controller shows
             server.key  (0600)

The only room of the library `cryptography`. Source: RFC 5280.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shoal_controller.config import BadConfig
from shoal_controller.privatefile import sync_folder, write_private

AUTHORITY_LIFE: Final = timedelta(days=3650)
SERVER_LIFE: Final = timedelta(days=398)
RENEWAL: Final = timedelta(days=30)
"""A certificate is made anew, or warned of, when so much of its life is left."""
SKEW: Final = timedelta(hours=1)
"""Certificates are good from a little before they were made: clocks differ."""
OWN_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
"""In every certificate: agents of the controller's own machine dial these."""
COMMON_NAME_CHARACTERS_MAX: Final = 64


def make_authority(folder: Path, now: datetime) -> None:
    """Make the folder and an authority in it; raise OSError, or BadConfig if there is one."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    if (folder / "ca.key").exists() or (folder / "ca.pem").exists():
        raise BadConfig(f"{folder} holds an authority already")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Shoal private authority")])
    usage = _usage(key_cert_sign=True, crl_sign=True)
    certificate = (
        _builder(name, name, key.public_key(), now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_private(folder / "ca.key", _private(key))
    _write_public(folder / "ca.pem", certificate)


def ensure_server(folder: Path, hosts: Sequence[str], now: datetime) -> bool:
    """Let the authority sign a certificate for the hosts unless a good one is there.

    Returns whether a new one was made; raises BadConfig when the authority cannot be used.
    """
    authority, key = _authority(folder)
    if _is_good(folder, authority, _names(hosts), now):
        return False
    if authority.not_valid_after_utc <= now:
        raise BadConfig(f"{folder / 'ca.pem'} has expired; move the folder away to make another")
    own = ec.generate_private_key(ec.SECP256R1())
    first = next(iter(hosts), OWN_HOSTS[0])[:COMMON_NAME_CHARACTERS_MAX]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, first)])
    life = min(SERVER_LIFE, authority.not_valid_after_utc - now)
    certificate = (
        _builder(subject, authority.subject, own.public_key(), now, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names(hosts)), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    # The key first: a reader between the two finds a pair that does not fit, and looks again.
    write_private(folder / "server.key", _private(own))
    _write_public(folder / "server.pem", certificate)
    return True


def ends_at(path: Path) -> datetime:
    """Return when the first certificate of a file ends; raise OSError or ValueError."""
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc


def _authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    except OSError as err:
        raise BadConfig(f"tls.authority: {err.filename} cannot be read: {err.strerror}") from err
    except (ValueError, TypeError) as err:
        raise BadConfig(f"tls.authority: {folder} holds no authority of ours: {err}") from err
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != (
        certificate.public_key()
    ):
        raise BadConfig(f"tls.authority: ca.key and ca.pem in {folder} do not belong together")
    return certificate, key


def _is_good(
    folder: Path, authority: x509.Certificate, names: Sequence[x509.GeneralName], now: datetime
) -> bool:
    try:
        held = x509.load_pem_x509_certificate((folder / "server.pem").read_bytes())
        key = serialization.load_pem_private_key((folder / "server.key").read_bytes(), None)
        held.verify_directly_issued_by(authority)
        listed = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    left = held.not_valid_after_utc - now
    is_late = left < RENEWAL and held.not_valid_after_utc < authority.not_valid_after_utc
    return (
        key.public_key() == held.public_key()
        and set(listed) == set(names)
        and left > timedelta()
        and not is_late
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + life)
    )


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys([*hosts, *OWN_HOSTS]):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _usage(**wanted: bool) -> x509.KeyUsage:
    kinds = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{kind: wanted.get(kind, False) for kind in kinds})


def _private(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _write_public(path: Path, certificate: x509.Certificate) -> None:
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(certificate.public_bytes(serialization.Encoding.PEM))
        file.flush()
        os.fsync(file.fileno())
    fresh.chmod(0o644)
    fresh.replace(path)
    sync_folder(path.parent)
