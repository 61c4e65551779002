"""Certificates in rows."""

from __future__ import annotations

from typing import Any, Final

from shoal_controller.core.certificate import (
    Certificate,
    CertificateFormat,
    CertificateKey,
    CertificateState,
)
from shoal_controller.store.columns import (
    decoder,
    encode,
    ticks,
    ticks_or_none,
    time,
    time_or_none,
)
from shoal_controller.store.database import Row, Tx

GET: Final = "SELECT * FROM certificates WHERE algorithm = ? AND thumbprint = ?"
DELETE: Final = "DELETE FROM certificates WHERE serial = ?"
_COLUMNS: Final = (
    "algorithm, thumbprint, data, format, password, state, state_at, previous_state,"
    " previous_state_at, used_by"
)
_INSERT: Final = f"INSERT INTO certificates ({_COLUMNS}) VALUES ({', '.join('?' * 10)})"
_UPDATE: Final = f"UPDATE certificates SET ({_COLUMNS}) = ({', '.join('?' * 10)}) WHERE serial = ?"

_used_by = decoder(tuple[str, ...])


def certificate(row: Row) -> Certificate:
    """Return the certificate of a row."""
    previous = row["previous_state"]
    return Certificate(
        serial=row["serial"],
        key=CertificateKey(row["algorithm"], row["thumbprint"]),
        data=row["data"],
        format=CertificateFormat(row["format"]),
        password=row["password"],
        state=CertificateState(row["state"]),
        state_at=time(row["state_at"]),
        previous_state=None if previous is None else CertificateState(previous),
        previous_state_at=time_or_none(row["previous_state_at"]),
        used_by=_used_by(row["used_by"]),
    )


def get(tx: Tx, key: CertificateKey) -> Certificate | None:
    """Return the certificate of that name, whatever its case, or None."""
    row = tx.row(GET, (key.algorithm, key.thumbprint))
    return None if row is None else certificate(row)


def insert(tx: Tx, new: Certificate) -> int:
    """Store a new certificate and return its serial; sqlite3.IntegrityError for a namesake."""
    return tx.execute(_INSERT, _values(new)).lastrowid or 0


def update(tx: Tx, changed: Certificate) -> None:
    tx.execute(_UPDATE, (*_values(changed), changed.serial))


def delete(tx: Tx, serial: int) -> None:
    tx.execute(DELETE, (serial,))


def _values(certificate: Certificate) -> tuple[Any, ...]:
    return (
        certificate.key.algorithm,
        certificate.key.thumbprint,
        certificate.data,
        certificate.format,
        certificate.password,
        certificate.state,
        ticks(certificate.state_at),
        certificate.previous_state,
        ticks_or_none(certificate.previous_state_at),
        encode(certificate.used_by),
    )
