"""The limit of requests per account: what goes beyond waits, and nobody else waits with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiohttp import ClientSession

from shoal_controller.api.rate import Rates, Throttled
from tests.conformance.conftest import Caller, House, StillClock, job_body, served

BURST = 3


@pytest.fixture
async def limited(house: House) -> AsyncIterator[Caller]:
    async with (
        served(house, rates=Rates(house.clock, 0.5, BURST)) as base,
        ClientSession(auto_decompress=False) as session,
    ):
        yield Caller(base, session, house.clock)


async def test_what_goes_beyond_the_limit_is_told_when_to_come_again(limited: Caller) -> None:
    for number in range(BURST):
        await limited.make("/jobs", job_body(f"j{number}"))
    refused = await limited.post("/jobs", job_body("more"))
    assert (refused.status, refused.code) == (503, "ServerBusy")
    assert refused.headers["Retry-After"] == "2"
    assert "0.5 requests a second" in refused.values["Reason"]
    limited.clock.time += timedelta(seconds=2)
    assert (await limited.get("/jobs/more")).status == 404
    assert (await limited.get("/jobs/more")).status == 503


async def test_who_has_no_credentials_takes_nothing_from_the_account(limited: Caller) -> None:
    thief = Caller(limited.base, limited.session, limited.clock, key=b"guessed")
    for _ in range(3 * BURST):
        assert (await thief.get("/jobs")).status == 403
    assert (await limited.get("/jobs")).status == 200


async def test_there_is_no_limit_by_default(caller: Caller) -> None:
    for _ in range(200):
        answer = await caller.get("/jobs")
        assert answer.status == 200
        assert "Retry-After" not in answer.headers


def test_accounts_have_limits_of_their_own_and_rest_refills_them() -> None:
    clock = StillClock()
    rates = Rates(clock, 10, 2)
    for account in ("a", "b"):
        rates.take(account)
        rates.take(account)
        with pytest.raises(Throttled) as refused:
            rates.take(account)
        assert refused.value.retry_after_s == 1
    clock.time += timedelta(days=1)
    rates.take("a")
    rates.take("a")
    with pytest.raises(Throttled):
        rates.take("a")
