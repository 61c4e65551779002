"""Certificates on the wire, and how pools refer to them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shoal_controller.api.wire.table import Document, Property, Structure, list_of, listed
from shoal_controller.api.wire.values import one_of, text, timestamp
from shoal_controller.core.certificate import (
    Certificate,
    CertificateFormat,
    CertificateKey,
    CertificateReference,
    CertificateStoreLocation,
    CertificateVisibility,
)
from shoal_controller.core.errors import Refused, invalid_property

DATA_BYTES_MAX: Final = 65_536
REFERENCES_MAX: Final = 100
_THUMBPRINT: Final = re.compile(r"[0-9A-Fa-f]{40}\Z")
_KEY: Final = re.compile(
    r"\s*(thumbprintAlgorithm|thumbprint)\s*=\s*'?([A-Za-z0-9]{1,64})'?\s*\Z", re.IGNORECASE
)
_DER_SEQUENCE: Final = 0x30


def _read_algorithm(value: Any, name: str) -> str:
    if text(value, name).lower() != "sha1":
        raise invalid_property(name, value, "It must be sha1.")
    return "sha1"


def _read_thumbprint(value: Any, name: str) -> str:
    if not _THUMBPRINT.match(text(value, name)):
        raise invalid_property(name, value, "A SHA-1 thumbprint has 40 hexadecimal digits.")
    return value


def _read_data(value: Any, name: str) -> bytes:
    try:
        data = base64.b64decode(text(value, name), validate=True)
    except (binascii.Error, ValueError):
        raise invalid_property(name, "", "It must be base64.") from None
    if len(data) > DATA_BYTES_MAX:
        raise invalid_property(name, "", f"It has more than {DATA_BYTES_MAX} bytes.")
    if data.startswith(b"-----BEGIN CERTIFICATE-----"):
        return _unwrapped(data, name)
    if not _is_der_sequence(data):
        raise invalid_property(name, "", "It must be a PFX file or a DER or PEM certificate.")
    return data


def _unwrapped(data: bytes, name: str) -> bytes:
    body = data.removeprefix(b"-----BEGIN CERTIFICATE-----").partition(b"-----END")[0]
    try:
        der = base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        der = b""
    if not _is_der_sequence(der):
        raise invalid_property(name, "", "It holds no certificate between BEGIN and END.")
    return der


def _is_der_sequence(data: bytes) -> bool:
    """Whether data is one ASN.1 sequence and nothing behind it, as both formats are."""
    if len(data) < 2 or data[0] != _DER_SEQUENCE:
        return False
    if data[1] < 0x80:
        return len(data) == 2 + data[1]
    size = data[1] & 0x7F
    return 1 <= size <= 4 and len(data) == 2 + size + int.from_bytes(data[2 : 2 + size], "big")


_NAME: Final = (
    Property("thumbprint", "thumbprint", _read_thumbprint, is_required=True),
    Property("thumbprintAlgorithm", "algorithm", _read_algorithm, is_required=True),
)
_CREATE: Final = Structure(
    (
        *_NAME,
        Property("data", "data", _read_data, is_required=True),
        Property("certificateFormat", "format", one_of(CertificateFormat)),
        Property("password", "password", text),
    ),
    ignored=frozenset({"url", "state", "stateTransitionTime", "publicData"}),
)


@dataclass(frozen=True, slots=True)
class NewCertificate:
    """A certificate to add."""

    key: CertificateKey
    data: bytes
    format: CertificateFormat
    password: str | None


def read_certificate(document: Document) -> NewCertificate:
    """Return the certificate that a document adds, or raise Refused.

    A CER is compared with its thumbprint. A PFX is not opened: the cost of trying its password is
    the sender's choice.
    """
    values = _CREATE.read(document, "certificate")
    new = NewCertificate(
        CertificateKey(values["algorithm"], values["thumbprint"]),
        values["data"],
        values.get("format", CertificateFormat.PFX),
        values.get("password"),
    )
    if new.format == CertificateFormat.PFX:
        return new
    if new.password is not None:
        raise invalid_property("password", "", "A certificate in the format cer has none.")
    thumbprint = hashlib.sha1(new.data, usedforsecurity=False).hexdigest()
    if thumbprint != new.key.thumbprint.lower():
        raise invalid_property(
            "thumbprint", new.key.thumbprint, f"The thumbprint of the data is {thumbprint}."
        )
    return new


def read_key(text: str) -> CertificateKey:
    """Return the certificate that a path names: `thumbprintAlgorithm=...,thumbprint=...`."""
    found = {match[1].lower(): match[2] for match in map(_KEY.match, text.split(",")) if match}
    if len(found) != 2 or text.count(",") != 1:
        raise Refused(
            "InvalidUri",
            Reason="A certificate is named thumbprintAlgorithm=sha1,thumbprint=(40 digits).",
        )
    return CertificateKey(found["thumbprintalgorithm"], found["thumbprint"])


# --- references of pools --------------------------------------------------------------------------

_REFERENCE: Final = Structure(
    (
        *_NAME,
        Property("storeLocation", "store_location", one_of(CertificateStoreLocation)),
        Property("storeName", "store_name", text),
        Property("visibility", "visibility", list_of(one_of(CertificateVisibility), 10)),
    )
)


def _read_reference(value: Any, name: str) -> CertificateReference:
    values = _REFERENCE.read(value, name)
    key = CertificateKey(values.pop("algorithm"), values.pop("thumbprint"))
    return CertificateReference(key, **values)


def _write_reference(reference: CertificateReference) -> Document:
    document: Document = _write_key(reference.key)
    if reference.store_location is not None:
        document["storeLocation"] = reference.store_location
    if reference.store_name is not None:
        document["storeName"] = reference.store_name
    if reference.visibility:
        document["visibility"] = list(reference.visibility)
    return document


read_references: Final = list_of(_read_reference, REFERENCES_MAX)
write_references: Final = listed(_write_reference)

# --- out ------------------------------------------------------------------------------------------


def write_certificate(certificate: Certificate, base: str) -> Document:
    """Return a certificate as users see it; `base` is scheme and host. Secrets are never told."""
    document: Document = _write_key(certificate.key)
    document |= {
        "url": f"{base}/{_path('thumbprintAlgorithm={},thumbprint={}', certificate.key)}",
        "state": certificate.state,
        "stateTransitionTime": timestamp(certificate.state_at),
    }
    if certificate.previous_state is not None and certificate.previous_state_at is not None:
        document["previousState"] = certificate.previous_state
        document["previousStateTransitionTime"] = timestamp(certificate.previous_state_at)
    if certificate.format == CertificateFormat.CER:
        document["publicData"] = base64.b64encode(certificate.data).decode()
    if certificate.used_by:
        document["deleteCertificateError"] = _write_users(certificate.used_by)
    return document


def write_location(key: CertificateKey, base: str) -> str:
    """Return the URL of a new certificate, spelled as recorded."""
    return f"{base}/{_path('ThumbprintAlgorithm={},Thumbprint={}', key)}"


def _path(form: str, key: CertificateKey) -> str:
    return f"certificates({form.format(key.algorithm, key.thumbprint)})"


def _write_key(key: CertificateKey) -> Document:
    return {"thumbprint": key.thumbprint, "thumbprintAlgorithm": key.algorithm}


def _write_users(pool_ids: tuple[str, ...]) -> Mapping[str, Any]:
    return {
        "code": "CertificateDeleteFailed",
        "message": "The certificate is referred to by pools.",
        "values": [{"name": "Pool", "value": pool_id} for pool_id in pool_ids],
    }
