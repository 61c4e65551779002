"""The machines that pools are made of: images, disks, and what only older api-versions know."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.conftest import MACHINE, Caller, pool_body

COMPUTE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute"


@pytest.mark.parametrize(
    ("changes", "status", "code", "name"),
    [
        ({"nodeAgentSKUId": "batch.node.beos 5"}, 404, "NodeAgentSKUNotFound", "nodeAgentSKUId"),
        (
            {"nodeAgentSKUId": "batch.node.debian 12"},
            400,
            "InvalidPropertyValue",
            "nodeAgentSKUId",
        ),
        ({"imageReference": {"publisher": "me"}}, 400, "InvalidPropertyValue", "imageReference"),
        (
            {"imageReference": {"virtualMachineImageId": COMPUTE + "/gallery/g/images/i"}},
            400,
            "InvalidPropertyValue",
            "virtualMachineImageId",
        ),
        ({"dataDisks": [{"lun": 64, "diskSizeGB": 1}]}, 400, "InvalidPropertyValue", "lun"),
        ({"dataDisks": [{"lun": 1}]}, 400, "MissingRequiredProperty", "diskSizeGB"),
        (
            {"containerConfiguration": {"type": "dockerCompatible"}},
            400,
            "UnsupportedProperty",
            "containerConfiguration",
        ),
        (
            {"windowsConfiguration": {"enableAutomaticUpdates": True}},
            400,
            "InvalidPropertyValue",
            "windowsConfiguration",
        ),
        ({"osDisk": {"caching": "always"}}, 400, "InvalidPropertyValue", "caching"),
        ({"osDisk": {"colour": "red"}}, 400, "UnsupportedProperty", "colour"),
    ],
)
async def test_a_machine_that_cannot_be_is_refused(
    caller: Caller, changes: dict[str, Any], status: int, code: str, name: str
) -> None:
    body = pool_body(virtualMachineConfiguration=MACHINE | changes)
    answer = await caller.post("/pools", body)
    assert (answer.status, answer.code) == (status, code)
    assert answer.values["PropertyName"] == name


@pytest.mark.parametrize(
    "image",
    [
        COMPUTE + "/images/i",
        COMPUTE + "/galleries/g/images/i",
        COMPUTE.lower() + "/galleries/g/images/i/versions/1.0.0",
    ],
)
async def test_an_image_of_ones_own_is_named_by_where_it_is(caller: Caller, image: str) -> None:
    machine = MACHINE | {"imageReference": {"virtualMachineImageId": image}}
    await caller.make("/pools", pool_body(virtualMachineConfiguration=machine))
    shown = (await caller.get("/pools/p1")).json["virtualMachineConfiguration"]
    assert shown["imageReference"]["virtualMachineImageId"] == image


def _opening(port: int | str) -> dict[str, Any]:
    """Return the settings of a pool that opens a port of its nodes to the outside."""
    opened = {
        "name": "n",
        "protocol": "tcp",
        "backendPort": port,
        "frontendPortRangeStart": 15000,
        "frontendPortRangeEnd": 15100,
    }
    return {"networkConfiguration": {"endpointConfiguration": {"inboundNATPools": [opened]}}}


@pytest.mark.parametrize(
    ("version", "port", "is_refused"),
    [
        ("2025-06-01", 22, False),
        ("2025-06-01", 3389, False),
        ("2025-06-01", 29876, True),
        ("2025-06-01", 29877, True),
        ("2024-07-01.20.0", 22, True),
        ("2024-07-01.20.0", "22", True),
        ("2018-12-01.8.0", 3389, True),
        ("2018-12-01.8.0", 3390, False),
    ],
)
async def test_ports_that_the_service_needs_itself_are_refused(
    caller: Caller, version: str, port: int | str, is_refused: bool
) -> None:
    caller.version = version
    answer = await caller.post("/pools", pool_body(**_opening(port)))
    if not is_refused:
        assert answer.status == 201
        return
    assert (answer.status, answer.code) == (400, "InvalidPropertyValue")
    assert answer.values["PropertyName"] == "backendPort"
    assert answer.values["PropertyValue"] == str(port)


async def test_a_pool_of_cloud_services_is_refused(caller: Caller) -> None:
    caller.version = "2024-02-01.19.0"
    body = {"id": "p", "vmSize": "small", "cloudServiceConfiguration": {"osFamily": "5"}}
    answer = await caller.post("/pools", body)
    assert (answer.status, answer.code) == (400, "InvalidPropertyValue")
    assert answer.values["PropertyName"] == "cloudServiceConfiguration"


async def test_an_older_version_gives_and_sees_what_only_it_has(caller: Caller) -> None:
    caller.version = "2024-02-01.19.0"
    disk = {"lun": 0, "diskSizeGB": 50, "storageAccountType": "Premium_LRS"}
    machine = MACHINE | {"dataDisks": [disk]}
    body = pool_body(
        virtualMachineConfiguration=machine,
        resourceTags={"a": "b"},
        targetNodeCommunicationMode="classic",
    )
    await caller.make("/pools", body)
    shown = (await caller.get("/pools/p1")).json
    assert shown["certificateReferences"] == []
    assert shown["resourceTags"] == {"a": "b"}
    assert shown["targetNodeCommunicationMode"] == "classic"
    kept = {"lun": 0, "diskSizeGB": 50, "caching": "none"}
    (disk,) = shown["virtualMachineConfiguration"]["dataDisks"]
    assert disk == kept | {"storageAccountType": "premium_lrs"}
    caller.version = "2025-06-01"
    shown = (await caller.get("/pools/p1")).json
    (disk,) = shown["virtualMachineConfiguration"]["dataDisks"]
    assert disk == kept | {"managedDisk": {"storageAccountType": "premium_lrs"}}
    assert "resourceTags" not in shown
    assert "targetNodeCommunicationMode" not in shown


async def test_what_a_pool_leaves_out_of_disks_and_ports_is_filled_in(caller: Caller) -> None:
    nat_pool = {
        "name": "ours",
        "protocol": "udp",
        "backendPort": 64444,
        "frontendPortRangeStart": 60000,
        "frontendPortRangeEnd": 61000,
    }
    rules = [
        {"priority": 150, "access": "allow", "sourceAddressPrefix": "*"},
        {"priority": 151, "access": "deny", "sourceAddressPrefix": "*", "sourcePortRanges": ["1"]},
    ]
    endpoints = {"inboundNATPools": [nat_pool | {"networkSecurityGroupRules": rules}]}
    body = pool_body(
        virtualMachineConfiguration=MACHINE | {"dataDisks": [{"lun": 1, "diskSizeGB": 50}]},
        networkConfiguration={"endpointConfiguration": endpoints},
    )
    await caller.make("/pools", body)
    shown = (await caller.get("/pools/p1")).json
    (disk,) = shown["virtualMachineConfiguration"]["dataDisks"]
    kept = {"lun": 1, "caching": "none", "diskSizeGB": 50}
    assert disk == kept | {"managedDisk": {"storageAccountType": "standard_lrs"}}
    (told,) = shown["networkConfiguration"]["endpointConfiguration"]["inboundNATPools"]
    ports = [rule["sourcePortRanges"] for rule in told["networkSecurityGroupRules"]]
    assert ports == [["*"], ["1"]]
