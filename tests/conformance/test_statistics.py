"""Statistics through the real application: totals are what a list of the parts adds up to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shoal_controller.loops.jobs import work_off
from shoal_controller.loops.pools import reconcile_pools
from tests.conformance.conftest import (
    Caller,
    House,
    PaperFleet,
    job_body,
    pool_body,
    task_body,
    with_node,
    with_run,
)

EXPAND = "$expand=stats"
NO_IO = {"readIOps": "0", "writeIOps": "0", "readIOGiB": 0.0, "writeIOGiB": 0.0}
NONE = {
    "userCPUTime": "PT0S",
    "kernelCPUTime": "PT0S",
    "wallClockTime": "PT0S",
    **NO_IO,
    "numTaskRetries": "0",
    "numSucceededTasks": "0",
    "numFailedTasks": "0",
    "waitTime": "PT0S",
}


@pytest.fixture
def old(caller: Caller) -> Caller:
    """A caller with an api-version that still has lifetime statistics."""
    caller.version = "2022-10-01.16.0"
    return caller


@pytest.fixture
async def job(house: House, caller: Caller) -> str:
    """The path of a job with a task that succeeded, one that was ended, and one that waits."""
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    await caller.make("/jobs", job_body())
    for name in ("t1", "t2", "t3"):
        await caller.make("/jobs/j1/tasks", task_body(name))
    house.clock.time += timedelta(seconds=10)
    await with_run(house, used_s=3.0)
    assert (await caller.post("/jobs/j1/tasks/t2/terminate")).status == 204
    return "/jobs/j1"


def times(shown: dict[str, Any]) -> dict[str, Any]:
    """Take the times out of statistics."""
    return {name: shown.pop(name) for name in ("startTime", "lastUpdateTime")}


async def test_statistics_come_only_when_they_are_asked_for(caller: Caller, job: str) -> None:
    for path in ("/pools", "/pools/p1", "/jobs", job, f"{job}/tasks", f"{job}/tasks/t1"):
        assert b'"stats"' not in (await caller.get(path)).body
        assert b'"stats"' in (await caller.get(path, EXPAND)).body
    answer = await caller.get(job, "$expand=tasks")
    assert (answer.status, answer.code) == (400, "InvalidQueryParameterValue")


async def test_a_job_adds_its_tasks_up(caller: Caller, job: str) -> None:
    shown = (await caller.get(job, EXPAND)).json
    (listed,) = (await caller.get("/jobs", EXPAND)).json["value"]
    stats = shown["stats"]
    assert times(stats)["startTime"] == shown["creationTime"]
    times(listed["stats"])
    assert listed["stats"] == stats
    assert stats["waitTime"].startswith("PT10.")
    assert stats == NONE | {
        "url": f"{shown['url']}?$expand=stats",
        "userCPUTime": "PT3S",
        "kernelCPUTime": "PT1.5S",
        "wallClockTime": "PT3S",
        "numSucceededTasks": "1",
        "numFailedTasks": "1",
        "waitTime": stats["waitTime"],
    }


async def test_a_task_has_statistics_once_it_ran(caller: Caller, job: str) -> None:
    (listed,) = await caller.pages(f"{job}/tasks", f"{EXPAND}&$select=id,stats")
    assert [("stats" in task, task["id"]) for task in listed] == [
        (True, "t1"),
        (False, "t2"),
        (False, "t3"),
    ]
    stats = (await caller.get(f"{job}/tasks/t1", EXPAND)).json["stats"]
    times(stats)
    assert stats.pop("waitTime").startswith("PT10.")
    assert stats == {
        "url": f"{caller.base}{job}/tasks/t1?$expand=stats",
        "userCPUTime": "PT3S",
        "kernelCPUTime": "PT1.5S",
        "wallClockTime": "PT3S",
        **NO_IO,
    }


async def test_a_schedule_adds_its_jobs_up(caller: Caller) -> None:
    body = {"id": "s1", "schedule": {}, "jobSpecification": {"poolInfo": {"poolId": "p1"}}}
    await caller.make("/jobschedules", body)
    await caller.make("/jobs/s1%3Ajob-1/tasks", task_body("a"))
    await caller.post("/jobs/s1%3Ajob-1/tasks/a/terminate")
    for shown in (
        (await caller.get("/jobschedules/s1", EXPAND)).json,
        *(await caller.get("/jobschedules", EXPAND)).json["value"],
    ):
        stats = shown["stats"]
        assert times(stats)["startTime"] == shown["creationTime"]
        assert stats == NONE | {"url": f"{shown['url']}?$expand=stats", "numFailedTasks": "1"}
    (job,) = (await caller.get("/jobschedules/s1/jobs", EXPAND)).json["value"]
    assert job["stats"]["numFailedTasks"] == "1"


async def test_a_pool_counts_its_cores_for_as_long_as_they_are_there(
    house: House, caller: Caller
) -> None:
    body = pool_body(vmSize="standard_d4_v3", targetDedicatedNodes=1, targetLowPriorityNodes=1)
    await caller.make("/pools", body)
    await with_node(house)
    house.clock.time += timedelta(hours=1)
    await caller.post("/pools/p1/resize", {"targetDedicatedNodes": 0, "targetLowPriorityNodes": 0})
    for _ in range(3):
        await reconcile_pools(house.ctx, PaperFleet())
    house.clock.time += timedelta(hours=1)
    for shown in (
        (await caller.get("/pools/p1", EXPAND)).json,
        *(await caller.get("/pools", EXPAND)).json["value"],
    ):
        assert shown["currentDedicatedNodes"] == 0
        stats = shown["stats"]
        used = stats["usageStats"]
        assert times(stats) == times(used)
        assert used["dedicatedCoreTime"].startswith("PT4H")
        assert stats == {"url": f"{shown['url']}?$expand=stats", "usageStats": used}


async def test_an_account_that_did_nothing_has_used_nothing(old: Caller) -> None:
    shown = (await old.get("/lifetimejobstats")).json
    assert shown.pop("odata.metadata") == f"{old.base}/$metadata#jobstats/@Element"
    since, until = times(shown).values()
    assert since == until
    assert shown == NONE | {"url": f"{old.base}/lifetimejobstats"}
    shown = (await old.get("/lifetimepoolstats")).json
    assert shown["odata.metadata"] == f"{old.base}/$metadata#poolstats/@Element"
    assert shown.keys() == {"odata.metadata", "url", "usageStats", "resourceStats"}  # as recorded
    assert shown["usageStats"]["dedicatedCoreTime"] == "PT0S"
    assert shown["resourceStats"]["diskReadIOps"] == "0"
    assert shown["resourceStats"]["avgCPUPercentage"] == 0.0


async def test_what_was_deleted_counts_for_the_account_for_ever(
    house: House, old: Caller, job: str
) -> None:
    before = (await old.get("/lifetimejobstats")).json
    since = times(before)["startTime"]
    assert (before["numSucceededTasks"], before["numFailedTasks"]) == ("1", "1")
    assert (await old.send("DELETE", f"{job}/tasks/t2")).status == 200
    assert (await old.send("DELETE", job)).status == 202
    for _ in range(3):
        await work_off(house.ctx)
    await old.send("DELETE", "/pools/p1")
    for _ in range(3):
        await reconcile_pools(house.ctx, PaperFleet())
    assert await old.pages("/jobs", "") == await old.pages("/pools", "") == [[]]
    after = (await old.get("/lifetimejobstats")).json
    assert times(after)["startTime"] >= since
    assert after == before
    pools = (await old.get("/lifetimepoolstats")).json
    assert pools["usageStats"]["dedicatedCoreTime"] != "PT0S"


async def test_usage_is_told_for_each_half_hour_that_is_over(house: House, caller: Caller) -> None:
    assert await caller.pages("/poolusagemetrics", "") == [[]]
    for name in ("a1", "a2", "b"):
        await caller.make(
            "/pools", pool_body(name, vmSize="standard_d2_v3", targetDedicatedNodes=1)
        )
    await reconcile_pools(house.ctx, PaperFleet())
    house.clock.time = house.clock.time.replace(hour=13, minute=10)
    (last,) = await caller.pages("/poolusagemetrics", "")
    assert last[0] == {
        "poolId": "a1",
        "startTime": "2026-05-01T12:30:00Z",
        "endTime": "2026-05-01T13:00:00Z",
        "vmSize": "standard_d2_v3",
        "totalCoreHours": 1.0,
    }
    assert [usage["poolId"] for usage in last] == ["a1", "a2", "b"]
    everything = "startTime=2026-05-01T00%3A00%3A00Z"
    pages = await caller.pages("/poolusagemetrics", f"{everything}&maxresults=2")
    shown = [(usage["startTime"][11:16], usage["poolId"]) for page in pages for usage in page]
    assert shown == [(at, pool) for at in ("12:00", "12:30") for pool in ("a1", "a2", "b")]
    assert [len(page) for page in pages] == [2, 2, 2]
    (first,) = await caller.pages("/poolusagemetrics", f"{everything}&endtime=2026-05-01T12%3A59")
    assert {usage["startTime"] for usage in first} == {"2026-05-01T12:00:00Z"}
    query = f"{everything}&$filter=startswith(poolId,%27a%27)%20and%20poolId%20gt%20%27A1%27"
    (some,) = await caller.pages("/poolusagemetrics", query)
    assert {usage["poolId"] for usage in some} == {"a2"}


@pytest.mark.parametrize(
    "query",
    [
        "startTime=soon",
        "endtime=2026-13-01",
        "startTime=2026-05-02&endtime=2026-05-01",
        "$filter=poolId%20ne%20%27a%27",
        "$filter=vmSize%20eq%20%27a%27",
        "maxresults=1001",
    ],
)
async def test_usage_of_no_time_or_kind_is_refused(caller: Caller, query: str) -> None:
    answer = await caller.get("/poolusagemetrics", query)
    assert answer.status == 400


async def test_usage_of_all_time_is_no_more_work_than_there_is(caller: Caller) -> None:
    query = "startTime=0001-01-01&endtime=9999-12-31"
    assert await caller.pages("/poolusagemetrics", query) == [[]]
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    assert await caller.pages("/poolusagemetrics", query) == [[]]
