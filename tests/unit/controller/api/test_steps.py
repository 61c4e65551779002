"""Steps between api-versions: what is refused, what a request becomes, what an answer becomes."""

from __future__ import annotations

from typing import Any

import pytest

from shoal_controller.api.versions import NEWEST, VERSIONS
from shoal_controller.api.wire.values import INFINITE
from shoal_controller.core.errors import Refused

# --- requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "kind", "name"),
    [
        (NEWEST, "pool_create", "certificateReferences"),
        (NEWEST, "pool_create", "resourceTags"),
        (NEWEST, "pool_create", "applicationLicenses"),
        (NEWEST, "pool_create", "maxTasksPerNode"),
        (NEWEST, "task_create", "authenticationTokenSettings"),
        ("2024-07-01.20.0", "pool_create", "cloudServiceConfiguration"),
        ("2024-02-01.19.0", "pool_patch", "vmSize"),
        ("2024-02-01.19.0", "job_patch", "networkConfiguration"),
        ("2023-11-01.18.0", "pool_create", "upgradePolicy"),
        ("2023-05-01.17.0", "pool_create", "resourceTags"),
        ("2022-01-01.15.0", "pool_patch", "targetNodeCommunicationMode"),
        ("2021-06-01.14.0", "job_patch", "allowTaskPreemption"),
        ("2020-09-01.12.0", "job_create", "maxParallelTasks"),
        ("2020-09-01.12.0", "pool_create", "maxTasksPerNode"),
        ("2020-03-01.11.0", "pool_create", "taskSlotsPerNode"),
        ("2020-03-01.11.0", "task_create", "requiredSlots"),
        ("2019-06-01.9.0", "pool_create", "mountConfiguration"),
        ("2018-08-01.7.0", "job_create", "networkConfiguration"),
        ("2017-06-01.5.1", "task_create", "containerSettings"),
        ("2017-05-01.5.0", "pool_resize", "targetDedicated"),
        ("2017-01-01.4.0", "pool_resize", "targetDedicatedNodes"),
        ("2017-01-01.4.0", "task_create", "outputFiles"),
        ("2017-01-01.4.0", "task_create", "runElevated"),
        ("2016-07-01.3.1", "task_create", "userIdentity"),
        ("2016-02-01.3.0", "task_create", "exitConditions"),
        ("2016-02-01.3.0", "job_create", "onAllTasksComplete"),
        ("2016-02-01.3.0", "pool_create", "networkConfiguration"),
    ],
)
def test_a_property_that_a_version_lacks_is_refused(version: str, kind: str, name: str) -> None:
    with pytest.raises(Refused, match="UnsupportedProperty") as refused:
        VERSIONS[version].take(kind, {name: {}})
    assert refused.value.details["PropertyName"] == name
    assert name in VERSIONS[version].take(kind, {name: None, "id": "x"}) or version < NEWEST


@pytest.mark.parametrize(
    ("version", "kind", "path"),
    [
        (NEWEST, "task_create", "resourceFiles/blobSource"),
        ("2018-08-01.7.0", "task_create", "resourceFiles/httpUrl"),
        ("2018-08-01.7.0", "job_create", "jobManagerTask/resourceFiles/httpUrl"),
        (
            "2018-08-01.7.0",
            "job_schedule_create",
            "jobSpecification/poolInfo/autoPoolSpecification/pool/startTask/resourceFiles/httpUrl",
        ),
        (NEWEST, "pool_create", "virtualMachineConfiguration/dataDisks/storageAccountType"),
        ("2024-07-01.20.0", "pool_create", "virtualMachineConfiguration/dataDisks/managedDisk"),
        ("2020-09-01.12.0", "pool_create", "virtualMachineConfiguration/osDisk"),
        ("2016-07-01.3.1", "job_create", "jobPreparationTask/userIdentity"),
        ("2016-07-01.3.1", "pool_create", "startTask/userIdentity"),
        ("2024-02-01.19.0", "task_create", "containerSettings/containerHostBatchBindMounts"),
        ("2022-10-01.16.0", "pool_create", "networkConfiguration/enableAcceleratedNetworking"),
    ],
)
def test_a_property_inside_of_a_structure_belongs_to_versions_too(
    version: str, kind: str, path: str
) -> None:
    *outer, name = path.split("/")
    document: Any = {name: "x"}
    for key in reversed(outer):
        is_list = key in ("resourceFiles", "dataDisks")
        document = {key: [document] if is_list else document}
    with pytest.raises(Refused, match="UnsupportedProperty") as refused:
        VERSIONS[version].take(kind, document)
    assert refused.value.details["PropertyName"] == name


