"""An account's keys and quotas: read, make anew, change. They live in files, not in its store.

Making and deleting whole accounts is tenancy.py's affair: it needs every room.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from shoal_controller.core.account import Account, KeyName, Service, with_new_key, with_quotas
from shoal_controller.core.errors import Unavailable
from shoal_controller.operations.context import POOLS, Context
from shoal_controller.store import accounts

log = logging.getLogger(__name__)


async def regenerate_key(ctx: Context, service: Service, key_name: KeyName) -> Account:
    """Replace one key of a pair; it counts at once, and the other one goes on counting."""
    async with ctx.account_changing:
        account = with_new_key(ctx.account, service, key_name, accounts.new_key())
        held = accounts.secrets_of(account)
        await _kept(lambda: accounts.save_secrets(ctx.folder, held))
        ctx.put_account(account)
    log.info("account %s has a new %s key of %s", account.name, key_name, service)
    return account


async def change_quotas(ctx: Context, changes: Mapping[str, int]) -> Account:
    """Change some quotas; they count at once, for what is asked from now on."""
    async with ctx.account_changing:
        account = with_quotas(ctx.account, changes)

        def keep() -> None:
            decided = accounts.load_decided(ctx.folder)
            decided.quotas = {**decided.quotas, **changes}
            accounts.save_decided(ctx.folder, decided)

        await _kept(keep)
        ctx.put_account(account)
    ctx.wakes.wake(POOLS)
    log.info("account %s has the quotas %s", account.name, account.quotas)
    return account


async def _kept(keep: Callable[[], None]) -> None:
    try:
        await asyncio.to_thread(keep)
    except OSError as err:
        raise Unavailable(f"the account's folder cannot be written: {err.strerror}") from err
