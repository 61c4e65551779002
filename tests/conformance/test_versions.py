"""The life of a pool, a job and its tasks in every api-version, in the words of that version."""

from __future__ import annotations

from typing import Any

import pytest

from shoal_controller.api.wire.values import INFINITE
from tests.conformance.conftest import MACHINE, VERSIONS, Caller, House, with_node, with_run
from tests.versioned import strangers

pytestmark = pytest.mark.parametrize("version", VERSIONS)

URL = "http://files.example/tool.sh"


@pytest.fixture
def caller(caller: Caller, version: str) -> Caller:
    caller.version = version
    return caller


def _targets(version: str, count: int) -> dict[str, Any]:
    return {"targetDedicated" if version < "2017-05" else "targetDedicatedNodes": count}


def _file(version: str) -> dict[str, Any]:
    return {"filePath": "tool.sh", "blobSource" if version < "2018-12" else "httpUrl": URL}


def _as_other(version: str) -> dict[str, Any]:
    if version < "2017":
        return {"runElevated": True}
    return {"userIdentity": {"autoUser": {"elevationLevel": "nonAdmin", "scope": "Task"}}}


def _pool(version: str) -> dict[str, Any]:
    return {
        "id": "p1",
        "vmSize": "STANDARD_D2_V2",
        "virtualMachineConfiguration": MACHINE,
        **_targets(version, 1),
        "maxTasksPerNode" if version < "2020-09" else "taskSlotsPerNode": "2",
        "startTask": {
            "commandLine": "/bin/true",
            "resourceFiles": [_file(version)],
            **_as_other(version),
        },
    }


async def _seed(caller: Caller, version: str) -> None:
    await caller.make("/pools", _pool(version))
    await caller.make("/jobs", {"id": "j1", "poolInfo": {"poolId": "p1"}})
    task = {"commandLine": "/bin/true", "resourceFiles": [_file(version)]}
    answer = await caller.post(
        "/jobs/j1/addtaskcollection",
        {"value": [{"id": "t1", **task}, {"id": "t2", **task, **_as_other(version)}, {"id": "?"}]},
    )
    assert answer.status == 200
    statuses = [item["status"] for item in answer.json["value"]]
    if version < "2024":
        assert statuses == ["Success", "Success", "ClientError"]
    else:
        assert statuses == ["success", "success", "clienterror"]
    assert strangers("BatchTaskCreateResult", answer.json["value"], version) == []


async def test_a_pool_is_told_in_the_words_it_was_made_with(caller: Caller, version: str) -> None:
    given = _pool(version)
    await caller.make("/pools", given)
    shown = (await caller.get("/pools/p1")).json
    assert strangers("BatchPool", shown, version) == []
    (listed,) = (await caller.get("/pools")).json["value"]
    assert listed == {name: value for name, value in shown.items() if name != "odata.metadata"}
    assert ("certificateReferences" in shown) is ("2022-10" <= version < "2025")
    kept = given.keys() - {"vmSize", "virtualMachineConfiguration", "startTask"}
    assert {name: str(shown[name]) for name in kept} == {name: str(given[name]) for name in kept}
    assert shown["startTask"]["resourceFiles"] == [_file(version)]
    assert shown["startTask"]["waitForSuccess"] is (version >= "2019-08")
    if version < "2017":
        assert shown["startTask"]["runElevated"] is True
    else:
        user = {"scope": "task", "elevationLevel": "nonadmin"}
        assert shown["startTask"]["userIdentity"] == {"autoUser": user}
    wanted = next(iter(_targets(version, 0)))
    (part,) = (await caller.get("/pools", f"$select=id,{wanted}")).json["value"]
    assert part == {"id": "p1", wanted: 1}


async def test_a_pool_changes_in_the_words_of_its_version(
    house: House, caller: Caller, version: str
) -> None:
    await caller.make("/pools", _pool(version))
    answer = await caller.send("PATCH", "/pools/p1", {"metadata": [{"name": "a", "value": "b"}]})
    assert answer.status == 200
    replacement = {
        "metadata": [],
        "applicationPackageReferences": [],
        "startTask": {"commandLine": "/bin/false", "resourceFiles": [_file(version)]},
    }
    answer = await caller.post("/pools/p1/updateproperties", replacement)
    assert answer.status == 204
    assert (await caller.get("/pools/p1")).json["startTask"]["resourceFiles"] == [_file(version)]
    await with_node(house)  # the pool is steady now
    answer = await caller.post("/pools/p1/resize", _targets(version, 3))
    assert answer.status == 202
    shown = (await caller.get("/pools/p1")).json
    assert _targets(version, 3).items() <= shown.items()


