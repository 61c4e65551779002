"""The machines that pools are made of: images, disks, and what only older api-versions know."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.conftest import MACHINE, Caller, pool_body


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
