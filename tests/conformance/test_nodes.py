"""Nodes, their counts and the images of pools, through the real application."""

from __future__ import annotations

import pytest

from shoal_controller.loops.pools import reconcile_pools
from shoal_controller.operations.reports import agent_entries
from shoal_controller.store import nodes
from shoal_protocol.codec import Entry
from shoal_protocol.messages import FileReply, NodeReport, RebootNode
from shoal_protocol.specs import ErrorCategory, FailureInfo
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


@pytest.fixture
async def node(house: House, caller: Caller) -> str:
    """The path of an idle node."""
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    return f"/pools/p1/nodes/{await with_node(house)}"


async def test_a_node_is_shown_as_recorded(caller: Caller, node: str) -> None:
    shown = (await caller.get(node)).json
    node_id = shown["id"]
    assert shown.pop("odata.metadata").endswith("$metadata#nodes/@Element")
    assert shown["url"] == caller.base + node
    assert (shown["state"], shown["schedulingState"]) == ("idle", "enabled")
    assert shown["affinityId"] == f"TVM:{node_id}"
    assert shown["vmSize"] == "standard_d2_v2"
    assert shown["isDedicated"] is True
    for name in ("totalTasksRun", "totalTasksSucceeded", "runningTasksCount"):
        assert shown[name] == 0
    reference = shown["virtualMachineInfo"]["imageReference"]
    assert reference["sku"] == "22_04-lts"
    assert "certificateReferences" not in shown
    assert "recentTasks" not in shown
    caller.version = "2024-02-01.19.0"
    assert (await caller.get(node)).json["certificateReferences"] == []


async def test_a_node_whose_disk_is_full_says_so_and_can_be_mended(
    house: House, caller: Caller, node: str
) -> None:
    (row,) = await house.ctx.store.read(nodes.ALL)
    failure = FailureInfo(
        ErrorCategory.SERVER_ERROR,
        "DiskFull",
        "There is not enough disk space on the node",
        (("Message", "1 of 10 bytes are free"),),
    )

    async def report(*errors: FailureInfo) -> None:
        told = NodeReport(row["boot_id"], True, errors)
        await agent_entries(house.ctx, row["serial"], [Entry(1, told)])

    await report(failure)
    shown = (await caller.get(node)).json
    assert shown["state"] == "unusable"
    assert shown["errors"] == [
        {
            "code": "DiskFull",
            "message": "There is not enough disk space on the node",
            "errorDetails": [{"name": "Message", "value": "1 of 10 bytes are free"}],
        }
    ]
    house.links.replies = [FileReply(0)]
    assert (await caller.send("DELETE", f"{node}/files/shared/big")).status == 200
    await report()
    shown = (await caller.get(node)).json
    assert shown["state"] == "idle"
    assert "errors" not in shown
    await report(failure)
    assert (await caller.post(f"{node}/reboot")).status == 202


async def test_recent_tasks_are_told(house: House, caller: Caller, node: str) -> None:
    await caller.make("/jobs", job_body())
    await caller.make("/jobs/j1/tasks", task_body())
    await with_run(house)
    shown = (await caller.get(node)).json
    (task,) = shown["recentTasks"]
    info = task.pop("executionInfo")
    assert task == {
        "taskUrl": f"{caller.base}/jobs/j1/tasks/t1",
        "jobId": "j1",
        "taskId": "t1",
        "taskState": "completed",
    }
    assert (info["exitCode"], info["result"]) == (0, "success")


async def test_scheduling_is_disabled_and_enabled_once(caller: Caller, node: str) -> None:
    body = {"nodeDisableSchedulingOption": "taskCompletion"}
    assert (await caller.post(f"{node}/disablescheduling", body)).status == 200
    shown = (await caller.get(node)).json
    assert (shown["state"], shown["schedulingState"]) == ("offline", "disabled")
    again = await caller.post(f"{node}/disablescheduling")
    assert (again.status, again.code) == (409, "NodeAlreadyInTargetSchedulingState")
    assert (await caller.post(f"{node}/enablescheduling")).status == 200
    again = await caller.post(f"{node}/enablescheduling")
    assert (again.status, again.code) == (409, "NodeAlreadyInTargetSchedulingState")


