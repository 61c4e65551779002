"""Jobs through the real application."""

from __future__ import annotations

from typing import Any

import pytest

from shoal_controller.loops.jobs import work_off
from tests.conformance.conftest import Caller, House, job_body, pool_body, task_body, with_run

INFINITE = "P10675199DT2H48M5.4775807S"


async def test_a_new_job_is_shown_with_all_that_was_filled_in(caller: Caller) -> None:
    answer = await caller.post("/jobs", job_body("J1"))
    assert (answer.status, answer.body) == (201, b"")
    # Recorded of every api-version: whatever the job's id, this is what its creation names.
    assert answer.headers["Location"] == f"{caller.base}/jobs/job-1"
    assert answer.headers["DataServiceId"] == f"{caller.base}/jobs/job-1"
    got = await caller.get("/jobs/j1")
    at = "2026-05-01T12:00:00.000003Z"
    assert list(got.json.items()) == [
        ("odata.metadata", f"{caller.base}/$metadata#jobs/@Element"),
        ("id", "J1"),
        ("url", f"{caller.base}/jobs/J1"),
        ("eTag", got.headers["ETag"]),
        ("lastModified", at),
        ("creationTime", at),
        ("state", "active"),
        ("stateTransitionTime", at),
        ("priority", 0),
        ("maxParallelTasks", -1),
        ("usesTaskDependencies", False),
        ("allowTaskPreemption", False),
        ("constraints", {"maxWallClockTime": INFINITE, "maxTaskRetryCount": 0}),
        ("poolInfo", {"poolId": "p1"}),
        ("executionInfo", {"startTime": at, "poolId": "p1"}),
        ("onAllTasksComplete", "noaction"),
        ("onTaskFailure", "noaction"),
    ]


FULL: dict[str, Any] = {
    "displayName": "shown",
    "priority": "-1000",
    "maxParallelTasks": "7",
    "allowTaskPreemption": "true",
    "constraints": {"maxWallClockTime": "PT02H", "maxTaskRetryCount": "-1"},
    "commonEnvironmentSettings": [{"name": "A", "value": "1"}],
    "onAllTasksComplete": "noAction",
    "onTaskFailure": "performExitOptionsJobAction",
    "metadata": [{"name": "k", "value": "v"}],
    "networkConfiguration": {"subnetId": "/s"},
    "usesTaskDependencies": "false",
    "jobManagerTask": None,
}


async def test_what_a_job_was_given_comes_back(caller: Caller) -> None:
    await caller.make("/jobs", job_body(**FULL))
    shown = (await caller.get("/jobs/j1")).json
    assert shown["displayName"] == "shown"
    assert (shown["priority"], shown["maxParallelTasks"]) == (-1000, 7)
    assert shown["allowTaskPreemption"] is True
    assert shown["constraints"] == {"maxWallClockTime": "PT2H", "maxTaskRetryCount": -1}
    assert shown["commonEnvironmentSettings"] == [{"name": "A", "value": "1"}]
    assert shown["onTaskFailure"] == "performexitoptionsjobaction"
    assert shown["metadata"] == [{"name": "k", "value": "v"}]
    assert shown["networkConfiguration"] == {"subnetId": "/s"}


