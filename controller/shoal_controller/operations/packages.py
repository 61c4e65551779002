"""Packages: create, upload, activate, delete. Their bytes are in the account's storage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from shoal_controller.core import application as rules
from shoal_controller.core.application import Application, Package, Tags
from shoal_controller.core.conditions import ANY, Conditions
from shoal_controller.core.errors import Refused
from shoal_controller.core.listing import Listing, ListQuery
from shoal_controller.operations.applications import (
    check_conditions,
    find_application,
    get_application,
    page_of,
)
from shoal_controller.operations.autostorage import blobs_of, check_zip, sweep_now
from shoal_controller.operations.context import Context
from shoal_controller.store import applications
from shoal_controller.store.database import Tx


@dataclass(frozen=True, slots=True)
class PackageView:
    """A package, and a URL for its content, good until `url_end`."""

    application: Application
    package: Package
    url: str
    url_end: datetime


async def put_package(
    ctx: Context,
    application_id: str,
    version: str,
    tags: Tags | None = None,
    conditions: Conditions = ANY,
) -> PackageView:
    """Create a package that is to be uploaded, or make way for new content of one.

    A package that is active stays so: what refers to it goes on working.
    """
    rules.check_version(version, "versionName")
    blobs = blobs_of(ctx)
    token = blobs.new_token()
    now = ctx.clock.now()

    def decide(tx: Tx) -> tuple[Application, Package]:
        application = find_application(tx, application_id)
        found = applications.get_package(tx, application.serial, version)
        check_conditions(conditions, found)
        if found is not None:
            rules.check_replaceable(application, found)
            if tags is not None and tags != found.tags:
                found = replace(found, tags=tags, modified_at=now)
                applications.update_package(tx, found)
            return application, found
        count = len(applications.packages(tx, application.serial))
        rules.check_room("Package", count, rules.PACKAGES_MAX)
        blob = rules.blob_name(version, token)
        new = Package(0, application.serial, version, blob, now, now, tags=tags or ())
        return application, replace(new, serial=applications.insert_package(tx, new))

    application, package = await ctx.settle(decide, grows=True)
    await blobs.create_container(application.container)
    return _view(ctx, application, package)


async def get_package(
    ctx: Context, application_id: str, version: str, conditions: Conditions = ANY
) -> PackageView:
    """Return a package."""
    application, package = await _read(ctx, application_id, version)
    conditions.check(package.modified_at, is_read=True)
    return _view(ctx, application, package)


async def list_packages(
    ctx: Context, application_id: str, query: ListQuery
) -> Listing[PackageView]:
    """Return a page of an application's packages, oldest first."""
    application = await get_application(ctx, application_id)
    rows = await ctx.store.read(
        applications.PACKAGE_PAGE, (application.serial, query.after_serial, query.limit + 1)
    )
    rows, next_after = page_of(rows, query.limit)
    views = [_view(ctx, application, applications.package(row)) for row in rows]
    return Listing(views, next_after)


async def activate_package(ctx: Context, application_id: str, version: str) -> PackageView:
    """Look at what was uploaded and, if nodes can unpack it, let things refer to the package."""
    application, package = await _read(ctx, application_id, version)
    await check_zip(blobs_of(ctx), application.container, package.blob)
    now = ctx.clock.now()

    def decide(tx: Tx) -> tuple[Application, Package]:
        application = find_application(tx, application_id)
        found = applications.get_package(tx, application.serial, version)
        if found is None or found.serial != package.serial:
            raise Refused("ApplicationPackageNotFound")
        after = rules.activated(application, found, now)
        applications.update_package(tx, after)
        return application, after

    return _view(ctx, *await ctx.settle(decide))


async def delete_package(
    ctx: Context, application_id: str, version: str, conditions: Conditions = ANY
) -> bool:
    """Delete a package with its content; return whether there was one."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> bool:
        application = applications.get(tx, application_id)
        if application is None:
            return False
        package = applications.get_package(tx, application.serial, version)
        if package is None:
            return False
        check_conditions(conditions, package)
        applications.delete_package(tx, package.serial)
        applications.update(tx, rules.without_version(application, package.version, now))
        applications.doom(tx, application.container, package.blob)
        return True

    was_there = await ctx.settle(decide)
    await sweep_now(ctx)
    return was_there


async def _read(ctx: Context, application_id: str, version: str) -> tuple[Application, Package]:
    application = await get_application(ctx, application_id)
    rows = await ctx.store.read(applications.GET_PACKAGE, (application.serial, version))
    if not rows:
        raise Refused("ApplicationPackageNotFound")
    return application, applications.package(rows[0])


def _view(ctx: Context, application: Application, package: Package) -> PackageView:
    now = ctx.clock.now()
    end = now + rules.URL_LIFE
    url = blobs_of(ctx).signed_url(
        application.container,
        package.blob,
        rules.url_permissions(application, package),
        now - rules.URL_EARLY,
        end,
    )
    return PackageView(application, package, url, end)