async def test_the_words_of_another_version_are_refused(caller: Caller, version: str) -> None:
    user = {"userIdentity": {"username": "u"}} if version < "2017" else {"runElevated": True}
    file = _file("2025" if version < "2018-12" else "2016")
    for wrong in (
        _targets("2025" if version < "2017-05" else "2016", 1),
        {"taskSlotsPerNode" if version < "2020-09" else "maxTasksPerNode": 1},
        {"startTask": {"commandLine": "c", "resourceFiles": [file]}},
        {"startTask": {"commandLine": "c", **user}},
    ):
        answer = await caller.post("/pools", _pool(version) | wrong)
        assert (answer.status, answer.code) == (400, "UnsupportedProperty"), wrong


async def test_a_job_and_its_tasks_live_and_end(house: House, caller: Caller, version: str) -> None:
    await _seed(caller, version)
    await with_run(house)
    job = (await caller.get("/jobs/j1")).json
    assert strangers("BatchJob", job, version) == []
    assert ("onTaskFailure" in job) is (version >= "2016-07")
    assert ("allowTaskPreemption" in job) is (version >= "2022")

    task = (await caller.get("/jobs/j1/tasks/t1")).json
    assert strangers("BatchTask", task, version) == []
    assert task["resourceFiles"] == [_file(version)]
    lasting = INFINITE if version < "2018-12" else "P7D"
    assert task["constraints"]["retentionTime"] == lasting
    assert task["executionInfo"].get("result") == _result(version)
    assert _user(task) == _usual_user(version)
    filtered = await caller.get("/jobs/j1/tasks", "$filter=state%20eq%20'completed'")
    assert [item["id"] for item in filtered.json["value"]] == ["t1"]
    other = (await caller.get("/jobs/j1/tasks/t2")).json
    assert _user(other) == (True if version < "2017" else {"scope": "task", **NON_ADMIN})

    nodes = (await caller.get("/pools/p1/nodes")).json["value"]
    assert strangers("BatchNode", nodes, version) == []
    assert ("isDedicated" in nodes[0]) is (version >= "2017-05")
    assert ("certificateReferences" in nodes[0]) is ("2019-08" <= version < "2025")

    answer = await caller.send("PUT", "/jobs/j1/tasks/t2", {"constraints": {}})
    assert answer.status == 200
    task = (await caller.get("/jobs/j1/tasks/t2")).json
    assert task["constraints"]["retentionTime"] == lasting
    assert (await caller.post("/jobs/j1/tasks/t2/terminate")).status == 204
    task = (await caller.get("/jobs/j1/tasks/t2")).json
    word = "schedulingError" if version < "2017-05" else "failureInfo"
    assert task["executionInfo"][word]["code"] == "TaskEnded"
    assert (await caller.post("/jobs/j1/terminate", {"terminateReason": "r"})).status == 202
    assert (await caller.send("DELETE", "/jobs/j1")).status == 202
    assert (await caller.send("DELETE", "/pools/p1")).status == 202


NON_ADMIN = {"elevationLevel": "nonadmin"}


def _result(version: str) -> str | None:
    if version < "2017-05":
        return None
    return "Success" if version < "2018-08" else "success"


def _user(task: dict[str, Any]) -> Any:
    return task["runElevated"] if "runElevated" in task else task["userIdentity"]["autoUser"]


def _usual_user(version: str) -> Any:
    if version < "2017":
        return False
    if version < "2017-05":
        return {"scope": "task", **NON_ADMIN}
    return NON_ADMIN if version < "2019-08" else {"scope": "pool", **NON_ADMIN}


async def test_operations_come_and_go_with_versions(
    house: House, caller: Caller, version: str
) -> None:
    await _seed(caller, version)
    await with_run(house)

    def status(is_there: bool) -> int:
        return 200 if is_there else 404

    counts = await caller.get("/jobs/j1/taskcounts")
    assert counts.status == status(version >= "2017-06")
    if version >= "2020-09":
        assert counts.json["odata.metadata"].endswith("#taskcountsresult/@Element")
        assert counts.json["taskCounts"]["completed"] == 1
        assert counts.json["taskSlotCounts"]["active"] == 1
    elif counts.status == 200:
        assert counts.json["odata.metadata"].endswith("#taskcounts/@Element")
        assert (counts.json["completed"], counts.json["active"]) == (1, 1)
        assert ("validationStatus" in counts.json) is (version < "2018-08")

    counts = await caller.get("/nodecounts")
    assert counts.status == status(version >= "2018-03")
    if counts.status == 200:
        assert strangers("BatchPoolNodeCounts", counts.json["value"], version) == []
        assert counts.json["value"][0]["dedicated"]["total"] == 1
    assert (await caller.get("/supportedimages")).status == status(version >= "2019-06")
    answer = await caller.post("/jobs/j1/tasks/t1/reactivate")
    assert answer.status == (409 if version >= "2016-07" else 404)