@pytest.mark.parametrize(
    ("version", "kind", "document", "name"),
    [
        (
            "2022-10-01.16.0",
            "pool_create",
            {"virtualMachineConfiguration": {"containerConfiguration": {"type": "CRICompatible"}}},
            "type",
        ),
        (
            "2023-05-01.17.0",
            "pool_create",
            {
                "virtualMachineConfiguration": {
                    "dataDisks": [{"lun": 0, "storageAccountType": "StandardSSD_LRS"}]
                }
            },
            "storageAccountType",
        ),
    ],
)
def test_a_value_that_a_version_lacks_is_refused(
    version: str, kind: str, document: dict[str, Any], name: str
) -> None:
    with pytest.raises(Refused, match="InvalidPropertyValue") as refused:
        VERSIONS[version].take(kind, document)
    assert refused.value.details["PropertyName"] == name


def machine(**more: Any) -> dict[str, Any]:
    return {"virtualMachineConfiguration": more}


@pytest.mark.parametrize(
    ("version", "kind", "given", "inside"),
    [
        (
            "2024-07-01.20.0",
            "pool_patch",
            machine(dataDisks=[{"lun": 1, "storageAccountType": "premium_lrs"}]),
            machine(dataDisks=[{"lun": 1, "managedDisk": {"storageAccountType": "premium_lrs"}}]),
        ),
        ("2020-03-01.11.0", "pool_create", {"maxTasksPerNode": 4}, {"taskSlotsPerNode": 4}),
        (
            "2019-08-01.10.0",
            "pool_create",
            {"networkConfiguration": {"publicIPs": ["a"]}},
            {"networkConfiguration": {"publicIPAddressConfiguration": {"ipAddressIds": ["a"]}}},
        ),
        (
            "2019-06-01.9.0",
            "pool_create",
            {"startTask": {"commandLine": "c"}},
            {"startTask": {"commandLine": "c", "waitForSuccess": False}},
        ),
        (
            "2019-06-01.9.0",
            "task_create",
            {"userIdentity": {"autoUser": {"elevationLevel": "admin"}}},
            {"userIdentity": {"autoUser": {"elevationLevel": "admin", "scope": "task"}}},
        ),
        ("2018-12-01.8.0", "task_create", {"id": "t"}, {"id": "t"}),
        (
            "2018-08-01.7.0",
            "task_create",
            {"id": "t"},
            {"id": "t", "constraints": {"retentionTime": INFINITE}},
        ),
        (
            "2018-08-01.7.0",
            "task_create",
            {
                "constraints": {"retentionTime": "PT1H"},
                "resourceFiles": [{"blobSource": "http://h/f", "filePath": "f"}],
            },
            {
                "constraints": {"retentionTime": "PT1H"},
                "resourceFiles": [{"httpUrl": "http://h/f", "filePath": "f"}],
            },
        ),
        (
            "2018-08-01.7.0",
            "task_replace",
            {"constraints": {"maxTaskRetryCount": 2}},
            {"constraints": {"maxTaskRetryCount": 2, "retentionTime": INFINITE}},
        ),
        (
            "2018-03-01.6.1",
            "pool_create",
            machine(containerConfiguration={"type": "Docker"}),
            machine(containerConfiguration={"type": "dockerCompatible"}),
        ),
        (
            "2017-06-01.5.1",
            "pool_create",
            machine(nodeAgentSKUId="a", osDisk={"imageUris": ["http://h/d"], "caching": "none"}),
            machine(
                nodeAgentSKUId="a",
                osDisk={"caching": "none"},
                imageReference={"virtualMachineImageId": "http://h/d"},
            ),
        ),
        ("2017-01-01.4.0", "pool_create", {"targetDedicated": 2}, {"targetDedicatedNodes": 2}),
        ("2017-01-01.4.0", "pool_resize", {"targetDedicated": 0}, {"targetDedicatedNodes": 0}),
        ("2017-01-01.4.0", "pool_resize", {"targetDedicated": None}, {}),
        (
            "2017-01-01.4.0",
            "pool_create",
            {"userAccounts": [{"name": "u", "sshPrivateKey": "k"}]},
            {"userAccounts": [{"name": "u", "linuxUserConfiguration": {"sshPrivateKey": "k"}}]},
        ),
        (
            "2017-01-01.4.0",
            "task_create",
            {
                "constraints": {"retentionTime": "PT1H"},
                "exitConditions": {"schedulingError": {"jobAction": "terminate"}},
            },
            {
                "constraints": {"retentionTime": "PT1H"},
                "exitConditions": {"preProcessingError": {"jobAction": "terminate"}},
                "userIdentity": {"autoUser": {"scope": "task", "elevationLevel": "nonadmin"}},
            },
        ),
        (
            "2016-07-01.3.1",
            "job_create",
            {"jobReleaseTask": {"commandLine": "c", "runElevated": "true"}},
            {
                "jobReleaseTask": {
                    "commandLine": "c",
                    "userIdentity": {"autoUser": {"scope": "task", "elevationLevel": "admin"}},
                    "retentionTime": INFINITE,
                }
            },
        ),
        (
            "2016-02-01.3.0",
            "job_schedule_create",
            {
                "jobSpecification": {
                    "jobManagerTask": {"runElevated": True, "constraints": None},
                    "poolInfo": {
                        "autoPoolSpecification": {
                            "pool": {"targetDedicated": 1, "maxTasksPerNode": 2}
                        }
                    },
                }
            },
            {
                "jobSpecification": {
                    "jobManagerTask": {
                        "userIdentity": {"autoUser": {"scope": "task", "elevationLevel": "admin"}},
                        "constraints": {"retentionTime": INFINITE},
                    },
                    "poolInfo": {
                        "autoPoolSpecification": {
                            "pool": {"targetDedicatedNodes": 1, "taskSlotsPerNode": 2}
                        }
                    },
                }
            },
        ),
    ],
)
def test_a_request_climbs_up(
    version: str, kind: str, given: dict[str, Any], inside: dict[str, Any]
) -> None:
    before = repr(given)
    assert VERSIONS[version].take(kind, given) == inside
    assert repr(given) == before


