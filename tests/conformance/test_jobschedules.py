"""Job schedules through the real application; the loop's rounds are run by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from shoal_controller.loops.jobs import work_off
from shoal_controller.loops.jobschedules import work_off_all
from tests.conformance.conftest import (
    Caller,
    House,
    job_body,
    pool_body,
    task_body,
    with_run,
)

DAILY = {"recurrenceInterval": "P1D", "startWindow": "PT1H"}
INFINITE = "P10675199DT2H48M5.4775807S"


def schedule_body(schedule_id: str = "s1", **more: Any) -> dict[str, Any]:
    """Return the least that makes a job schedule, one that makes a job at once."""
    specification = {"poolInfo": {"poolId": "p1"}}
    return {"id": schedule_id, "schedule": {}, "jobSpecification": specification} | more


async def rounds(house: House, count: int = 3) -> None:
    """Let the loops of schedules and jobs have some rounds."""
    for _ in range(count):
        await work_off_all(house.ctx)
        await work_off(house.ctx)


async def job_ids(caller: Caller, schedule_id: str = "s1") -> list[str]:
    (jobs,) = await caller.pages(f"/jobschedules/{schedule_id}/jobs", "")
    return [job["id"] for job in jobs]


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_a_new_schedule_is_shown_as_recorded_with_its_first_job(caller: Caller) -> None:
    constraints = {"maxTaskRetryCount": 2}
    body = schedule_body("S1", schedule=DAILY)
    body["jobSpecification"] |= {"onAllTasksComplete": "terminatejob", "constraints": constraints}
    answer = await caller.post("/jobschedules", body)
    url = f"{caller.base}/jobschedules/S1"
    assert (answer.status, answer.body) == (201, b"")
    assert (answer.headers["Location"], answer.headers["DataServiceId"]) == (url, url)
    got = await caller.get("/jobschedules/s1")
    assert got.headers["ETag"] == answer.headers["ETag"]
    at = got.json["creationTime"]
    next_run = (time_of(at) + timedelta(days=1)).isoformat().replace("+00:00", "Z")
    assert list(got.json.items()) == [
        ("odata.metadata", f"{caller.base}/$metadata#jobschedules/@Element"),
        ("id", "S1"),
        ("url", url),
        ("eTag", got.headers["ETag"]),
        ("lastModified", at),
        ("creationTime", at),
        ("state", "active"),
        ("stateTransitionTime", at),
        ("schedule", {"startWindow": "PT1H", "recurrenceInterval": "P1D"}),
        (
            "jobSpecification",
            {
                "priority": 0,
                "maxParallelTasks": -1,
                "usesTaskDependencies": False,
                "allowTaskPreemption": False,
                "constraints": {"maxWallClockTime": INFINITE, "maxTaskRetryCount": 2},
                "poolInfo": {"poolId": "p1"},
                "onAllTasksComplete": "terminatejob",
                "onTaskFailure": "noaction",
            },
        ),
        (
            "executionInfo",
            {
                "nextRunTime": next_run,
                "recentJob": {"url": f"{caller.base}/jobs/S1:job-1", "id": "S1:job-1"},
            },
        ),
    ]
    listed = await caller.get("/jobschedules/s1/jobs")
    assert listed.json["odata.metadata"] == f"{caller.base}/$metadata#jobs"
    (job,) = listed.json["value"]
    assert (job["id"], job["url"]) == ("S1:job-1", f"{caller.base}/jobs/S1:job-1")
    assert job["constraints"]["maxTaskRetryCount"] == 2
    assert (await caller.get("/jobs/s1%3Ajob-1")).json["id"] == "S1:job-1"


async def test_what_a_schedule_was_given_comes_back(caller: Caller) -> None:
    timing = {
        "doNotRunUntil": "2026-05-02T00:00:00Z",
        "doNotRunAfter": "2027-01-01T00:00:00Z",
        "startWindow": "PT2M",
        "recurrenceInterval": "PT1H30M",
    }
    specification = {
        "priority": 7,
        "displayName": "of each job",
        "maxParallelTasks": 3,
        "allowTaskPreemption": True,
        "constraints": {"maxWallClockTime": "PT1H", "maxTaskRetryCount": -1},
        "commonEnvironmentSettings": [{"name": "A", "value": "b"}],
        "poolInfo": {"poolId": "p1"},
        "metadata": [{"name": "of", "value": "job"}],
        "onAllTasksComplete": "terminatejob",
        "onTaskFailure": "performexitoptionsjobaction",
        "networkConfiguration": {"subnetId": "/s", "skipWithdrawFromVNet": False},
    }
    metadata = [{"name": "of", "value": "schedule"}]
    body = schedule_body(schedule=timing, displayName="shown", metadata=metadata)
    await caller.make("/jobschedules", body | {"jobSpecification": specification})
    shown = (await caller.get("/jobschedules/s1")).json
    assert (shown["displayName"], shown["metadata"]) == ("shown", metadata)
    assert shown["schedule"] == timing
    assert shown["jobSpecification"] == specification | {"usesTaskDependencies": False}
    assert shown["executionInfo"] == {"nextRunTime": "2026-05-02T00:00:00Z"}
    assert await job_ids(caller) == []


@pytest.mark.parametrize(
    ("changes", "code", "name"),
    [
        ({"id": None}, "MissingRequiredProperty", "id"),
        ({"id": "s:1"}, "InvalidPropertyValue", "id"),
        ({"schedule": None}, "MissingRequiredProperty", "schedule"),
        ({"schedule": []}, "InvalidPropertyValue", "schedule"),
        ({"schedule": {"startWindow": "PT59S"}}, "InvalidPropertyValue", "startWindow"),
        (
            {"schedule": {"recurrenceInterval": "PT1S"}},
            "InvalidPropertyValue",
            "recurrenceInterval",
        ),
        ({"schedule": {"doNotRunUntil": "soon"}}, "InvalidPropertyValue", "doNotRunUntil"),
        (
            {"schedule": {"doNotRunUntil": "2027-01-01", "doNotRunAfter": "2027-01-01"}},
            "InvalidPropertyValue",
            "doNotRunAfter",
        ),
        ({"schedule": {"every": "P1D"}}, "UnsupportedProperty", "every"),
        ({"jobSpecification": None}, "MissingRequiredProperty", "jobSpecification"),
        ({"jobSpecification": {}}, "MissingRequiredProperty", "poolInfo"),
        (
            {"jobSpecification": {"poolInfo": {"poolId": "p"}, "id": "j"}},
            "UnsupportedProperty",
            "id",
        ),
        (
            {"jobSpecification": {"poolInfo": {"poolId": "p"}, "jobManagerTask": {"id": "m"}}},
            "UnsupportedProperty",
            "jobManagerTask",
        ),
        (
            {"jobSpecification": {"poolInfo": {"autoPoolSpecification": {}}}},
            "UnsupportedProperty",
            "autoPoolSpecification",
        ),
        ({"displayName": "x" * 1025}, "InvalidPropertyValue", "displayName"),
        ({"metadata": [{"name": "", "value": ""}]}, "EmptyMetadataKey", "metadata"),
    ],
)
async def test_what_is_no_schedule_is_refused_with_the_property(
    caller: Caller, changes: dict[str, Any], code: str, name: str
) -> None:
    answer = await caller.post("/jobschedules", schedule_body() | changes)
    assert (answer.status, answer.code, answer.values["PropertyName"]) == (400, code, name)
    assert (await caller.get("/jobschedules/s1")).status == 404


async def test_ids_are_shared_with_jobs_whatever_their_case(caller: Caller) -> None:
    await caller.make("/jobs", job_body("j1"))
    await caller.make("/jobschedules", schedule_body("s1"))
    for path, body, code in (
        ("/jobschedules", schedule_body("S1"), "JobScheduleExists"),
        ("/jobschedules", schedule_body("J1"), "JobWithSameIdExists"),
        ("/jobs", job_body("S1"), "JobScheduleWithSameIdExists"),
    ):
        answer = await caller.post(path, body)
        assert (answer.status, answer.code) == (409, code)


async def test_schedules_count_towards_the_quota_of_jobs(house: House, caller: Caller) -> None:
    quota = house.ctx.account.quotas.active_job_count
    later = {"doNotRunUntil": "2027-01-01"}
    for number in range(quota - 1):
        await caller.make("/jobschedules", schedule_body(f"s{number}", schedule=later))
    await caller.make("/jobs", job_body())
    for path, body in (("/jobs", job_body("j2")), ("/jobschedules", schedule_body("s"))):
        answer = await caller.post(path, body)
        assert (answer.status, answer.code) == (409, "ActiveJobAndScheduleQuotaReached")


async def test_one_job_at_a_time_each_in_its_interval(house: House, caller: Caller) -> None:
    await caller.make("/jobschedules", schedule_body(schedule={"recurrenceInterval": "PT1H"}))
    house.clock.time += timedelta(minutes=61)
    await rounds(house)
    assert await job_ids(caller) == ["s1:job-1"]  # still live: the next one waits
    shown = (await caller.get("/jobschedules/s1")).json
    waiting = time_of(shown["executionInfo"]["nextRunTime"])
    assert waiting == time_of(shown["creationTime"]) + timedelta(hours=1)
    await caller.post("/jobs/s1%3Ajob-1/terminate")
    await rounds(house)
    assert await job_ids(caller) == ["s1:job-1", "s1:job-2"]
    await caller.post("/jobs/s1%3Ajob-2/terminate")
    await rounds(house)
    assert await job_ids(caller) == ["s1:job-1", "s1:job-2"]  # not due yet
    house.clock.time += timedelta(hours=5)
    await rounds(house)
    assert await job_ids(caller) == ["s1:job-1", "s1:job-2", "s1:job-3"]
    assert (await caller.get("/jobschedules/s1")).json["executionInfo"]["recentJob"]["id"] == (
        "s1:job-3"
    )


async def test_an_occurrence_without_a_chance_in_its_window_is_lost(
    house: House, caller: Caller
) -> None:
    await caller.make("/jobschedules", schedule_body(schedule=DAILY))
    house.clock.time += timedelta(hours=25)
    await rounds(house)
    await caller.post("/jobs/s1%3Ajob-1/terminate")
    await rounds(house)
    assert await job_ids(caller) == ["s1:job-1"]
    house.clock.time += timedelta(hours=23)
    await rounds(house)
    assert await job_ids(caller) == ["s1:job-1", "s1:job-2"]


async def test_a_schedule_of_one_job_ends_with_it(house: House, caller: Caller) -> None:
    await caller.make("/jobschedules", schedule_body())
    before = (await caller.get("/jobschedules/s1")).json
    await rounds(house)
    assert (await caller.get("/jobschedules/s1")).json["state"] == "active"
    await caller.post("/jobs/s1%3Ajob-1/terminate")
    await rounds(house)
    shown = (await caller.get("/jobschedules/s1")).json
    assert (shown["state"], shown["previousState"]) == ("completed", "active")
    assert shown["executionInfo"]["endTime"] == shown["stateTransitionTime"]
    assert "nextRunTime" not in shown["executionInfo"]
    assert shown["eTag"] == before["eTag"]
    for action, code in (
        ("disable", "JobScheduleCompleted"),
        ("enable", "JobScheduleCompleted"),
        ("terminate", "JobScheduleCompleted"),
    ):
        answer = await caller.post(f"/jobschedules/s1/{action}")
        assert (answer.status, answer.code) == (409, code)
    patched = await caller.send("PATCH", "/jobschedules/s1", {"metadata": []})
    assert (patched.status, patched.code) == (409, "JobScheduleCompleted")


async def test_a_schedule_ends_once_its_last_time_has_passed(house: House, caller: Caller) -> None:
    timing = {"recurrenceInterval": "PT1H", "doNotRunAfter": "2026-05-01T12:30:00Z"}
    await caller.make("/jobschedules", schedule_body(schedule=timing))
    shown = (await caller.get("/jobschedules/s1")).json
    assert "nextRunTime" not in shown["executionInfo"]
    await caller.post("/jobs/s1%3Ajob-1/terminate")
    await rounds(house)
    assert (await caller.get("/jobschedules/s1")).json["state"] == "active"
    house.clock.time += timedelta(minutes=31)
    await rounds(house)
    assert (await caller.get("/jobschedules/s1")).json["state"] == "completed"


async def test_a_disabled_schedule_makes_no_jobs(house: House, caller: Caller) -> None:
    await caller.make("/jobschedules", schedule_body(schedule={"recurrenceInterval": "PT1H"}))
    await caller.post("/jobs/s1%3Ajob-1/terminate")
    answer = await caller.post("/jobschedules/s1/disable")
    assert answer.status == 204
    assert answer.headers["DataServiceId"] == f"{caller.base}/jobschedules/s1/disable"
    again = await caller.post("/jobschedules/s1/disable")
    assert (again.status, again.code) == (409, "JobScheduleDisabled")
    house.clock.time += timedelta(minutes=90)
    await rounds(house)
    shown = (await caller.get("/jobschedules/s1")).json
    assert (shown["state"], shown["previousState"]) == ("disabled", "active")
    assert "nextRunTime" not in shown["executionInfo"]
    assert shown["eTag"] == answer.headers["ETag"]
    assert (await caller.post("/jobschedules/s1/enable")).status == 204
    again = await caller.post("/jobschedules/s1/enable")
    assert (again.status, again.code) == (409, "OperationInvalidForCurrentState")
    await rounds(house)
    assert await job_ids(caller) == ["s1:job-1"]  # what was due meanwhile is not caught up
    house.clock.time += timedelta(minutes=30)
    await rounds(house)
    assert await job_ids(caller) == ["s1:job-1", "s1:job-2"]


async def test_changes_reach_the_jobs_that_are_made_later(house: House, caller: Caller) -> None:
    await caller.make("/jobschedules", schedule_body(schedule=DAILY, displayName="kept"))
    patch = {"schedule": {"recurrenceInterval": "PT5H"}, "metadata": [{"name": "a", "value": "b"}]}
    patched = await caller.send("PATCH", "/jobschedules/s1", patch)
    assert patched.status == 200
    shown = (await caller.get("/jobschedules/s1")).json
    assert shown["eTag"] == patched.headers["ETag"]
    assert shown["schedule"] == {"recurrenceInterval": "PT5H"}  # replaced as a whole
    assert shown["metadata"] == patch["metadata"]
    specification = {"poolInfo": {"poolId": "p2"}, "priority": 5}
    body = {"schedule": {"recurrenceInterval": "PT10H"}, "jobSpecification": specification}
    replaced = await caller.send("PUT", "/jobschedules/s1", body)
    assert replaced.status == 200
    shown = (await caller.get("/jobschedules/s1")).json
    assert shown["displayName"] == "kept"
    assert "metadata" not in shown
    house.clock.time += timedelta(hours=10)
    await caller.post("/jobs/s1%3Ajob-1/terminate")
    await rounds(house)
    (jobs,) = await caller.pages("/jobschedules/s1/jobs", "$select=priority,poolInfo")
    assert [job["priority"] for job in jobs] == [0, 5]
    assert [job["poolInfo"]["poolId"] for job in jobs] == ["p1", "p2"]


async def test_a_whole_schedule_may_be_sent_back(house: House, caller: Caller) -> None:
    await caller.make("/jobschedules", schedule_body(schedule=DAILY))
    shown = (await caller.get("/jobschedules/s1")).json
    del shown["odata.metadata"]
    assert (await caller.send("PUT", "/jobschedules/s1", shown)).status == 200
    missing = await caller.send("PUT", "/jobschedules/s1", {"schedule": DAILY})
    assert (missing.status, missing.code) == (400, "MissingRequiredProperty")
    # Without a schedule it is one of a single job, which it had.
    body = {"jobSpecification": {"poolInfo": {"poolId": "p1"}}}
    assert (await caller.send("PUT", "/jobschedules/s1", body)).status == 200
    assert (await caller.get("/jobschedules/s1")).json["schedule"] == {}
    await caller.post("/jobs/s1%3Ajob-1/terminate")
    await rounds(house)
    assert (await caller.get("/jobschedules/s1")).json["state"] == "completed"


async def test_a_change_may_make_a_job_due_at_once(caller: Caller) -> None:
    await caller.make("/jobschedules", schedule_body(schedule={"doNotRunUntil": "2027-01-01"}))
    assert await job_ids(caller) == []
    await caller.send("PATCH", "/jobschedules/s1", {"schedule": {}})
    assert await job_ids(caller) == ["s1:job-1"]


async def test_a_schedule_that_is_terminated_ends_its_job(house: House, caller: Caller) -> None:
    await caller.make("/jobschedules", schedule_body(schedule=DAILY))
    answer = await caller.post("/jobschedules/s1/terminate", query="force=true")
    assert answer.status == 202
    assert (await caller.get("/jobschedules/s1")).json["state"] == "terminating"
    again = await caller.post("/jobschedules/s1/terminate")
    assert (again.status, again.code) == (409, "JobScheduleBeingTerminated")
    await rounds(house)
    shown = (await caller.get("/jobschedules/s1")).json
    assert (shown["state"], shown["previousState"]) == ("completed", "terminating")
    job = (await caller.get("/jobs/s1%3Ajob-1")).json
    assert job["state"] == "completed"
    assert job["executionInfo"]["terminateReason"] == "TerminateJobSchedule"
    house.clock.time += timedelta(days=2)
    await rounds(house)
    assert await job_ids(caller) == ["s1:job-1"]


async def test_a_schedule_is_deleted_with_all_its_jobs(house: House, caller: Caller) -> None:
    await caller.make("/jobschedules", schedule_body(schedule={"recurrenceInterval": "PT1H"}))
    await caller.post("/jobs/s1%3Ajob-1/terminate")
    house.clock.time += timedelta(hours=1)
    await rounds(house)
    await caller.make("/jobs/s1%3Ajob-2/tasks", task_body())
    answer = await caller.send("DELETE", "/jobschedules/s1")
    assert (answer.status, "DataServiceId" in answer.headers) == (202, False)
    assert (await caller.get("/jobschedules/s1")).json["state"] == "deleting"
    again = await caller.send("DELETE", "/jobschedules/s1")
    assert (again.status, again.code) == (409, "JobScheduleBeingDeleted")
    await rounds(house)
    for path in ("/jobschedules/s1", "/jobschedules/s1/jobs", "/jobs/s1%3Ajob-2"):
        assert (await caller.get(path)).status == 404
    assert await caller.pages("/jobs", "") == [[]]
    await caller.make("/jobschedules", schedule_body())
    assert await job_ids(caller) == ["s1:job-1"]


async def test_what_is_not_there_is_named(caller: Caller) -> None:
    for method, path, body in (
        ("GET", "", None),
        ("GET", "/jobs", None),
        ("PATCH", "", {}),
        ("PUT", "", {"jobSpecification": {"poolInfo": {"poolId": "p"}}}),
        ("DELETE", "", None),
        ("POST", "/disable", None),
        ("POST", "/enable", None),
        ("POST", "/terminate", None),
    ):
        answer = await caller.send(method, f"/jobschedules/nope{path}", body)
        assert (answer.status, answer.code) == (404, "JobScheduleNotFound"), (method, path)
    head = await caller.send("HEAD", "/jobschedules/nope")
    assert (head.status, head.body) == (404, b"")


async def test_of_two_writers_with_one_tag_one_wins(caller: Caller) -> None:
    await caller.make("/jobschedules", schedule_body())
    headers = {"If-Match": (await caller.get("/jobschedules/s1")).headers["ETag"]}
    first = await caller.send("PATCH", "/jobschedules/s1", {}, headers=headers)
    second = await caller.post("/jobschedules/s1/disable", headers=headers)
    assert (first.status, second.status, second.code) == (200, 412, "ConditionNotMet")
    tag = {"If-None-Match": first.headers["ETag"]}
    assert (await caller.send("HEAD", "/jobschedules/s1", headers=tag)).status == 304


async def test_schedules_and_their_jobs_are_filtered(caller: Caller) -> None:
    await caller.make("/jobschedules", schedule_body("a", schedule={"doNotRunUntil": "2027-01-01"}))
    await caller.make("/jobschedules", schedule_body("b"))
    for text, found in (
        ("schedule/doNotRunUntil gt DateTime'2026-12-01'", ["a"]),
        ("startswith(id,'B')", ["b"]),
        ("state eq 'active'", ["a", "b"]),
        ("executionInfo/endTime ge DateTime'2020-01-01'", []),
    ):
        query = f"$select=id&$filter={text.replace(' ', '%20').replace(chr(39), '%27')}"
        (items,) = await caller.pages("/jobschedules", query)
        assert [item["id"] for item in items] == found
    query = "$filter=state%20eq%20%27active%27&$select=id"
    assert await caller.pages("/jobschedules/b/jobs", query) == [[{"id": "b:job-1"}]]
    answer = await caller.get("/jobschedules/b/jobs", "$filter=id%20eq%20%27x%27")
    assert (answer.status, answer.code) == (400, "InvalidQueryParameterValue")


async def test_tasks_of_a_scheduled_job_lie_in_the_directory_of_the_schedule(
    house: House, caller: Caller
) -> None:
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    await caller.make("/jobschedules", schedule_body())
    await caller.make("/jobs/s1%3Ajob-1/tasks", task_body())
    await with_run(house, job_id="s1:job-1")
    shown = (await caller.get("/jobs/s1%3Ajob-1/tasks/t1")).json
    assert shown["nodeInfo"]["taskRootDirectory"] == "workitems/s1/job-1/t1"
    await caller.get("/jobs/s1%3Ajob-1/tasks/t1/files")
    assert house.links.requests[0].path == "workitems/s1/job-1/t1"
