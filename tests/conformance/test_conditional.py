"""Conditional requests, with the habits of every generation of clients."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import timedelta

import pytest
from aiohttp import ClientSession

from shoal_controller.api.call import http_date
from tests.conformance.conftest import Caller, job_body


@pytest.fixture
async def tag(caller: Caller) -> str:
    """The tag of a job that exists."""
    await caller.make("/jobs", job_body())
    return (await caller.get("/jobs/j1")).json["eTag"]


@pytest.mark.parametrize("form", ["{}", '"{}"', 'W/"{}"', "*"])
async def test_a_tag_is_met_with_and_without_quotes(caller: Caller, tag: str, form: str) -> None:
    headers = {"If-Match": form.format(tag)}
    assert (await caller.get("/jobs/j1", headers=headers)).status == 200
    answer = await caller.send("PATCH", "/jobs/j1", {"priority": 1}, headers=headers)
    assert answer.status == 200


@pytest.mark.parametrize("form", ["{}", '"{}"', "*"])
async def test_the_same_version_is_304_to_a_read_and_412_to_a_change(
    caller: Caller, tag: str, form: str
) -> None:
    headers = {"If-None-Match": form.format(tag)}
    read = await caller.get("/jobs/j1", headers=headers)
    assert (read.status, read.body) == (304, b"")
    change = await caller.send("DELETE", "/jobs/j1", headers=headers)
    assert (change.status, change.code) == (412, "ConditionNotMet")
    assert (await caller.get("/jobs/j1")).json["state"] == "active"


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_another_version_is_412(caller: Caller, tag: str, method: str) -> None:
    del tag
    body = {"priority": 1} if method == "PATCH" else None
    answer = await caller.send(method, "/jobs/j1", body, headers={"If-Match": "0x8D0"})
    assert (answer.status, answer.code) == (412, "ConditionNotMet")
    assert answer.reason == ("The condition specified using HTTP conditional header(s) is not met.")


async def test_dates_count_in_whole_seconds(caller: Caller, tag: str) -> None:
    del tag
    now = caller.clock.time
    earlier, later = http_date(now - timedelta(seconds=1)), http_date(now)
    for header, date, status in (
        ("If-Modified-Since", earlier, 200),
        ("If-Modified-Since", later, 304),
        ("If-Unmodified-Since", later, 200),
        ("If-Unmodified-Since", earlier, 412),
    ):
        answer = await caller.get("/jobs/j1", headers={header: date})
        assert answer.status == status, header


async def test_a_tag_is_stronger_than_a_date(caller: Caller, tag: str) -> None:
    long_ago = http_date(caller.clock.time - timedelta(days=1))
    headers = {"If-Match": tag, "If-Unmodified-Since": long_ago}
    assert (await caller.get("/jobs/j1", headers=headers)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"If-Match": "*", "If-None-Match": "*"},
        {"If-Match": "*", "If-Modified-Since": "Fri, 01 May 2026 12:00:00 GMT"},
        {
            "If-Modified-Since": "Fri, 01 May 2026 12:00:00 GMT",
            "If-Unmodified-Since": "Fri, 01 May 2026 12:00:00 GMT",
        },
    ],
)
async def test_conditions_that_contradict_are_refused(
    caller: Caller, tag: str, headers: dict[str, str]
) -> None:
    del tag
    answer = await caller.send("DELETE", "/jobs/j1", headers=headers)
    assert (answer.status, answer.code) == (400, "MultipleConditionHeadersNotSupported")
    assert (await caller.get("/jobs/j1")).json["state"] == "active"


@pytest.mark.parametrize(
    "headers",
    [{"If-Match": '"'}, {"If-Match": '""'}, {"If-Match": '"a", "b"'}, {"If-Modified-Since": "x"}],
)
async def test_conditions_that_cannot_be_read_are_refused(
    caller: Caller, tag: str, headers: dict[str, str]
) -> None:
    del tag
    answer = await caller.send("DELETE", "/jobs/j1", headers=headers)
    assert (answer.status, answer.code) == (400, "InvalidHeaderValue")
    assert (await caller.get("/jobs/j1")).json["state"] == "active"


@pytest.mark.parametrize("form", ["{}", '"{}"'])
async def test_of_writers_at_once_that_insist_on_one_version_exactly_one_wins(
    caller: Caller, tag: str, form: str
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        callers = [
            replace(caller, session=await stack.enter_async_context(ClientSession()))
            for _ in range(20)
        ]
        for _ in range(5):
            headers = {"If-Match": form.format(tag)}
            answers = await asyncio.gather(
                *(
                    writer.send("PATCH", "/jobs/j1", {"priority": number}, headers=headers)
                    for number, writer in enumerate(callers)
                )
            )
            (winner,) = [number for number, answer in enumerate(answers) if answer.status == 200]
            assert [answer.status for answer in answers].count(412) == len(callers) - 1
            job = (await caller.get("/jobs/j1")).json
            assert job["priority"] == winner
            assert job["eTag"] == answers[winner].headers["ETag"] != tag
            tag = job["eTag"]


async def test_lists_take_no_conditions(caller: Caller, tag: str) -> None:
    del tag
    assert (await caller.get("/jobs", headers={"If-Match": "0x8D0"})).status == 200
