"""Applications and packages in rows, and what of theirs is still to be removed from the storage."""

from __future__ import annotations

from typing import Any, Final

from shoal_controller.core.application import Application, Package, PackageState, Tags
from shoal_controller.store.columns import (
    decoder,
    encode,
    ticks,
    ticks_or_none,
    time,
    time_or_none,
)
from shoal_controller.store.database import Row, Tx

GET: Final = "SELECT * FROM applications WHERE id = ?"
PAGE: Final = "SELECT * FROM applications WHERE serial > ? ORDER BY serial LIMIT ?"
COUNT: Final = "SELECT count(*) FROM applications"
USABLE_PAGE: Final = (
    "SELECT * FROM applications WHERE serial > ? AND serial IN"
    " (SELECT application_serial FROM packages WHERE state = 'active') ORDER BY serial LIMIT ?"
)
"""Those that something may refer to."""
_DELETE: Final = "DELETE FROM applications WHERE serial = ?"
_COLUMNS: Final = (
    "id, container, display_name, allow_updates, default_version, tags, created_at, modified_at"
)
_INSERT: Final = f"INSERT INTO applications ({_COLUMNS}) VALUES ({', '.join('?' * 8)})"
_UPDATE: Final = f"UPDATE applications SET ({_COLUMNS}) = ({', '.join('?' * 8)}) WHERE serial = ?"

GET_PACKAGE: Final = "SELECT * FROM packages WHERE application_serial = ? AND version = ?"
PACKAGE_PAGE: Final = (
    "SELECT * FROM packages WHERE application_serial = ? AND serial > ? ORDER BY serial LIMIT ?"
)
ACTIVE_PACKAGES: Final = (
    "SELECT * FROM packages WHERE state = 'active' AND application_serial BETWEEN ? AND ?"
    " ORDER BY application_serial, serial"
)
_PACKAGES: Final = "SELECT * FROM packages WHERE application_serial = ? ORDER BY serial"
_DELETE_PACKAGE: Final = "DELETE FROM packages WHERE serial = ?"
_PACKAGE_COLUMNS: Final = (
    "application_serial, version, blob, state, format, activated_at, tags, created_at, modified_at"
)
_INSERT_PACKAGE: Final = f"INSERT INTO packages ({_PACKAGE_COLUMNS}) VALUES ({', '.join('?' * 9)})"
_UPDATE_PACKAGE: Final = (
    f"UPDATE packages SET ({_PACKAGE_COLUMNS}) = ({', '.join('?' * 9)}) WHERE serial = ?"
)

DOOMED_PER_ROUND: Final = 100
DOOMED: Final = (
    f"SELECT serial, container, blob FROM doomed_blobs ORDER BY serial LIMIT {DOOMED_PER_ROUND}"
)
_DOOM: Final = "INSERT INTO doomed_blobs (container, blob) VALUES (?, ?)"
_FORGET_DOOMED: Final = "DELETE FROM doomed_blobs WHERE serial = ?"

_tags = decoder(Tags)


def application(row: Row) -> Application:
    """Return the application of a row."""
    return Application(
        serial=row["serial"],
        id=row["id"],
        container=row["container"],
        created_at=time(row["created_at"]),
        modified_at=time(row["modified_at"]),
        display_name=row["display_name"],
        allow_updates=bool(row["allow_updates"]),
        default_version=row["default_version"],
        tags=_tags(row["tags"]),
    )


def package(row: Row) -> Package:
    """Return the package of a row."""
    return Package(
        serial=row["serial"],
        application_serial=row["application_serial"],
        version=row["version"],
        blob=row["blob"],
        created_at=time(row["created_at"]),
        modified_at=time(row["modified_at"]),
        state=PackageState(row["state"]),
        format=row["format"],
        activated_at=time_or_none(row["activated_at"]),
        tags=_tags(row["tags"]),
    )


def get(tx: Tx, application_id: str) -> Application | None:
    """Return the application of that id, whatever its case, or None."""
    row = tx.row(GET, (application_id,))
    return None if row is None else application(row)


def insert(tx: Tx, new: Application) -> int:
    """Store a new application and return its serial."""
    return tx.execute(_INSERT, _values(new)).lastrowid or 0


def update(tx: Tx, changed: Application) -> None:
    tx.execute(_UPDATE, (*_values(changed), changed.serial))


def delete(tx: Tx, serial: int) -> None:
    tx.execute(_DELETE, (serial,))


def packages(tx: Tx, application_serial: int) -> list[Package]:
    """Return all packages of an application, oldest first: there are few."""
    return [package(row) for row in tx.rows(_PACKAGES, (application_serial,))]


def get_package(tx: Tx, application_serial: int, version: str) -> Package | None:
    """Return the package of that version, whatever its case, or None."""
    row = tx.row(GET_PACKAGE, (application_serial, version))
    return None if row is None else package(row)


def insert_package(tx: Tx, new: Package) -> int:
    """Store a new package and return its serial."""
    return tx.execute(_INSERT_PACKAGE, _package_values(new)).lastrowid or 0


def update_package(tx: Tx, changed: Package) -> None:
    tx.execute(_UPDATE_PACKAGE, (*_package_values(changed), changed.serial))


def delete_package(tx: Tx, serial: int) -> None:
    tx.execute(_DELETE_PACKAGE, (serial,))


def doom(tx: Tx, container: str, blob: str | None) -> None:
    """Note that a blob, or the whole container, is to be removed from the storage."""
    tx.execute(_DOOM, (container, blob))


def forget_doomed(tx: Tx, serial: int) -> None:
    """Note that it was removed."""
    tx.execute(_FORGET_DOOMED, (serial,))


def _values(application: Application) -> tuple[Any, ...]:
    return (
        application.id,
        application.container,
        application.display_name,
        int(application.allow_updates),
        application.default_version,
        encode(application.tags),
        ticks(application.created_at),
        ticks(application.modified_at),
    )


def _package_values(package: Package) -> tuple[Any, ...]:
    return (
        package.application_serial,
        package.version,
        package.blob,
        package.state,
        package.format,
        ticks_or_none(package.activated_at),
        encode(package.tags),
        ticks(package.created_at),
        ticks(package.modified_at),
    )
