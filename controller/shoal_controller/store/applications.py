"""Applications and packages in rows, and what of theirs is still to be removed from the storage."""

from __future__ import annotations

from typing import Final

from shoal_controller.core.application import Application, Package, PackageState, Tags
from shoal_controller.store.database import Tx
from shoal_controller.store.table import (
    choice,
    moment,
    moment_or_none,
    nested,
    plain,
    table,
    truth,
)

GET: Final = "SELECT * FROM applications WHERE id = ?"
PAGE: Final = "SELECT * FROM applications WHERE serial > ? ORDER BY serial LIMIT ?"
COUNT: Final = "SELECT count(*) FROM applications"
USABLE_PAGE: Final = (
    "SELECT * FROM applications WHERE serial > ? AND serial IN"
    " (SELECT application_serial FROM packages WHERE state = 'active') ORDER BY serial LIMIT ?"
)
"""Those that something may refer to."""
GET_PACKAGE: Final = "SELECT * FROM packages WHERE application_serial = ? AND version = ?"
PACKAGE_PAGE: Final = (
    "SELECT * FROM packages WHERE application_serial = ? AND serial > ? ORDER BY serial LIMIT ?"
)
ACTIVE_PACKAGES: Final = (
    "SELECT * FROM packages WHERE state = 'active' AND application_serial BETWEEN ? AND ?"
    " ORDER BY application_serial, serial"
)
_PACKAGES: Final = "SELECT * FROM packages WHERE application_serial = ? ORDER BY serial"
DOOMED_PER_ROUND: Final = 100
DOOMED: Final = (
    f"SELECT serial, container, blob FROM doomed_blobs ORDER BY serial LIMIT {DOOMED_PER_ROUND}"
)
_DOOM: Final = "INSERT INTO doomed_blobs (container, blob) VALUES (?, ?)"
_FORGET_DOOMED: Final = "DELETE FROM doomed_blobs WHERE serial = ?"

_TABLE: Final = table(
    "applications",
    Application,
    *plain("id", "container", "display_name", "default_version"),
    truth("allow_updates"),
    nested("tags", Tags),
    *(moment("created_at"), moment("modified_at")),
)
application = _TABLE.record
insert = _TABLE.insert
update = _TABLE.update
delete = _TABLE.delete

_PACKAGE: Final = table(
    "packages",
    Package,
    *plain("application_serial", "version", "blob", "format"),
    choice("state", PackageState),
    moment_or_none("activated_at"),
    nested("tags", Tags),
    *(moment("created_at"), moment("modified_at")),
)
package = _PACKAGE.record
insert_package = _PACKAGE.insert
update_package = _PACKAGE.update
delete_package = _PACKAGE.delete


def get(tx: Tx, application_id: str) -> Application | None:
    """Return the application of that id, whatever its case, or None."""
    return _TABLE.one(tx, GET, (application_id,))


def packages(tx: Tx, application_serial: int) -> list[Package]:
    """Return all packages of an application, oldest first: there are few."""
    return _PACKAGE.all(tx, _PACKAGES, (application_serial,))


def get_package(tx: Tx, application_serial: int, version: str) -> Package | None:
    """Return the package of that version, whatever its case, or None."""
    return _PACKAGE.one(tx, GET_PACKAGE, (application_serial, version))


def doom(tx: Tx, container: str, blob: str | None) -> None:
    """Note that a blob, or the whole container, is to be removed from the storage."""
    tx.execute(_DOOM, (container, blob))


def forget_doomed(tx: Tx, serial: int) -> None:
    """Note that it was removed."""
    tx.execute(_FORGET_DOOMED, (serial,))