@pytest.mark.parametrize(
    ("changes", "code", "name"),
    [
        ({"id": None}, "MissingRequiredProperty", "id"),
        ({"id": "a:b"}, "InvalidPropertyValue", "id"),
        ({"poolInfo": None}, "MissingRequiredProperty", "poolInfo"),
        ({"poolInfo": {}}, "MissingRequiredProperty", "poolId"),
        ({"poolInfo": {"poolId": "a/b"}}, "InvalidPropertyValue", "poolId"),
        (
            {"poolInfo": {"autoPoolSpecification": {"poolLifetimeOption": "job"}}},
            "UnsupportedProperty",
            "autoPoolSpecification",
        ),
        (
            {"poolInfo": {"poolId": "a", "autoPoolSpecification": {}}},
            "InvalidPropertyValue",
            "poolInfo",
        ),
        ({"priority": 1001}, "OutOfRangePriority", "priority"),
        ({"priority": "high"}, "InvalidPropertyValue", "priority"),
        ({"maxParallelTasks": 0}, "InvalidPropertyValue", "maxParallelTasks"),
        ({"maxParallelTasks": -2}, "InvalidPropertyValue", "maxParallelTasks"),
        ({"constraints": {"maxTaskRetryCount": -2}}, "InvalidConstraintValue", "maxTaskRetryCount"),
        ({"constraints": {"maxWallClockTime": "1h"}}, "InvalidPropertyValue", "maxWallClockTime"),
        ({"onAllTasksComplete": "explode"}, "InvalidPropertyValue", "onAllTasksComplete"),
        ({"usesTaskDependencies": True}, "UnsupportedProperty", "usesTaskDependencies"),
        ({"jobManagerTask": {"id": "m"}}, "UnsupportedProperty", "jobManagerTask"),
        ({"jobPreparationTask": {"id": "m"}}, "UnsupportedProperty", "jobPreparationTask"),
        ({"jobReleaseTask": {"id": "m"}}, "UnsupportedProperty", "jobReleaseTask"),
        ({"metadata": [{"name": ""}]}, "MissingRequiredProperty", "value"),
        (
            {"commonEnvironmentSettings": [{"name": "A=B", "value": "1"}]},
            "InvalidPropertyValue",
            "commonEnvironmentSettings",
        ),
        ({"networkConfiguration": {}}, "MissingRequiredProperty", "subnetId"),
        ({"stuff": 1}, "UnsupportedProperty", "stuff"),
    ],
)
async def test_a_job_that_cannot_be_is_refused_naming_the_property(
    caller: Caller, changes: dict[str, Any], code: str, name: str
) -> None:
    answer = await caller.post("/jobs", job_body() | changes)
    assert (answer.status, answer.code) == (400, code)
    assert answer.values["PropertyName"] == name
    assert (await caller.get("/jobs")).json["value"] == []


async def test_a_second_job_of_an_id_is_refused_whatever_its_case(caller: Caller) -> None:
    await caller.make("/jobs", job_body("Job"))
    answer = await caller.post("/jobs", job_body("jOB"))
    assert (answer.status, answer.code) == (409, "JobExists")
    assert answer.reason == "The specified job already exists."


async def test_a_patch_replaces_what_it_names_each_as_a_whole(caller: Caller) -> None:
    await caller.make("/jobs", job_body(**FULL))
    body = {"constraints": {"maxWallClockTime": "PT1H"}}
    assert (await caller.send("PATCH", "/jobs/j1", body)).status == 200
    shown = (await caller.get("/jobs/j1")).json
    # Recorded: what a new constraints object leaves out is back at its default.
    assert shown["constraints"] == {"maxWallClockTime": "PT1H", "maxTaskRetryCount": 0}
    assert shown["priority"] == -1000
    assert shown["networkConfiguration"] == {"subnetId": "/s"}


async def test_a_put_resets_what_it_leaves_out_and_spares_what_cannot_change(
    caller: Caller,
) -> None:
    await caller.make("/jobs", job_body(**FULL))
    body = (await caller.get("/jobs/j1")).json
    kept = {"id", "url", "poolInfo", "displayName", "commonEnvironmentSettings", "priority"}
    answer = await caller.send("PUT", "/jobs/j1", {name: body[name] for name in kept})
    assert answer.status == 200
    shown = (await caller.get("/jobs/j1")).json
    assert shown["priority"] == -1000
    assert shown["maxParallelTasks"] == -1
    assert shown["allowTaskPreemption"] is False
    assert shown["constraints"] == {"maxWallClockTime": INFINITE, "maxTaskRetryCount": 0}
    assert "metadata" not in shown
    assert shown["displayName"] == "shown"
    assert shown["commonEnvironmentSettings"] == [{"name": "A", "value": "1"}]
    assert shown["onTaskFailure"] == "performexitoptionsjobaction"
    assert (await caller.send("PUT", "/jobs/j1", {"priority": 1})).code == "MissingRequiredProperty"


async def test_terminatejob_cannot_be_taken_back(caller: Caller) -> None:
    await caller.make("/jobs", job_body(onAllTasksComplete="terminateJob"))
    for method, body in (
        ("PATCH", {"onAllTasksComplete": "noaction"}),
        ("PUT", {"poolInfo": {"poolId": "p1"}}),
    ):
        answer = await caller.send(method, "/jobs/j1", body)
        assert (answer.status, answer.code) == (400, "InvalidPropertyValue")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "MissingRequiredProperty"),
        ({"disableTasks": "never"}, "InvalidPropertyValue"),
        ({"disableTasks": "wait", "why": "x"}, "UnsupportedProperty"),
    ],
)
async def test_a_disable_says_what_becomes_of_tasks(
    caller: Caller, body: dict[str, Any], code: str
) -> None:
    answer = await caller.post("/jobs/nope/disable", body)
    assert (answer.status, answer.code) == (400, code)
    answer = await caller.post("/jobs/nope/disable", {"disableTasks": "wait"})
    assert (answer.status, answer.code) == (404, "JobNotFound")


