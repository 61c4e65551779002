"""Certificates in rows."""

from __future__ import annotations

from typing import Any, Final

from shoal_controller.core.certificate import (
    Certificate,
    CertificateFormat,
    CertificateKey,
    CertificateState,
)
from shoal_controller.store.database import Tx
from shoal_controller.store.table import (
    Column,
    choice,
    choice_or_none,
    moment,
    moment_or_none,
    nested,
    plain,
    table,
)

GET: Final = "SELECT * FROM certificates WHERE algorithm = ? AND thumbprint = ?"


def _make(algorithm: str, thumbprint: str, **rest: Any) -> Certificate:
    return Certificate(key=CertificateKey(algorithm, thumbprint), **rest)


_TABLE: Final = table(
    "certificates",
    _make,
    Column("algorithm", lambda one: one.key.algorithm, str),
    Column("thumbprint", lambda one: one.key.thumbprint, str),
    *plain("data", "password"),
    choice("format", CertificateFormat),
    *(choice("state", CertificateState), moment("state_at")),
    *(choice_or_none("previous_state", CertificateState), moment_or_none("previous_state_at")),
    nested("used_by", tuple[str, ...]),
)
certificate = _TABLE.record
insert = _TABLE.insert
update = _TABLE.update
delete = _TABLE.delete


def get(tx: Tx, key: CertificateKey) -> Certificate | None:
    """Return the certificate of that name, whatever its case, or None."""
    return _TABLE.one(tx, GET, (key.algorithm, key.thumbprint))
