"""shoal app: upload, list, show, set-default, delete: applications and their packages.

Unlike all other commands these speak the management interface: only there packages come and go.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from shoal_cli.command import FOLLOW_PATIENCE_S, Session, api_command
from shoal_cli.faults import UsageFault
from shoal_cli.options import ID, VERSION, limit_option, yes_option

MANAGEMENT: Final[Mapping[str, Any]] = {"api-version": "2025-06-01"}
"""The management interface counts its versions by itself, whatever the Batch API's is."""
_LABEL: Final = "shoal"
"""Subscriptions and resource groups are labels: any will do."""


@click.group()
def app() -> None:
    """Applications: programs for nodes, as zips with a version."""


def url_of(session: Session, *segments: str) -> str:
    """Return the path of the account's applications, or of something in them."""
    from shoal_cli.client import path_of

    account = session.client.settings.account
    group = path_of("subscriptions", _LABEL, "resourceGroups", _LABEL)
    provider = path_of("providers", "Microsoft.Batch", "batchAccounts", account)
    return group + provider + path_of("applications", *segments)


@api_command(
    app,
    "upload",
    doing="upload package '{version}' of application '{app_id}'",
    patience_s=FOLLOW_PATIENCE_S,
)
@click.argument("app_id", metavar="APP", type=ID)
@click.argument("version", metavar="VERSION", type=VERSION)
@click.argument("file", metavar="FILE.zip", type=click.Path(path_type=Path))
@click.option("--default", "is_default", is_flag=True, help="Make it the default version.")
@click.option("--name", help="A name for people, of the application.")
async def upload(
    session: Session, app_id: str, version: str, file: Path, is_default: bool, name: str | None
) -> None:
    """Upload a zip and activate it; the application is made with its first package."""
    from shoal_cli.storage import put_signed
    from shoal_cli.views import PACKAGE

    _check_zip(file)
    client, place = session.client, url_of(session, app_id, "versions", version)
    properties = {"displayName": name} if name else {}
    await client.put(url_of(session, app_id), {"properties": properties}, **MANAGEMENT)
    package = await client.put(place, **MANAGEMENT)
    await put_signed(package["properties"]["storageUrl"], file)
    package = await client.post(f"{place}/activate", {"format": "zip"}, **MANAGEMENT)
    if is_default:
        await _set_default(session, app_id, version)
    if session.out.format == "table" and not session.out.quiet:
        also = ", and the default" if is_default else ""
        session.out.done(f"package '{version}' of application '{app_id}' is active{also}")
    else:
        session.out.show(package, PACKAGE)


@api_command(app, "list", doing="list applications")
@limit_option
async def list_(session: Session, limit: int | None) -> None:
    """List applications, with the versions that pools and tasks may refer to."""
    from shoal_cli.views import application_columns

    active: dict[str, list[str]] = {}
    async for page in session.client.pages("/applications"):
        active |= {found["id"]: found.get("versions") or [] for found in page}
    pages = session.client.pages(url_of(session), limit=limit, **MANAGEMENT)
    await session.out.list(pages, application_columns(active))


@api_command(app, "show", doing="show application '{app_id}'")
@click.argument("app_id", metavar="APP", type=ID)
@click.argument("version", metavar="[VERSION]", type=VERSION, required=False)
async def show(session: Session, app_id: str, version: str | None) -> None:
    """Show an application, or one of its packages."""
    from shoal_cli.views import PACKAGE, application_columns, package_state

    client = session.client
    if version is not None:
        place = url_of(session, app_id, "versions", version)
        session.out.show(await client.get(place, **MANAGEMENT), PACKAGE)
        return
    found = await client.get(url_of(session, app_id), **MANAGEMENT)
    states = [package_state(package) async for package in _packages(session, app_id)]
    session.out.show(found, application_columns({found["name"]: states}))


@api_command(app, "set-default", doing="set the default version of application '{app_id}'")
@click.argument("app_id", metavar="APP", type=ID)
@click.argument("version", metavar="[VERSION]", type=VERSION, required=False)
@click.option("--none", "is_none", is_flag=True, help="Have no default version.")
async def set_default(session: Session, app_id: str, version: str | None, is_none: bool) -> None:
    """Say which version is meant where none is named."""
    if (version is None) != is_none:
        raise UsageFault("give a VERSION, or --none")
    await _set_default(session, app_id, version or "")
    session.out.done(
        f"application '{app_id}' has no default version"
        if is_none
        else f"version '{version}' is the default of application '{app_id}'"
    )


@api_command(app, "delete", doing="delete application '{app_id}'", patience_s=FOLLOW_PATIENCE_S)
@click.argument("app_id", metavar="APP", type=ID)
@click.argument("version", metavar="[VERSION]", type=VERSION, required=False)
@yes_option
async def delete(session: Session, app_id: str, version: str | None) -> None:
    """Delete one package, or an application with all its packages."""
    client = session.client
    if version is not None:
        session.confirm(f"Delete package {version} of application {app_id}?")
        place = url_of(session, app_id, "versions", version)
        await client.get(place, **MANAGEMENT)  # deleting what is not there would be no failure
        await client.delete(place, **MANAGEMENT)
        session.out.done(f"package '{version}' of application '{app_id}' has been deleted")
        return
    versions = [package["name"] async for package in _packages(session, app_id)]
    session.confirm(f"Delete application {app_id} and its {len(versions)} packages?")
    for each in versions:
        await client.delete(url_of(session, app_id, "versions", each), **MANAGEMENT)
    await client.delete(url_of(session, app_id), **MANAGEMENT)
    session.out.done(f"application '{app_id}' has been deleted")


def _check_zip(file: Path) -> None:
    """Raise UsageFault for what need not be sent; the service looks closer."""
    from zipfile import is_zipfile

    if not file.is_file():
        raise UsageFault(f"there is no file '{file}'")
    if not is_zipfile(file):
        raise UsageFault(
            f"'{file}' is no zip archive",
            mend=f"pack it: python3 -m zipfile -c {file.stem}.zip FOLDER/",
        )


async def _set_default(session: Session, app_id: str, version: str) -> None:
    body = {"properties": {"defaultVersion": version}}
    await session.client.patch(url_of(session, app_id), body, **MANAGEMENT)


async def _packages(session: Session, app_id: str) -> AsyncIterator[dict[str, Any]]:
    async for page in session.client.pages(url_of(session, app_id, "versions"), **MANAGEMENT):
        for package in page:
            yield package