async def test_a_job_is_disabled_changed_enabled_terminated_and_deleted(
    house: House, caller: Caller
) -> None:
    await caller.make("/jobs", job_body())
    move = {"poolInfo": {"poolId": "p2"}}
    refused = await caller.send("PATCH", "/jobs/j1", move)
    assert (refused.status, refused.code) == (409, "OperationInvalidForCurrentState")
    assert (await caller.post("/jobs/j1/disable", {"disableTasks": "requeue"})).status == 202
    assert (await caller.get("/jobs/j1")).json["state"] == "disabling"
    await work_off(house.ctx)
    assert (await caller.get("/jobs/j1")).json["state"] == "disabled"
    assert (await caller.send("PATCH", "/jobs/j1", move)).status == 200
    assert (await caller.post("/jobs/j1/enable")).status == 202
    assert (await caller.get("/jobs/j1")).json["poolInfo"] == {"poolId": "p2"}
    ended = await caller.post("/jobs/j1/terminate", {"terminateReason": "enough"})
    assert ended.status == 202
    shown = (await caller.get("/jobs/j1")).json
    assert shown["state"] == "terminating"
    assert "terminateReason" not in shown["executionInfo"]
    await work_off(house.ctx)
    shown = (await caller.get("/jobs/j1")).json
    assert (shown["state"], shown["previousState"]) == ("completed", "terminating")
    assert shown["executionInfo"]["terminateReason"] == "enough"
    assert "endTime" in shown["executionInfo"]
    answer = await caller.post("/jobs/j1/tasks", task_body())
    assert (answer.status, answer.code) == (409, "JobCompleted")
    assert (await caller.post("/jobs/j1/terminate")).code == "JobCompleted"
    assert (await caller.send("DELETE", "/jobs/j1", query="force=true")).status == 202
    assert (await caller.send("DELETE", "/jobs/j1")).code == "JobBeingDeleted"
    await work_off(house.ctx)
    assert (await caller.get("/jobs/j1")).code == "JobNotFound"


async def test_force_is_true_or_false(caller: Caller) -> None:
    await caller.make("/jobs", job_body())
    for method, path in (("DELETE", "/jobs/j1"), ("POST", "/jobs/j1/terminate")):
        answer = await caller.send(method, path, query="force=maybe")
        assert (answer.status, answer.code) == (400, "InvalidQueryParameterValue")
    assert (await caller.get("/jobs/j1")).json["state"] == "active"


async def test_task_counts_are_of_tasks_and_of_slots(house: House, caller: Caller) -> None:
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    await caller.make("/jobs", job_body())
    for number in range(3):
        await caller.make("/jobs/j1/tasks", task_body(f"t{number}", requiredSlots=2))
    await with_run(house, "t0")
    await caller.post("/jobs/j1/tasks/t1/terminate")
    counts = (await caller.get("/jobs/j1/taskcounts")).json
    assert counts.pop("odata.metadata").endswith("$metadata#taskcountsresult/@Element")
    assert counts == {
        "taskCounts": {"active": 1, "running": 0, "completed": 2, "succeeded": 1, "failed": 1},
        "taskSlotCounts": {"active": 2, "running": 0, "completed": 4, "succeeded": 2, "failed": 2},
    }
    assert (await caller.get("/jobs/nope/taskcounts")).code == "JobNotFound"


async def test_jobs_are_filtered_by_state_time_and_pool(caller: Caller) -> None:
    await caller.make("/jobs", job_body("a"))
    await caller.make("/jobs", job_body("b", poolInfo={"poolId": "other"}))
    await caller.post("/jobs/b/terminate")
    for where, found in (
        ("state%20eq%20%27terminating%27", ["b"]),
        ("state%20ne%20%27terminating%27", ["a"]),
        ("executionInfo/poolId%20eq%20%27P1%27", ["a"]),
        ("creationTime%20lt%20datetime%272026-05-01T12:00:01.5Z%27", ["a", "b"]),
        ("creationTime%20gt%20DateTime%272026-05-02%27", []),
    ):
        (page,) = await caller.pages("/jobs", f"$filter={where}&$select=id")
        assert [job["id"] for job in page] == found, where
