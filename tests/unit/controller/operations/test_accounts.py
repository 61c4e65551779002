"""Keys and quotas of an account: what changes is on disk, and counts at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from shoal_controller.core.account import Account, KeyName, Quotas, Service
from shoal_controller.core.errors import Refused, Unavailable
from shoal_controller.operations import accounts
from shoal_controller.operations.context import POOLS
from shoal_controller.store.accounts import load_decided, load_secrets
from tests.unit.controller.operations.conftest import House


@pytest.mark.parametrize("service", Service)
async def test_one_key_is_made_anew_and_the_others_stay(house: House, service: Service):
    told: list[Account] = []
    house.ctx.on_account.append(told.append)
    before = house.ctx.account
    first = await accounts.regenerate_key(house.ctx, service, KeyName.SECONDARY)
    then = await accounts.regenerate_key(house.ctx, service, KeyName.PRIMARY)

    def pair(account: Account) -> tuple[bytes, bytes]:
        return account.keys if service is Service.BATCH else account.storage_keys

    assert pair(first)[0] == pair(before)[0] != pair(then)[0]
    assert pair(before)[1] != pair(first)[1] == pair(then)[1]
    assert told == [first, then]
    assert house.ctx.account == then
    kept = load_secrets(house.ctx.folder)
    assert (kept.batch, kept.storage) == (then.keys, then.storage_keys)
    other = Service.STORAGE if service is Service.BATCH else Service.BATCH
    assert (kept.batch if other is Service.BATCH else kept.storage) == (
        before.keys if other is Service.BATCH else before.storage_keys
    )


async def test_rotations_at_the_same_time_lose_nothing(house: House):
    await asyncio.gather(
        *(accounts.regenerate_key(house.ctx, s, k) for s in Service for k in KeyName)
    )
    kept = load_secrets(house.ctx.folder)
    assert (kept.batch, kept.storage) == (house.ctx.account.keys, house.ctx.account.storage_keys)
    assert len({*kept.batch, *kept.storage, b"1", b"2", b"3", b"4"}) == 8


async def test_a_key_that_cannot_be_kept_does_not_count(house: House, tmp_path: Path):
    house.ctx.folder = tmp_path / "nowhere"
    before = house.ctx.account
    with pytest.raises(Unavailable):
        await accounts.regenerate_key(house.ctx, Service.BATCH, KeyName.PRIMARY)
    assert house.ctx.account == before


async def test_quotas_change_one_by_one_and_wake_the_pools(house: House):
    house.ctx.wakes.event(POOLS).clear()
    await accounts.change_quotas(house.ctx, {"pool_count": 3})
    changed = await accounts.change_quotas(house.ctx, {"dedicated_core_count": 0})
    assert changed.quotas == Quotas(dedicated_core_count=0, pool_count=3)
    assert load_decided(house.ctx.folder).quotas == {"pool_count": 3, "dedicated_core_count": 0}
    assert house.ctx.wakes.event(POOLS).is_set()


async def test_a_quota_of_the_configuration_is_changed_only_there(house: House):
    house.ctx.account = replace(house.ctx.account, fixed_quotas=frozenset({"pool_count"}))
    with pytest.raises(Refused, match=r"controller\.toml"):
        await accounts.change_quotas(house.ctx, {"pool_count": 3})
    assert house.ctx.account.quotas == Quotas()