async def test_a_node_is_rebooted_before_the_answer_says_so(caller: Caller, node: str) -> None:
    body = {"nodeRebootOption": "terminate"}
    answer = await caller.post(f"{node}/reboot", body)
    assert (answer.status, "ETag" in answer.headers) == (202, False)
    assert answer.headers["DataServiceId"] == f"{caller.base}{node}/reboot"
    assert (await caller.get(node)).json["state"] == "rebooting"
    again = await caller.post(f"{node}/reboot", body)
    assert (again.status, again.code) == (409, "NodeBeingRebooted")


async def test_a_node_is_reimaged_under_a_name_of_its_own(
    house: House, caller: Caller, node: str
) -> None:
    answer = await caller.post(f"{node}/reimage", {"nodeReimageOption": "terminate"})
    assert answer.status == 202
    assert answer.headers["DataServiceId"] == f"{caller.base}{node}/reimage"
    assert (await caller.get(node)).json["state"] == "reimaging"
    assert [message for _, message in house.links.sent] == [RebootNode("", wipes=True)]
    for action in ("reboot", "reimage", "deallocate"):
        again = await caller.post(f"{node}/{action}")
        assert (again.status, again.code) == (409, "NodeBeingReimaged")
    (counts,) = (await caller.get("/nodecounts")).json["value"]
    assert counts["dedicated"]["reimaging"] == counts["dedicated"]["total"] == 1


async def test_a_node_is_deallocated_and_started(house: House, caller: Caller, node: str) -> None:
    fleet = PaperFleet()
    early = await caller.post(f"{node}/start")
    assert (early.status, early.code) == (409, "OperationNotValidOnNode")
    answer = await caller.post(f"{node}/deallocate", {"nodeDeallocateOption": "requeue"})
    assert answer.status == 202
    assert (await caller.get(node)).json["state"] == "deallocating"
    await reconcile_pools(house.ctx, fleet)
    assert (await caller.get(node)).json["state"] == "deallocated"
    for action in ("reboot", "reimage", "deallocate"):
        refused = await caller.post(f"{node}/{action}")
        assert (refused.status, refused.code) == (409, "OperationNotValidOnNode")
    assert (await caller.get(f"{node}/files")).code == "OperationNotValidOnNode"
    (counts,) = (await caller.get("/nodecounts")).json["value"]
    assert counts["dedicated"]["deallocated"] == counts["dedicated"]["total"] == 1
    answer = await caller.post(f"{node}/start")
    assert answer.status == 202
    assert answer.headers["DataServiceId"] == f"{caller.base}{node}/start"
    assert (await caller.get(node)).json["state"] == "starting"
    await reconcile_pools(house.ctx, fleet)
    again = await caller.post(f"{node}/start")
    assert (again.status, again.code) == (409, "NodeBeingStarted")


@pytest.mark.parametrize(
    ("action", "body", "code"),
    [
        ("reboot", {"nodeRebootOption": "now"}, "InvalidPropertyValue"),
        ("reboot", {"nodeReimageOption": "requeue"}, "UnsupportedProperty"),
        ("reimage", {"nodeReimageOption": "now"}, "InvalidPropertyValue"),
        ("deallocate", {"nodeRebootOption": "requeue"}, "UnsupportedProperty"),
        (
            "disablescheduling",
            {"nodeDisableSchedulingOption": "retaineddata"},
            "InvalidPropertyValue",
        ),
    ],
)
async def test_an_option_that_is_none_is_refused(
    caller: Caller, node: str, action: str, body: dict[str, str], code: str
) -> None:
    answer = await caller.post(f"{node}/{action}", body)
    assert (answer.status, answer.code) == (400, code)
    assert (await caller.get(node)).json["state"] == "idle"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/pools/nope/nodes", "PoolNotFound"),
        ("/pools/nope/nodes/n", "PoolNotFound"),
        ("/pools/p1/nodes/nope", "NodeNotFound"),
        ("/pools/p1/nodes/nope/files", "NodeNotFound"),
    ],
)
async def test_what_is_not_there_is_named(caller: Caller, node: str, path: str, code: str) -> None:
    del node
    answer = await caller.get(path)
    assert (answer.status, answer.code) == (404, code)


