"""Applications: create, read, change, delete, and what of them something may refer to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shoal_controller.core import application as rules
from shoal_controller.core.application import Application, Package
from shoal_controller.core.conditions import ANY, Conditions
from shoal_controller.core.errors import Refused
from shoal_controller.core.ids import check_id
from shoal_controller.core.listing import Listing, ListQuery
from shoal_controller.operations.autostorage import blobs_of, sweep_now
from shoal_controller.operations.context import Context
from shoal_controller.store import applications
from shoal_controller.store.database import Row, Tx


@dataclass(frozen=True, slots=True)
class Usable:
    """An application, and the versions of it that something may refer to."""

    application: Application
    versions: list[str]


async def put_application(
    ctx: Context, application_id: str, changes: Mapping[str, Any], conditions: Conditions = ANY
) -> Application:
    """Create an application, or change the given attributes of one that is there."""
    check_id(application_id, "applicationName")
    token = blobs_of(ctx).new_token()
    now = ctx.clock.now()

    def decide(tx: Tx) -> Application:
        found = applications.get(tx, application_id)
        check_conditions(conditions, found)
        if found is not None:
            return _change(tx, found, changes, now)
        (count,) = tx.rows(applications.COUNT)[0]
        rules.check_room("Application", count, rules.APPLICATIONS_MAX)
        container = rules.container_name(application_id, token)
        new = Application(0, application_id, container, now, now)
        new = rules.changed(new, changes, (), now)
        return replace(new, serial=applications.insert(tx, new))

    return await ctx.settle(decide, grows=True)


async def update_application(
    ctx: Context, application_id: str, changes: Mapping[str, Any], conditions: Conditions = ANY
) -> Application:
    """Change the given attributes of an application."""
    now = ctx.clock.now()

    def decide(tx: Tx) -> Application:
        found = find_application(tx, application_id)
        check_conditions(conditions, found)
        return _change(tx, found, changes, now)

    return await ctx.settle(decide)


async def get_application(
    ctx: Context, application_id: str, conditions: Conditions = ANY
) -> Application:
    """Return an application."""
    rows = await ctx.store.read(applications.GET, (application_id,))
    if not rows:
        raise Refused("ApplicationNotFound")
    found = applications.application(rows[0])
    conditions.check(found.modified_at, is_read=True)
    return found


async def list_applications(ctx: Context, query: ListQuery) -> Listing[Application]:
    """Return a page of the account's applications, oldest first."""
    rows = await ctx.store.read(applications.PAGE, (query.after_serial, query.limit + 1))
    rows, next_after = page_of(rows, query.limit)
    return Listing([applications.application(row) for row in rows], next_after)


async def delete_application(
    ctx: Context, application_id: str, conditions: Conditions = ANY
) -> bool:
    """Delete an application that has no packages; return whether there was one."""

    def decide(tx: Tx) -> bool:
        found = applications.get(tx, application_id)
        if found is None:
            return False
        check_conditions(conditions, found)
        rules.check_no_packages(found, len(applications.packages(tx, found.serial)))
        applications.delete(tx, found.serial)
        applications.doom(tx, found.container, None)
        return True

    was_there = await ctx.settle(decide)
    await sweep_now(ctx)
    return was_there


async def list_usable(ctx: Context, query: ListQuery) -> Listing[Usable]:
    """Return a page of the applications that have an active package."""
    rows = await ctx.store.read(applications.USABLE_PAGE, (query.after_serial, query.limit + 1))
    rows, next_after = page_of(rows, query.limit)
    found = [applications.application(row) for row in rows]
    versions: dict[int, list[str]] = {one.serial: [] for one in found}
    if found:
        spread = (found[0].serial, found[-1].serial)
        for row in await ctx.store.read(applications.ACTIVE_PACKAGES, spread):
            package = applications.package(row)
            if package.application_serial in versions:
                versions[package.application_serial].append(package.version)
    return Listing([Usable(one, versions[one.serial]) for one in found], next_after)


async def get_usable(ctx: Context, application_id: str) -> Usable:
    """Return an application that has an active package."""
    application = await get_application(ctx, application_id)
    rows = await ctx.store.read(
        applications.ACTIVE_PACKAGES, (application.serial, application.serial)
    )
    if not rows:
        raise Refused(
            "ApplicationNotFound", Reason="The application has no package that is active."
        )
    return Usable(application, [applications.package(row).version for row in rows])


# --- also for operations/packages.py --------------------------------------------------------------


def find_application(tx: Tx, application_id: str) -> Application:
    """Return an application within a write, or raise Refused."""
    found = applications.get(tx, application_id)
    if found is None:
        raise Refused("ApplicationNotFound")
    return found


def check_conditions(conditions: Conditions, found: Application | Package | None) -> None:
    """Raise Refused unless a write may go on; nothing at all matches no tag."""
    if found is not None:
        conditions.check(found.modified_at)
    elif conditions.if_match is not None:
        raise Refused("ConditionNotMet")


def page_of(rows: list[Row], limit: int) -> tuple[list[Row], str | None]:
    """Return the rows of a page, of which one too many was asked for, and the next position."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], str(rows[limit - 1]["serial"])


def _change(
    tx: Tx, application: Application, changes: Mapping[str, Any], now: datetime
) -> Application:
    versions = [package.version for package in applications.packages(tx, application.serial)]
    after = rules.changed(application, changes, versions, now)
    applications.update(tx, after)
    return after
