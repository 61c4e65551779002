"""Applications and their packages: records, and the rules for changing them.

An application is a named set of versions. Each version is a package: one zip in the account's
storage, uploaded first and then activated. Source: semantics.md 9, and recordings of the service's
management interface for states, URLs and what a deletion may take away.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from shoal_controller.core.errors import Refused, invalid_property, missing_property
from shoal_controller.core.ids import fold

APPLICATIONS_MAX: Final = 200
PACKAGES_MAX: Final = 40
FORMAT: Final = "zip"
URL_LIFE: Final = timedelta(hours=4)
URL_EARLY: Final = timedelta(minutes=5)
"""A URL is good from so long ago: the clock of who uses it may be behind."""
_VERSION: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
_CONTAINER_NAME_CHARACTERS_MAX: Final = 24
_UNFIT: Final = re.compile(r"[^a-z0-9]+")

Tags = tuple[tuple[str, str], ...]


class PackageState(StrEnum):
    """Whether something may refer to a package."""

    PENDING = "pending"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Application:
    """An application as stored.

    serial           its number in the account, never used again
    container        where in the account's storage its packages are
    allow_updates    whether the content of an active package may be replaced
    default_version  what a reference without a version means
    """

    serial: int
    id: str
    container: str
    created_at: datetime
    modified_at: datetime
    display_name: str | None = None
    allow_updates: bool = True
    default_version: str | None = None
    tags: Tags = ()


@dataclass(frozen=True, slots=True)
class Package:
    """One version of an application as stored.

    blob          its name in the application's container; no other package ever had it
    format        of the content that was activated; None while nothing was
    activated_at  when that last happened
    """

    serial: int
    application_serial: int
    version: str
    blob: str
    created_at: datetime
    modified_at: datetime
    state: PackageState = PackageState.PENDING
    format: str | None = None
    activated_at: datetime | None = None
    tags: Tags = ()


class BlobFacts(NamedTuple):
    """What is known of an upload. `tag` names this version of its content; size in bytes."""

    size: int
    tag: str


def check_version(value: object, name: str = "version") -> str:
    """Return `value` if it can name a version, or raise Refused naming the property."""
    if value is None or value == "":
        raise missing_property(name)
    if type(value) is not str or not _VERSION.match(value) or not value.strip("."):
        raise invalid_property(
            name,
            value,
            "A version has 1 to 64 characters, each a letter, a digit, '-', '_' or '.', and not "
            "dots alone.",
        )
    return value


def check_room(noun: str, count: int, limit: int) -> None:
    """Raise Refused when one more would be too many.

    noun  Application or Package, as in the code of the refusal
    """
    if count >= limit:
        code = "ApplicationQuotaReached"
        if noun == "Package":
            code = "ApplicationPackageQuotaReached"
        raise Refused(code, Reason=f"There are {count}; the quota is {limit}. Delete some first.")


def changed(
    application: Application,
    changes: Mapping[str, Any],
    versions: Collection[str],
    now: datetime,
) -> Application:
    """Return `application` with some attributes changed; the same when nothing is.

    changes   attributes of Application by name; an empty default_version takes it away
    versions  of its packages: only one of these can be the default
    raises    Refused
    """
    wanted = dict(changes)
    default = wanted.get("default_version")
    if default == "":
        wanted["default_version"] = None
    elif default is not None:
        known = {fold(version): version for version in versions}
        if fold(default) not in known:
            raise invalid_property(
                "defaultVersion",
                default,
                "It must be the version of a package that the application has.",
            )
        wanted["default_version"] = known[fold(default)]
    after = replace(application, **wanted)
    return after if after == application else replace(after, modified_at=now)


def without_version(application: Application, version: str, now: datetime) -> Application:
    """Return `application` as it stands once that version is gone."""
    default = application.default_version
    if default is None or fold(default) != fold(version):
        return application
    return replace(application, default_version=None, modified_at=now)


def check_no_packages(application: Application, count: int) -> None:
    """Raise Refused while an application has packages."""
    if count:
        raise Refused(
            "OperationInvalidForCurrentState",
            Reason=f"Application '{application.id}' has {count} packages; delete them first.",
        )


def check_replaceable(application: Application, package: Package) -> None:
    """Raise Refused unless the content of a package may be replaced."""
    if package.state == PackageState.ACTIVE and not application.allow_updates:
        raise Refused(
            "OperationInvalidForCurrentState",
            Reason=f"Package '{package.version}' is active, and application '{application.id}' "
            "does not allow updates (allowUpdates is false); add another version, or allow them.",
        )


def activated(application: Application, package: Package, now: datetime) -> Package:
    """Return `package` once its content was found to be good.

    A package that is active already and must not be replaced stays as it is: the request is a
    repeated one.
    """
    if package.state == PackageState.ACTIVE and not application.allow_updates:
        return package
    return replace(
        package, state=PackageState.ACTIVE, format=FORMAT, activated_at=now, modified_at=now
    )


def url_permissions(application: Application, package: Package) -> str:
    """Return what the URL of a package's content allows, in letters of a SAS.

    Source: recordings. Reading is part of it even while nothing is uploaded: AzCopy looks at what
    it wrote.
    """
    if package.state == PackageState.ACTIVE and not application.allow_updates:
        return "r"
    return "rw"


def container_name(application_id: str, token: str) -> str:
    """Return where an application's packages are to be.

    token  32 hexadecimal digits that nothing else has
    """
    readable = _UNFIT.sub("-", fold(application_id))[:_CONTAINER_NAME_CHARACTERS_MAX].strip("-")
    return f"app-{readable}-{token}" if readable else f"app-{token}"


def blob_name(version: str, token: str) -> str:
    """Return the name of a package's content; the token keeps old URLs away from new packages."""
    return f"{version}-{token}.{FORMAT}"