async def test_nodes_are_filtered_and_selected(caller: Caller, node: str) -> None:
    node_id = node.rpartition("/")[2]
    query = "$filter=state%20eq%20%27idle%27&$select=id"
    assert await caller.pages("/pools/p1/nodes", query) == [[{"id": node_id}]]
    query = "$filter=state%20ne%20%27idle%27"
    assert await caller.pages("/pools/p1/nodes", query) == [[]]
    answer = await caller.get("/pools/p1/nodes", "$filter=vmSize%20eq%20%27x%27")
    assert (answer.status, answer.code) == (400, "InvalidQueryParameterValue")


async def test_nodes_are_counted_per_pool_and_state(caller: Caller, node: str) -> None:
    del node
    await caller.make("/pools", pool_body("p2"))
    answer = await caller.get("/nodecounts", "maxresults=1")
    (counts,) = answer.json["value"]
    assert counts["poolId"] == "p1"
    assert counts["dedicated"] == dict.fromkeys(counts["dedicated"], 0) | {"idle": 1, "total": 1}
    assert set(counts["lowPriority"].values()) == {0}
    follow = await caller.follow(answer.json["odata.nextLink"])
    assert [item["poolId"] for item in follow.json["value"]] == ["p2"]
    answer = await caller.get("/nodecounts", "$filter=poolId%20eq%20%27P2%27")
    assert [item["poolId"] for item in answer.json["value"]] == ["p2"]
    caller.version = "2024-02-01.19.0"
    (counts, _) = (await caller.get("/nodecounts")).json["value"]
    assert "upgradingOS" in counts["dedicated"]
    assert "deallocated" not in counts["dedicated"]


@pytest.mark.parametrize(
    "query",
    [
        "maxresults=11",
        "$filter=poolId%20ne%20%27a%27",
        "$filter=poolId%20eq%20%27a%27%20or%20poolId%20eq%20%27b%27",
        "$filter=id%20eq%20%27a%27",
    ],
)
async def test_counts_can_be_asked_for_one_pool_only(caller: Caller, query: str) -> None:
    assert (await caller.get("/nodecounts", query)).status == 400


async def test_images_have_what_clients_look_for(caller: Caller) -> None:
    (images,) = await caller.pages("/supportedimages", "")
    jammy = {
        "imageReference": {
            "publisher": "canonical",
            "offer": "0001-com-ubuntu-server-jammy",
            "sku": "22_04-lts",
            "version": "latest",
        },
        "verificationType": "verified",
        "nodeAgentSKUId": "batch.node.ubuntu 22.04",
        "osType": "linux",
    }
    assert jammy in images
    pages = await caller.pages("/supportedimages", "maxresults=7")
    assert [len(page) for page in pages[:-1]] == [7] * (len(pages) - 1)
    assert [image for page in pages for image in page] == images
    query = "$filter=verificationType%20eq%20%27unverified%27"
    (old,) = await caller.pages("/supportedimages", query)
    assert old == [image for image in images if image["verificationType"] == "unverified"]


async def test_every_image_listed_makes_a_pool(caller: Caller) -> None:
    (images,) = await caller.pages("/supportedimages", "")
    for number, image in enumerate(images):
        machine = {name: image[name] for name in ("imageReference", "nodeAgentSKUId")}
        body = pool_body(f"p{number}", virtualMachineConfiguration=machine)
        await caller.make("/pools", body)
