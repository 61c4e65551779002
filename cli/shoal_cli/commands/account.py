"""shoal account: list, create, show, keys, rotate, quota, delete.

On the controller's machine by its admin socket, for all accounts; elsewhere an owner looks after
the own account by the API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shoal_cli.bodies import put
from shoal_cli.command import Session, api_command
from shoal_cli.faults import UsageFault
from shoal_cli.options import ID, Count, yes_option

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOT = ("shoal", "v1")


@click.group()
def account() -> None:
    """Accounts: their keys and quotas."""


_name = click.argument("name", metavar="NAME", type=ID)
_own_or = click.argument("name", metavar="[NAME]", type=ID, required=False)


def _quotas(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for an account's quotas."""
    for option, what in (
        ("--jobs", "jobs and schedules that are not completed"),
        ("--pools", "pools"),
        ("--low-priority-cores", "cores of low-priority nodes"),
        ("--cores", "cores of dedicated nodes"),
    ):
        function = click.option(option, type=Count(0), help=f"At most N {what}.")(function)
    return function


@api_command(account, "list", doing="list the accounts", is_admin=True)
async def list_(session: Session) -> None:
    """List all accounts of a controller."""
    from shoal_cli.client import path_of
    from shoal_cli.views import ACCOUNT

    _need_socket(session)
    await session.out.list(session.client.pages(path_of(*_ROOT, "accounts")), ACCOUNT)


@api_command(account, "create", doing="create account '{name}'", is_admin=True)
@_name
@_quotas
async def create(session: Session, name: str, **quotas: int | None) -> None:
    """Make an account; `shoal account keys NAME` shows its keys."""
    from shoal_cli.client import path_of

    _need_socket(session)
    body = {"name": name, **_quota_body(**quotas)}
    await session.client.post(path_of(*_ROOT, "accounts"), body)
    session.out.done(f"account '{name}' is there; its keys: shoal account keys {name}")


@api_command(account, "show", doing="show account '{name}'", is_admin=True)
@_own_or
async def show(session: Session, name: str | None) -> None:
    """Show an account and its quotas."""
    from shoal_cli.views import ACCOUNT

    session.out.show(await session.client.get(await _path(session, name)), ACCOUNT)


@api_command(account, "keys", doing="show the keys of account '{name}'", is_admin=True)
@_own_or
async def keys(session: Session, name: str | None) -> None:
    """Show an account's keys; with --quiet the primary one alone."""
    from shoal_cli.views import KEYS

    session.out.show(await session.client.post(await _path(session, name) + "/listkeys"), KEYS)


@api_command(account, "rotate", doing="make a new {key} key of account '{name}'", is_admin=True)
@click.argument("key", type=click.Choice(["primary", "secondary"]))
@_own_or
@click.option("--storage", is_flag=True, help="The key of the blob storage.")
@yes_option
async def rotate(session: Session, key: str, name: str | None, storage: bool) -> None:
    """Make a new key: who uses the old one is refused from now on, the other key stays good."""
    path = await _path(session, name)
    whose = name or session.client.settings.account or (await session.client.get(path))["name"]
    service = "storage" if storage else "batch"
    session.confirm(f"Make a new {key} key of account {whose}? What uses the old one is refused.")
    await session.client.post(path + "/regeneratekey", {"keyName": key, "service": service})
    session.out.done(f"account '{whose}' has a new {key} key of {service}; the other one stays")


@api_command(account, "quota", doing="change the quotas of account '{name}'", is_admin=True)
@_name
@_quotas
async def quota(session: Session, name: str, **quotas: int | None) -> None:
    """Change an account's quotas; what exists beyond a lower one stays."""
    body = _quota_body(**quotas)
    if not body:
        raise UsageFault(
            "no quota is given", mend="give --cores, --low-priority-cores, --pools or --jobs"
        )
    _need_socket(session)
    await session.client.patch(await _path(session, name), body)
    session.out.done(f"account '{name}' has its new quotas")


@api_command(account, "delete", doing="delete account '{name}'", is_admin=True)
@_name
@yes_option
async def delete(session: Session, name: str) -> None:
    """Delete an account with its nodes, its jobs, its files and its storage."""
    _need_socket(session)
    session.confirm(f"Delete account {name} with all that is in it?")
    await session.client.delete(await _path(session, name))
    session.out.done(f"account '{name}' is gone")


def _quota_body(
    *, cores: int | None, low_priority_cores: int | None, pools: int | None, jobs: int | None
) -> dict[str, Any]:
    return put(
        {},
        dedicatedCoreQuota=cores,
        lowPriorityCoreQuota=low_priority_cores,
        poolQuota=pools,
        activeJobAndJobScheduleQuota=jobs,
    )


async def _path(session: Session, name: str | None) -> str:
    """Return where an account is looked after: by its name at the socket, the own one elsewhere."""
    from shoal_cli.client import path_of

    settings = session.client.settings
    if settings.admin_socket:
        name = name or settings.account
        if not name:
            raise UsageFault("which account?", mend="give its name; `shoal account list` shows all")
        return path_of(*_ROOT, "accounts", name)
    path = path_of(*_ROOT, "account")
    if name is not None and settings.token:  # it says whose it is to the service alone
        own = (await session.client.get(path))["name"]
    else:
        own = settings.account
    if name is not None and name != own:
        _need_socket(session)
    return path


def _need_socket(session: Session) -> None:
    if not session.client.settings.admin_socket:
        raise UsageFault(
            "this is done on the controller's machine, by who may open its admin socket",
            mend="give --socket DATA/admin.sock, or set SHOAL_ADMIN_SOCKET,\n"
            "where DATA is the folder that controller.toml names as data",
        )
