"""Tasks through the real application."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.conftest import (
    Caller,
    House,
    job_body,
    pool_body,
    task_body,
    with_run,
)

INFINITE = "P10675199DT2H48M5.4775807S"
POOL_USER = {"autoUser": {"scope": "pool", "elevationLevel": "nonadmin"}}


@pytest.fixture(autouse=True)
async def job(caller: Caller) -> None:
    """The job whose tasks these are; its tasks are retried twice."""
    await caller.make("/jobs", job_body("J1", constraints={"maxTaskRetryCount": 2}))


async def test_a_new_task_is_shown_with_all_that_was_filled_in(caller: Caller) -> None:
    answer = await caller.post("/jobs/j1/tasks", task_body("T1"))
    assert (answer.status, answer.body) == (201, b"")
    assert answer.headers["Location"] == f"{caller.base}/jobs/J1/tasks/T1"
    assert answer.headers["DataServiceId"] == f"{caller.base}/jobs/J1/tasks/T1"
    got = await caller.get("/jobs/j1/tasks/t1")
    assert got.headers["ETag"] == answer.headers["ETag"]
    at = got.json["creationTime"]
    assert list(got.json.items()) == [
        ("odata.metadata", f"{caller.base}/$metadata#tasks/@Element"),
        ("id", "T1"),
        ("url", f"{caller.base}/jobs/J1/tasks/T1"),
        ("eTag", got.headers["ETag"]),
        ("creationTime", at),
        ("lastModified", at),
        ("state", "active"),
        ("stateTransitionTime", at),
        ("commandLine", "/bin/true"),
        ("userIdentity", POOL_USER),
        (
            "constraints",
            {"maxWallClockTime": INFINITE, "retentionTime": "P7D", "maxTaskRetryCount": 2},
        ),
        ("requiredSlots", 1),
        ("executionInfo", {"retryCount": 0, "requeueCount": 0}),
    ]


FULL: dict[str, Any] = {
    "displayName": "shown",
    "resourceFiles": [
        {"httpUrl": "http://h/f?sig=x", "filePath": "a/f"},
        {"storageContainerUrl": "http://h/c?sig=x", "blobPrefix": "b/"},
    ],
    "outputFiles": [
        {
            "filePattern": "../std*.txt",
            "destination": {
                "container": {
                    "containerUrl": "http://h/c?sig=x",
                    "path": "out",
                    "uploadHeaders": [{"name": "x-ms-meta-a", "value": "b"}],
                }
            },
            "uploadOptions": {"uploadCondition": "taskCompletion"},
        }
    ],
    "environmentSettings": [{"name": "A", "value": "1"}],
    "affinityInfo": {"affinityId": "TVM:n"},
    "constraints": {"maxWallClockTime": "P1DT00H00M01.5S", "retentionTime": "PT1H"},
    "requiredSlots": "3",
    "userIdentity": {"username": "someone"},
    "dependsOn": {"taskIds": [], "taskIdRanges": None},
    "exitConditions": None,
    "multiInstanceSettings": None,
    "applicationPackageReferences": [],
}


async def test_what_a_task_was_given_comes_back_in_the_services_spelling(caller: Caller) -> None:
    await caller.make("/jobs/j1/tasks", task_body(**FULL))
    shown = (await caller.get("/jobs/j1/tasks/t1")).json
    for name in ("displayName", "resourceFiles", "environmentSettings", "affinityInfo"):
        assert shown[name] == FULL[name]
    (output,) = shown["outputFiles"]
    assert output["destination"] == FULL["outputFiles"][0]["destination"]
    assert output["uploadOptions"] == {"uploadCondition": "TaskCompletion"}
    assert shown["constraints"] == {
        "maxWallClockTime": "P1DT1.5S",
        "retentionTime": "PT1H",
        "maxTaskRetryCount": 2,
    }
    assert shown["requiredSlots"] == 3
    assert shown["userIdentity"] == {"username": "someone"}
    assert "dependsOn" not in shown


def _file(**source: Any) -> dict[str, Any]:
    return {"resourceFiles": [source]}


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"id": None}, "MissingRequiredProperty", "id"),
    ({"id": "a.b"}, "InvalidPropertyValue", "id"),
    ({"commandLine": None}, "MissingRequiredProperty", "commandLine"),
    ({"commandLine": " "}, "InvalidPropertyValue", "commandLine"),
    ({"commandLine": "a\0b"}, "InvalidPropertyValue", "commandLine"),
    ({"requiredSlots": 0}, "InvalidPropertyValue", "requiredSlots"),
    ({"constraints": {"maxTaskRetryCount": -2}}, "InvalidConstraintValue", "maxTaskRetryCount"),
    ({"constraints": {"retentionTime": "-PT1S"}}, "InvalidPropertyValue", "retentionTime"),
    ({"userIdentity": POOL_USER | {"username": "x"}}, "InvalidPropertyValue", "userIdentity"),
    (_file(httpUrl="http://h/f"), "MissingRequiredProperty", "filePath"),
    (_file(httpUrl="ftp://h/f", filePath="f"), "InvalidPropertyValue", "httpUrl"),
    (_file(httpUrl="http://h/f", filePath="../f"), "InvalidPropertyValue", "filePath"),
    (_file(httpUrl="http://h/f", filePath="a/../../f"), "InvalidPropertyValue", "filePath"),
    (_file(httpUrl="http://h/f", filePath="/etc/f"), "InvalidPropertyValue", "filePath"),
    (_file(httpUrl="http://h/f", filePath="..\\f"), "InvalidPropertyValue", "filePath"),
    (_file(httpUrl="http://h/f", filePath="f\0"), "InvalidPropertyValue", "filePath"),
    (_file(httpUrl="http://h/f", filePath="f", fileMode="rwx"), "InvalidPropertyValue", "fileMode"),
    (_file(filePath="f"), "InvalidPropertyValue", "resourceFiles"),
    (
        _file(httpUrl="http://h/f", storageContainerUrl="http://h/c", filePath="f"),
        "InvalidPropertyValue",
        "resourceFiles",
    ),
    (_file(autoStorageContainerName="c"), "UnsupportedProperty", "autoStorageContainerName"),
    (
        _file(httpUrl="http://h/f", filePath="f", identityReference={"resourceId": "r"}),
        "UnsupportedProperty",
        "identityReference",
    ),
    ({"outputFiles": [{"filePattern": "*"}]}, "MissingRequiredProperty", "destination"),
    ({"environmentSettings": [{"name": ""}]}, "InvalidPropertyValue", "environmentSettings"),
    ({"environmentSettings": [{"name": "A=B"}]}, "InvalidPropertyValue", "environmentSettings"),
    ({"environmentSettings": [{"name": "A\0"}]}, "InvalidPropertyValue", "environmentSettings"),
    (
        {"environmentSettings": [{"name": "A", "value": "\0"}]},
        "InvalidPropertyValue",
        "environmentSettings",
    ),
    ({"environmentSettings": [{"value": "x"}]}, "MissingRequiredProperty", "name"),
    ({"dependsOn": {"taskIds": ["a"]}}, "UnsupportedProperty", "dependsOn"),
    (
        {"exitConditions": {"default": {"jobAction": "none"}}},
        "UnsupportedProperty",
        "exitConditions",
    ),
    (
        {"multiInstanceSettings": {"numberOfInstances": 2}},
        "UnsupportedProperty",
        "multiInstanceSettings",
    ),
    ({"containerSettings": {"imageName": "i"}}, "UnsupportedProperty", "containerSettings"),
    (
        {"authenticationTokenSettings": {"access": ["job"]}},  # gone with this api-version
        "UnsupportedProperty",
        "authenticationTokenSettings",
    ),
    ({"runElevated": True}, "UnsupportedProperty", "runElevated"),
]


@pytest.mark.parametrize(("changes", "code", "name"), BAD)
async def test_a_task_that_cannot_be_is_refused_naming_the_property(
    caller: Caller, changes: dict[str, Any], code: str, name: str
) -> None:
    answer = await caller.post("/jobs/j1/tasks", task_body() | changes)
    assert (answer.status, answer.code) == (400, code)
    assert answer.values["PropertyName"] == name
    assert code == "MissingRequiredProperty" or answer.values["Reason"]
    assert (await caller.get("/jobs/j1/tasks")).json["value"] == []


async def test_a_collection_answers_each_task_in_order(caller: Caller) -> None:
    await caller.make("/jobs/j1/tasks", task_body("old"))
    bad = [task_body("x") | changes for changes, _, _ in BAD]
    sent = [task_body("a"), task_body("OLD"), None, *bad, task_body("b"), task_body("A")]
    answer = await caller.post("/jobs/j1/addtaskcollection", {"value": sent})
    assert answer.status == 200
    assert answer.json["odata.metadata"] == f"{caller.base}/$metadata#taskaddresult"
    results = answer.json["value"]
    assert len(results) == len(sent)
    first = results[0]
    shown = (await caller.get("/jobs/j1/tasks/a")).json
    assert first == {
        "status": "success",
        "taskId": "a",
        "eTag": shown["eTag"],
        "lastModified": shown["lastModified"],
        "location": f"{caller.base}/jobs/J1/tasks/a",
    }
    exists = results[1]
    assert exists["error@odata.navigationLinkUrl"] == f"{caller.base}/jobs/J1/tasks/OLD/error"
    assert (exists["status"], exists["taskId"]) == ("clienterror", "OLD")
    assert exists["error"]["code"] == "TaskExists"
    text = exists["error"]["message"]["value"]
    assert text.startswith("The specified task already exists.\nRequestId:")
    assert results[2]["error"]["code"] == "InvalidPropertyValue"
    codes = [result["error"]["code"] for result in results[3:-2]]
    assert codes == [code for _, code, _ in BAD]
    assert results[-2]["status"] == "success"
    assert results[-1]["error"]["code"] == "TaskExists"
    (page,) = await caller.pages("/jobs/j1/tasks", "$select=id")
    assert [task["id"] for task in page] == ["old", "a", "b"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "InvalidPropertyValue"),
        ({"value": {}}, 400, "InvalidPropertyValue"),
        ({"value": [task_body(f"t{n}") for n in range(101)]}, 400, "InvalidPropertyValue"),
        (
            {"value": [task_body(f"t{n}", commandLine="x" * 11_000) for n in range(100)]},
            413,
            "RequestBodyTooLarge",
        ),
    ],
)
async def test_a_collection_that_cannot_be_is_refused_as_a_whole(
    caller: Caller, body: dict[str, Any], status: int, code: str
) -> None:
    answer = await caller.post("/jobs/j1/addtaskcollection", body)
    assert (answer.status, answer.code) == (status, code)
    assert (await caller.get("/jobs/j1/tasks")).json["value"] == []


async def test_a_collection_just_below_the_limit_is_taken(caller: Caller) -> None:
    tasks = [task_body(f"t{n}", commandLine="x" * 10_400) for n in range(100)]
    assert 1_000_000 < len(json.dumps({"value": tasks})) <= 1_048_576
    answer = await caller.post("/jobs/j1/addtaskcollection", {"value": tasks})
    assert {result["status"] for result in answer.json["value"]} == {"success"}


async def test_an_empty_collection_adds_nothing(caller: Caller) -> None:
    answer = await caller.post("/jobs/j1/addtaskcollection", {"value": []})
    assert (answer.status, answer.json["value"]) == (200, [])


@pytest.mark.parametrize("path", ["/jobs/nope/tasks", "/jobs/nope/addtaskcollection"])
async def test_a_task_needs_its_job(caller: Caller, path: str) -> None:
    body = {"value": [task_body()]} if path.endswith("collection") else task_body()
    answer = await caller.post(path, body)
    assert (answer.status, answer.code) == (404, "JobNotFound")


async def test_a_task_that_ran_tells_where_and_how(house: House, caller: Caller) -> None:
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    await caller.make("/jobs/j1/tasks", task_body())
    await with_run(house)
    shown = (await caller.get("/jobs/j1/tasks/t1")).json
    assert (shown["state"], shown["previousState"]) == ("completed", "running")
    assert shown["executionInfo"] == {
        "startTime": shown["previousStateTransitionTime"],
        "endTime": shown["stateTransitionTime"],
        "exitCode": 0,
        "result": "success",
        "retryCount": 0,
        "requeueCount": 0,
    }
    node = shown["nodeInfo"]["nodeId"]
    node_url = f"{caller.base}/pools/p1/nodes/{node}"
    assert shown["nodeInfo"] == {
        "affinityId": f"TVM:{node}",
        "nodeUrl": node_url,
        "poolId": "p1",
        "nodeId": node,
        "taskRootDirectory": "workitems/J1/job-1/t1",
        "taskRootDirectoryUrl": f"{node_url}/files/workitems/J1/job-1/t1",
    }
    # Running and completing change no version: lastModified is still the creation.
    assert shown["lastModified"] == shown["creationTime"]


async def test_a_task_that_was_ended_before_it_ran_says_so(caller: Caller) -> None:
    await caller.make("/jobs/j1/tasks", task_body())
    assert (await caller.post("/jobs/j1/tasks/t1/terminate")).status == 204
    shown = (await caller.get("/jobs/j1/tasks/t1")).json
    assert shown["state"] == "completed"
    assert shown["nodeInfo"] == {}
    info = shown["executionInfo"]
    assert info["failureInfo"] == {
        "category": "UserError",
        "code": "TaskEnded",
        "message": "Task Was Ended by User Request",
        "details": [],
    }
    assert info["result"] == "failure"
    assert "startTime" not in info
    assert "exitCode" not in info
    again = await caller.post("/jobs/j1/tasks/t1/terminate")
    assert (again.status, again.code) == (409, "TaskCompleted")
    revived = await caller.post("/jobs/j1/tasks/t1/reactivate")
    assert (revived.status, "DataServiceId" in revived.headers) == (204, False)
    again = await caller.post("/jobs/j1/tasks/t1/reactivate")
    assert (again.status, again.code) == (409, "TaskNotCompleted")
    shown = (await caller.get("/jobs/j1/tasks/t1")).json
    assert (shown["state"], shown["previousState"]) == ("active", "completed")
    assert shown["executionInfo"] == {"retryCount": 0, "requeueCount": 0}


async def test_a_put_sets_constraints_and_resets_those_it_leaves_out(caller: Caller) -> None:
    await caller.make("/jobs/j1/tasks", task_body(**FULL))
    body = (await caller.get("/jobs/j1/tasks/t1")).json
    body["constraints"] = {"maxTaskRetryCount": "-1"}
    assert (await caller.send("PUT", "/jobs/j1/tasks/t1", body)).status == 200
    shown = (await caller.get("/jobs/j1/tasks/t1")).json
    assert shown["constraints"] == {
        "maxWallClockTime": INFINITE,
        "retentionTime": "P7D",
        "maxTaskRetryCount": -1,
    }
    assert (await caller.send("PUT", "/jobs/j1/tasks/t1", {})).status == 200
    shown = (await caller.get("/jobs/j1/tasks/t1")).json
    assert shown["constraints"]["maxTaskRetryCount"] == 2
    bad = {"constraints": {"retentionTime": 5}}
    assert (await caller.send("PUT", "/jobs/j1/tasks/t1", bad)).status == 400


async def test_a_deleted_task_is_gone_at_once(caller: Caller) -> None:
    await caller.make("/jobs/j1/tasks", task_body())
    assert (await caller.send("DELETE", "/jobs/j1/tasks/t1")).status == 200
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("PUT", ""),
        ("POST", "/terminate"),
        ("GET", "/subtasksinfo"),
        ("GET", "/files"),
    ):
        body = {} if method == "PUT" else None
        answer = await caller.send(method, f"/jobs/j1/tasks/t1{path}", body)
        assert (answer.status, answer.code) == (404, "TaskNotFound"), (method, path)


async def test_an_ordinary_task_has_no_subtasks(caller: Caller) -> None:
    await caller.make("/jobs/j1/tasks", task_body())
    answer = await caller.get("/jobs/j1/tasks/t1/subtasksinfo")
    assert answer.json == {
        "odata.metadata": f"{caller.base}/$metadata#subtaskinfo",
        "value": [],
    }


async def test_tasks_are_filtered_by_what_became_of_them(house: House, caller: Caller) -> None:
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    for name in ("t1", "t2", "t3"):
        await caller.make("/jobs/j1/tasks", task_body(name))
    await with_run(house)
    await caller.post("/jobs/j1/tasks/t2/terminate")
    for where, found in (
        ("executionInfo/exitCode%20eq%200", ["t1"]),
        ("executionInfo/result%20eq%20%27failure%27", ["t2"]),
        ("executionInfo/result%20eq%20%27Success%27", ["t1"]),
        ("(state%20eq%20%27active%27)%20or%20(id%20eq%20%27T1%27)", ["t1", "t3"]),
        ("lastModifiedTime%20gt%20DateTime%272020-01-01%27", ["t1", "t2", "t3"]),
        ("executionInfo/startTime%20gt%20DateTime%272020-01-01T00:00Z%27", ["t1"]),
    ):
        (page,) = await caller.pages("/jobs/j1/tasks", f"$filter={where}&$select=id")
        assert [task["id"] for task in page] == found, where
