"""Two keys per account: one is made anew while clients go on with the other."""

from __future__ import annotations

from shoal_controller.core.account import KeyName, Service
from shoal_controller.operations.accounts import regenerate_key
from tests.conformance.conftest import SECOND_KEY, Caller, House, job_body


async def test_a_new_key_counts_at_once_and_interrupts_nobody(house: House, caller: Caller) -> None:
    other = Caller(caller.base, caller.session, caller.clock, key=SECOND_KEY)
    for name in ("a", "b"):
        await caller.make("/jobs", job_body(name))
    page = await caller.get("/jobs", "maxresults=1")
    await regenerate_key(house.ctx, Service.BATCH, KeyName.PRIMARY)
    refused = await caller.get("/jobs")
    assert (refused.status, refused.code) == (403, "AuthenticationFailed")
    assert (await other.get("/jobs")).status == 200
    caller.key = house.ctx.account.keys[0]
    # A list that was begun with the old key goes on where it was.
    rest = await caller.follow(page.json["odata.nextLink"])
    assert [job["id"] for job in rest.json["value"]] == ["b"]


async def test_keys_of_storage_do_not_sign_for_the_batch_api(house: House, caller: Caller) -> None:
    await regenerate_key(house.ctx, Service.STORAGE, KeyName.PRIMARY)
    assert (await caller.get("/jobs")).status == 200
    caller.key = house.ctx.account.storage_keys[0]
    assert (await caller.get("/jobs")).status == 403
