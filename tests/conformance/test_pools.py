"""Pools through the real application."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.conftest import MACHINE, Caller, House, pool_body, with_node


async def test_a_new_pool_is_shown_with_all_that_was_filled_in(caller: Caller) -> None:
    answer = await caller.post("/pools", pool_body("P1"))
    assert (answer.status, answer.body) == (201, b"")
    assert answer.headers["Location"] == f"{caller.base}/pools/P1"
    assert answer.headers["DataServiceId"] == f"{caller.base}/pools/P1"
    got = await caller.get("/pools/p1")
    assert got.headers["ETag"] == answer.headers["ETag"]
    at = "2026-05-01T12:00:00.000003Z"
    assert list(got.json.items()) == [
        ("odata.metadata", f"{caller.base}/$metadata#pools/@Element"),
        ("id", "P1"),
        ("url", f"{caller.base}/pools/P1"),
        ("eTag", got.headers["ETag"]),
        ("lastModified", at),
        ("creationTime", at),
        ("state", "active"),
        ("stateTransitionTime", at),
        ("allocationState", "resizing"),
        ("allocationStateTransitionTime", at),
        ("vmSize", "standard_d2_v2"),
        ("resizeTimeout", "PT15M"),
        ("currentDedicatedNodes", 0),
        ("targetDedicatedNodes", 0),
        ("currentLowPriorityNodes", 0),
        ("targetLowPriorityNodes", 0),
        ("enableAutoScale", False),
        ("enableInterNodeCommunication", False),
        ("taskSlotsPerNode", 1),
        ("taskSchedulingPolicy", {"nodeFillType": "Spread"}),
        (
            "virtualMachineConfiguration",
            {
                "imageReference": MACHINE["imageReference"] | {"version": "latest"},
                "nodeAgentSKUId": "batch.node.ubuntu 22.04",
            },
        ),
    ]


FULL: dict[str, Any] = {
    "displayName": "shown",
    "resizeTimeout": "PT20M00S",
    "targetDedicatedNodes": "2",
    "targetLowPriorityNodes": 1,
    "enableAutoScale": "false",
    "enableInterNodeCommunication": "true",
    "taskSlotsPerNode": "4",
    "taskSchedulingPolicy": {"nodeFillType": "pack", "jobDefaultOrder": "CreationTime"},
    "startTask": {
        "commandLine": "install",
        "resourceFiles": [{"httpUrl": "https://h/f", "filePath": "d/f", "fileMode": "0755"}],
        "environmentSettings": [{"name": "A", "value": "b"}, {"name": "B"}],
        "userIdentity": {"autoUser": {"scope": "TASK", "elevationLevel": "Admin"}},
        "maxTaskRetryCount": 3,
        "waitForSuccess": False,
    },
    "userAccounts": [
        {
            "name": "someone",
            "password": "secret",
            "linuxUserConfiguration": {"uid": 7, "gid": 8, "sshPrivateKey": "secret"},
        }
    ],
    "metadata": [{"name": "k", "value": "v"}, {"name": "k", "value": ""}],
    "networkConfiguration": {"subnetId": "/s"},
    "certificateReferences": None,
    "applicationPackageReferences": [],
    "mountConfiguration": [],
    "upgradePolicy": {"mode": "Automatic"},
}


async def test_what_a_pool_was_given_comes_back_but_no_secret(caller: Caller) -> None:
    await caller.make("/pools", pool_body(**FULL))
    shown = (await caller.get("/pools/p1")).json
    assert shown["displayName"] == "shown"
    assert shown["resizeTimeout"] == "PT20M"
    assert (shown["targetDedicatedNodes"], shown["targetLowPriorityNodes"]) == (2, 1)
    assert shown["enableInterNodeCommunication"] is True
    assert shown["taskSlotsPerNode"] == 4
    assert shown["taskSchedulingPolicy"] == {
        "nodeFillType": "Pack",
        "jobDefaultOrder": "creationtime",
    }
    assert shown["startTask"] == FULL["startTask"] | {
        "environmentSettings": [{"name": "A", "value": "b"}, {"name": "B", "value": ""}],
        "userIdentity": {"autoUser": {"scope": "task", "elevationLevel": "admin"}},
    }
    assert shown["userAccounts"] == [
        {
            "name": "someone",
            "elevationLevel": "nonadmin",
            "linuxUserConfiguration": {"uid": 7, "gid": 8},
        }
    ]
    assert shown["metadata"] == FULL["metadata"]
    assert shown["networkConfiguration"] == {
        "subnetId": "/s",
        "dynamicVNetAssignmentScope": "none",
        "enableAcceleratedNetworking": False,
    }
    assert shown["upgradePolicy"] == {"mode": "automatic"}
    assert "secret" not in str(shown)


@pytest.mark.parametrize(
    ("changes", "code", "name"),
    [
        ({"id": None}, "MissingRequiredProperty", "id"),
        ({"id": "a b"}, "InvalidPropertyValue", "id"),
        ({"vmSize": None}, "MissingRequiredProperty", "vmSize"),
        ({"vmSize": ""}, "InvalidPropertyValue", "vmSize"),
        (
            {"virtualMachineConfiguration": None},
            "MissingRequiredProperty",
            "virtualMachineConfiguration",
        ),
        (
            {"virtualMachineConfiguration": {"nodeAgentSKUId": "x"}},
            "MissingRequiredProperty",
            "imageReference",
        ),
        ({"resizeTimeout": "PT4M59S"}, "InvalidPropertyValue", "resizeTimeout"),
        ({"targetDedicatedNodes": -1}, "InvalidPropertyValue", "targetDedicatedNodes"),
        ({"targetDedicatedNodes": 1.5}, "InvalidPropertyValue", "targetDedicatedNodes"),
        ({"taskSlotsPerNode": 0}, "InvalidPropertyValue", "taskSlotsPerNode"),
        ({"taskSlotsPerNode": 257}, "InvalidPropertyValue", "taskSlotsPerNode"),
        ({"displayName": "x" * 1025}, "InvalidPropertyValue", "displayName"),
        ({"metadata": [{"name": "", "value": ""}]}, "EmptyMetadataKey", "metadata"),
        ({"metadata": [{"name": "a"}]}, "MissingRequiredProperty", "value"),
        ({"metadata": [{"name": "a", "value": "x" * 40_000}]}, "MetadataTooLarge", None),
        ({"startTask": {}}, "MissingRequiredProperty", "commandLine"),
        (
            {"startTask": {"commandLine": "x" * 32_769}},
            "InvalidPropertyValue",
            "startTask",
        ),
        (
            {"startTask": {"commandLine": "x", "maxTaskRetryCount": -2}},
            "InvalidPropertyValue",
            "maxTaskRetryCount",
        ),
        (
            {"startTask": {"commandLine": "x", "environmentSettings": [{"name": "="}]}},
            "InvalidPropertyValue",
            "environmentSettings",
        ),
        (
            {"userAccounts": [{"name": "x" * 21, "password": "p"}]},
            "InvalidPropertyValue",
            "name",
        ),
        (
            {"userAccounts": [{"name": "../x", "password": "p"}]},
            "InvalidPropertyValue",
            "name",
        ),
        ({"userAccounts": [{"name": "x"}]}, "MissingRequiredProperty", "password"),
        (
            {
                "userAccounts": [
                    {"name": "x", "password": "p", "linuxUserConfiguration": {"uid": 1}}
                ]
            },
            "InvalidPropertyValue",
            "linuxUserConfiguration",
        ),
        (
            {"applicationPackageReferences": [{"applicationId": "a"}]},
            "UnsupportedProperty",
            "applicationPackageReferences",
        ),
        ({"mountConfiguration": [{}]}, "UnsupportedProperty", "mountConfiguration"),
        (
            {"taskSchedulingPolicy": {"nodeFillType": "pack", "jobDefaultOrder": "newest"}},
            "InvalidPropertyValue",
            "jobDefaultOrder",
        ),
        ({"resourceTags": {"a": "b"}}, "UnsupportedProperty", "resourceTags"),
        ({"unheardOf": 1}, "UnsupportedProperty", "unheardOf"),
        ({"upgradePolicy": {"mode": "never"}}, "InvalidPropertyValue", "mode"),
        (
            {"networkConfiguration": {"dynamicVNetAssignmentScope": "all"}},
            "InvalidPropertyValue",
            "dynamicVNetAssignmentScope",
        ),
    ],
)
async def test_a_pool_that_cannot_be_is_refused_naming_the_property(
    caller: Caller, changes: dict[str, Any], code: str, name: str | None
) -> None:
    answer = await caller.post("/pools", pool_body() | changes)
    assert (answer.status, answer.code) == (400, code)
    assert answer.values.get("PropertyName") == name
    assert (await caller.get("/pools")).json["value"] == []


async def test_a_second_pool_of_an_id_is_refused_whatever_its_case(caller: Caller) -> None:
    await caller.make("/pools", pool_body("P1"))
    answer = await caller.post("/pools", pool_body("p1"))
    assert (answer.status, answer.code) == (409, "PoolExists")
    assert answer.reason == "The specified pool already exists."


async def test_a_patch_replaces_what_it_names_and_nothing_else(caller: Caller) -> None:
    await caller.make("/pools", pool_body(**FULL))
    before = (await caller.get("/pools/p1")).json
    answer = await caller.send("PATCH", "/pools/p1", {"metadata": []})
    assert (answer.status, answer.body) == (200, b"")
    after = (await caller.get("/pools/p1")).json
    assert "metadata" not in after
    changed = {name for name in before if before[name] != after.get(name)}
    assert changed == {"metadata", "eTag", "lastModified"}


async def test_update_properties_replaces_all_that_it_may(caller: Caller) -> None:
    await caller.make("/pools", pool_body(**FULL))
    path = "/pools/p1/updateproperties"
    refused = await caller.post(path, {"metadata": []})
    assert refused.values == {"PropertyName": "applicationPackageReferences"}
    answer = await caller.post(path, {"applicationPackageReferences": [], "metadata": []})
    assert answer.status == 204
    shown = (await caller.get("/pools/p1")).json
    assert "startTask" not in shown
    assert "metadata" not in shown
    assert shown["upgradePolicy"] == {"mode": "automatic"}


async def test_what_shapes_nodes_changes_only_while_there_are_none(
    house: House, caller: Caller
) -> None:
    await caller.make("/pools", pool_body(targetDedicatedNodes=1, upgradePolicy={"mode": "manual"}))
    shape = {"vmSize": "BIG", "networkConfiguration": {"subnetId": "/t"}}
    assert (await caller.send("PATCH", "/pools/p1", shape)).status == 200
    shown = (await caller.get("/pools/p1")).json
    assert shown["vmSize"] == "big"
    assert shown["networkConfiguration"]["subnetId"] == "/t"
    assert shown["upgradePolicy"] == {"mode": "manual"}
    await with_node(house)
    for name, value in shape.items():
        answer = await caller.send("PATCH", "/pools/p1", {name: value})
        assert (answer.status, answer.code) == (409, "OperationNotValidOnPool"), name
    caller.version = "2024-02-01.19.0"
    answer = await caller.send("PATCH", "/pools/p1", {"vmSize": "x"})
    assert (answer.status, answer.code) == (400, "UnsupportedProperty")


async def test_a_resize_needs_a_target_before_it_needs_a_pool(caller: Caller) -> None:
    answer = await caller.post("/pools/nope/resize", {})
    assert (answer.status, answer.code) == (400, "MissingRequiredProperty")
    assert answer.values == {"PropertyName": "targetDedicatedNodes and/or targetLowPriorityNodes"}
    answer = await caller.post("/pools/nope/resize", {"targetDedicatedNodes": 1})
    assert (answer.status, answer.code) == (404, "PoolNotFound")


async def test_a_pool_is_resized_stopped_and_deleted(house: House, caller: Caller) -> None:
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    await with_node(house)
    tag = (await caller.get("/pools/p1")).json["eTag"]
    body = {"targetLowPriorityNodes": 4, "resizeTimeout": "PT8M"}
    resized = await caller.post("/pools/p1/resize", body)
    assert resized.status == 202
    assert resized.headers["ETag"] != tag
    shown = (await caller.get("/pools/p1")).json
    assert (shown["targetDedicatedNodes"], shown["targetLowPriorityNodes"]) == (1, 4)
    assert (shown["currentDedicatedNodes"], shown["allocationState"]) == (1, "resizing")
    assert shown["resizeTimeout"] == "PT8M"
    again = await caller.post("/pools/p1/resize", body)
    assert (again.status, again.code) == (409, "PoolBeingResized")
    stopped = await caller.post("/pools/p1/stopresize")
    assert (stopped.status, stopped.headers["ETag"]) == (202, resized.headers["ETag"])
    assert (await caller.get("/pools/p1")).json["allocationState"] == "stopping"
    await with_node(house)
    (error,) = (await caller.get("/pools/p1")).json["resizeErrors"]
    assert error.keys() == {"code", "message"}  # there are no values to tell, as recorded
    assert error["code"] == "ResizeStopped"
    deleted = await caller.send("DELETE", "/pools/p1")
    assert (deleted.status, "ETag" in deleted.headers) == (202, False)
    assert (await caller.get("/pools/p1")).json["state"] == "deleting"
    answer = await caller.send("PATCH", "/pools/p1", {"metadata": []})
    assert (answer.status, answer.code) == (409, "PoolBeingDeleted")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "MissingRequiredProperty"),
        ({"nodeList": []}, 400, "InvalidPropertyValue"),
        ({"nodeList": ["n"] * 101}, 400, "InvalidPropertyValue"),
        ({"nodeList": "n"}, 400, "InvalidPropertyValue"),
        ({"nodeList": ["n"], "nodeDeallocationOption": "soon"}, 400, "InvalidPropertyValue"),
        ({"nodeList": ["n"]}, 404, "NodeNotFound"),
    ],
)
async def test_a_removal_of_nodes_is_checked(
    house: House, caller: Caller, body: dict[str, Any], status: int, code: str
) -> None:
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    await with_node(house)
    answer = await caller.post("/pools/p1/removenodes", body)
    assert (answer.status, answer.code) == (status, code)


async def test_removed_nodes_leave_and_lower_the_target(house: House, caller: Caller) -> None:
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    node_id = await with_node(house)
    body = {"nodeList": [node_id.upper()], "nodeDeallocationOption": "terminate"}
    assert (await caller.post("/pools/p1/removenodes", body)).status == 202
    shown = (await caller.get("/pools/p1")).json
    assert (shown["targetDedicatedNodes"], shown["allocationState"]) == (0, "resizing")
    assert (await caller.get(f"/pools/p1/nodes/{node_id}")).json["state"] == "leavingpool"


async def test_pools_are_listed_filtered_selected_and_paged(caller: Caller) -> None:
    for name in ("alpha", "Beta", "alpine"):
        await caller.make("/pools", pool_body(name))
    assert (await caller.get("/pools")).json["odata.metadata"].endswith("/$metadata#pools")
    query = "$filter=startswith(id,%27al%27)%20and%20vmSize%20eq%20%27STANDARD_D2_V2%27&$select=id"
    assert await caller.pages("/pools", query) == [[{"id": "alpha"}, {"id": "alpine"}]]
    assert await caller.pages("/pools", "maxresults=2&$select=id") == [
        [{"id": "alpha"}, {"id": "Beta"}],
        [{"id": "alpine"}],
    ]


async def test_head_tells_whether_a_pool_exists(caller: Caller) -> None:
    await caller.make("/pools", pool_body())
    found = await caller.send("HEAD", "/pools/p1")
    assert (found.status, found.body) == (200, b"")
    assert found.headers["ETag"] == (await caller.get("/pools/p1")).json["eTag"]
    assert (await caller.send("HEAD", "/pools/p2")).status == 404