@pytest.mark.parametrize(
    ("osDisk", "more"),
    [
        ({"imageUris": ["http://h/a", "http://h/b"]}, {}),
        ({"imageUris": "http://h/a"}, {}),
        ({"imageUris": ["http://h/a"]}, {"imageReference": {"publisher": "p"}}),
    ],
)
def test_a_disk_that_is_no_image_is_refused(osDisk: Any, more: dict[str, Any]) -> None:
    document = machine(osDisk=osDisk, **more)
    with pytest.raises(Refused, match="InvalidPropertyValue"):
        VERSIONS["2017-06-01.5.1"].take("pool_create", document)


# --- answers --------------------------------------------------------------------------------------

FAILURE = {"category": "UserError", "code": "CommandProgramNotFound", "message": "m", "details": []}
POOL_USER = {"autoUser": {"scope": "pool", "elevationLevel": "nonadmin"}}
SCOPED = {"networkConfiguration": {"dynamicVNetAssignmentScope": "none"}}
RAN = {"totalTasksRun": 0, "totalTasksSucceeded": 0, "runningTasksCount": 0}


@pytest.mark.parametrize(
    ("version", "kind", "inside", "shown"),
    [
        (NEWEST, "pool", {"id": "p", "certificateReferences": []}, {"id": "p"}),
        (
            "2024-07-01.20.0",
            "pool",
            machine(dataDisks=[{"lun": 1, "managedDisk": {"storageAccountType": "premium_lrs"}}]),
            machine(dataDisks=[{"lun": 1, "storageAccountType": "premium_lrs"}]),
        ),
        (
            "2024-02-01.19.0",
            "node_counts",
            {"poolId": "p", "dedicated": {"idle": 1, "deallocated": 0, "upgradingOS": 0}},
            {"poolId": "p", "dedicated": {"idle": 1, "upgradingOS": 0}},
        ),
        ("2024-02-01.19.0", "task_added", {"status": "success"}, {"status": "success"}),
        ("2023-11-01.18.0", "task_added", {"status": "success"}, {"status": "Success"}),
        ("2016-02-01.3.0", "task_added", {"status": "clienterror"}, {"status": "ClientError"}),
        (
            "2020-03-01.11.0",
            "task_counts",
            {"taskCounts": {"active": 1}, "taskSlotCounts": {"active": 2}},
            {"active": 1},
        ),
        (
            "2017-06-01.5.1",
            "task_counts",
            {"taskCounts": {"active": 1}, "taskSlotCounts": {"active": 2}},
            {"active": 1, "validationStatus": "Validated"},
        ),
        ("2020-03-01.11.0", "pool", {"taskSlotsPerNode": 4}, {"maxTasksPerNode": 4}),
        ("2020-03-01.11.0", "task", {"requiredSlots": 1, "id": "t"}, {"id": "t"}),
        ("2019-08-01.10.0", "task", {"userIdentity": POOL_USER}, {"userIdentity": POOL_USER}),
        (
            "2017-05-01.5.0",
            "task",
            {"userIdentity": POOL_USER},
            {"userIdentity": {"autoUser": {"elevationLevel": "nonadmin"}}},
        ),
        ("2017-01-01.4.0", "task", {"userIdentity": POOL_USER}, {"userIdentity": POOL_USER}),
        ("2016-07-01.3.1", "task", {"userIdentity": POOL_USER}, {"runElevated": False}),
        ("2016-07-01.3.1", "task", {"userIdentity": {"username": "u"}}, {"runElevated": False}),
        (
            "2016-07-01.3.1",
            "node",
            {"startTask": {"userIdentity": {"autoUser": {"elevationLevel": "admin"}}}},
            {"startTask": {"runElevated": True}},
        ),
        (
            "2018-08-01.7.0",
            "task",
            {"resourceFiles": [{"httpUrl": "u", "filePath": "f"}]},
            {"resourceFiles": [{"blobSource": "u", "filePath": "f"}]},
        ),
        (
            "2018-03-01.6.1",
            "node",
            {"recentTasks": [{"executionInfo": {"result": "failure", "failureInfo": FAILURE}}]},
            {"recentTasks": [{"executionInfo": {"result": "Failure", "failureInfo": FAILURE}}]},
        ),
        (
            "2017-01-01.4.0",
            "task",
            {"executionInfo": {"result": "failure", "failureInfo": FAILURE}},
            {"executionInfo": {"schedulingError": FAILURE}},
        ),
        (
            "2017-01-01.4.0",
            "task",
            {"executionInfo": {"failureInfo": FAILURE | {"code": "FailureExitCode"}}},
            {"executionInfo": {}},
        ),
        (
            "2017-01-01.4.0",
            "pool",
            {
                "currentDedicatedNodes": 1,
                "targetDedicatedNodes": 2,
                "currentLowPriorityNodes": 3,
                "targetLowPriorityNodes": 4,
                "resizeErrors": [{"code": "a"}, {"code": "b"}],
            },
            {"currentDedicated": 1, "targetDedicated": 2, "resizeError": {"code": "a"}},
        ),
        (
            "2017-06-01.5.1",
            "pool",
            machine(imageReference={"virtualMachineImageId": "i"}),
            machine(osDisk={"imageUris": ["i"]}),
        ),
        (
            "2018-12-01.8.0",
            "pool",
            machine(osDisk={"caching": "none"}, dataDisks=[]),
            machine(dataDisks=[]),
        ),
        (
            "2018-08-01.7.0",
            "pool",
            {"cloudServiceConfiguration": {"osVersion": "*"}},
            {"cloudServiceConfiguration": {"targetOSVersion": "*", "currentOSVersion": "*"}},
        ),
        ("2017-01-01.4.0", "node", {"id": "n", "isDedicated": True}, {"id": "n"}),
        ("2016-02-01.3.0", "job", {"id": "j", "onTaskFailure": "noaction"}, {"id": "j"}),
        ("2022-10-01.16.0", "pool", {"certificateReferences": []}, {"certificateReferences": []}),
        ("2022-01-01.15.0", "pool", {"id": "p", "certificateReferences": []}, {"id": "p"}),
        ("2019-06-01.9.0", "node", {"id": "n", "certificateReferences": []}, {"id": "n"}),
        ("2019-08-01.10.0", "pool", SCOPED, SCOPED),
        ("2019-06-01.9.0", "pool", SCOPED, {"networkConfiguration": {}}),
        ("2018-12-01.8.0", "node", RAN, RAN),
        ("2018-08-01.7.0", "node", RAN, {"totalTasksRun": 0}),
        ("2018-08-01.7.0", "node", {"lastBootTime": "t", **RAN}, {"lastBootTime": "t", **RAN}),
        (
            "2018-08-01.7.0",
            "pool",
            machine(osDisk={"caching": "readwrite"}, dataDisks=[{"caching": "none"}]),
            machine(osDisk={"caching": "ReadWrite"}, dataDisks=[{"caching": "none"}]),
        ),
    ],
)
def test_an_answer_climbs_down(
    version: str, kind: str, inside: dict[str, Any], shown: dict[str, Any]
) -> None:
    before = repr(inside)
    assert VERSIONS[version].show(kind, inside) == shown
    assert repr(inside) == before


def test_fragments_of_metadata_have_versions() -> None:
    newest = "taskcountsresult/@Element"
    assert VERSIONS["2020-09-01.12.0"].fragment(newest) == newest
    assert VERSIONS["2020-03-01.11.0"].fragment(newest) == "taskcounts/@Element"
    assert VERSIONS["2016-02-01.3.0"].fragment("jobs") == "jobs"
