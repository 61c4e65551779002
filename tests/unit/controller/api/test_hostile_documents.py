"""Whatever a document says, it is read or refused: nothing else may happen."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shoal_controller.api.versions import VERSIONS
from shoal_controller.api.versions.kinds import KINDS
from shoal_controller.api.wire import autoscale, certificate, job, jobschedule, node, pool, task
from shoal_controller.api.wire.models import STRUCTURES
from shoal_controller.core.errors import Refused
from tests.versioned import whole

SAMPLES: dict[str, Any] = {
    "pool_create": {
        "id": "p",
        "vmSize": "s",
        "displayName": "d",
        "virtualMachineConfiguration": {
            "imageReference": {"publisher": "debian", "offer": "debian-12", "sku": "12"},
            "nodeAgentSKUId": "batch.node.debian 12",
            "dataDisks": [{"lun": 1, "diskSizeGB": 5, "storageAccountType": "standard_lrs"}],
            "osDisk": {"ephemeralOSDiskSettings": {"placement": "cachedisk"}},
            "windowsConfiguration": None,
            "extensions": [],
        },
        "networkConfiguration": {
            "subnetId": "s",
            "endpointConfiguration": {
                "inboundNATPools": [
                    {
                        "name": "n",
                        "protocol": "tcp",
                        "backendPort": 80,
                        "frontendPortRangeStart": 1000,
                        "frontendPortRangeEnd": 2000,
                        "networkSecurityGroupRules": [
                            {"priority": 150, "access": "allow", "sourceAddressPrefix": "*"}
                        ],
                    }
                ]
            },
        },
        "resizeTimeout": "PT20M",
        "targetDedicatedNodes": 1,
        "enableAutoScale": False,
        "startTask": {
            "commandLine": "c",
            "resourceFiles": [{"httpUrl": "http://h/f", "filePath": "f", "fileMode": "0755"}],
            "environmentSettings": [{"name": "n", "value": "v"}],
            "userIdentity": {"autoUser": {"scope": "pool", "elevationLevel": "admin"}},
            "maxTaskRetryCount": -1,
        },
        "taskSlotsPerNode": 2,
        "taskSchedulingPolicy": {"nodeFillType": "pack"},
        "userAccounts": [
            {"name": "u", "password": "p", "linuxUserConfiguration": {"uid": 1, "gid": 1}}
        ],
        "metadata": [{"name": "n", "value": "v"}],
        "upgradePolicy": {
            "mode": "manual",
            "rollingUpgradePolicy": {"pauseTimeBetweenBatches": "PT1M"},
        },
        "resourceTags": {"a": "b"},
    },
    "job_create": {
        "id": "j",
        "poolInfo": {"poolId": "p"},
        "priority": 1,
        "maxParallelTasks": -1,
        "allowTaskPreemption": False,
        "constraints": {"maxWallClockTime": "P1D", "maxTaskRetryCount": 1},
        "commonEnvironmentSettings": [{"name": "n"}],
        "onAllTasksComplete": "noaction",
        "onTaskFailure": "noaction",
        "metadata": [],
        "networkConfiguration": {"subnetId": "s", "skipWithdrawFromVNet": True},
        "usesTaskDependencies": "false",
    },
    "task_create": {
        "id": "t",
        "commandLine": "c",
        "displayName": "d",
        "resourceFiles": [
            {"storageContainerUrl": "http://h/c", "blobPrefix": "b", "filePath": "d"}
        ],
        "outputFiles": [
            {
                "filePattern": "*",
                "destination": {
                    "container": {
                        "containerUrl": "http://h/c",
                        "path": "p",
                        "uploadHeaders": [{"name": "n", "value": "v"}],
                    }
                },
                "uploadOptions": {"uploadCondition": "taskSuccess"},
            }
        ],
        "environmentSettings": [{"name": "n", "value": "v"}],
        "affinityInfo": {"affinityId": "TVM:n"},
        "constraints": {"retentionTime": "PT1H", "maxTaskRetryCount": "2"},
        "requiredSlots": "1",
        "userIdentity": {"username": "u"},
        "dependsOn": {"taskIds": []},
    },
    "pool_resize": {
        "targetDedicatedNodes": 1,
        "resizeTimeout": "PT5M",
        "nodeDeallocationOption": "x",
    },
    "remove": {"nodeList": ["a"], "nodeDeallocationOption": "requeue"},
    "disable": {"disableTasks": "wait"},
    "terminate": {"terminateReason": "r"},
    "reboot": {"nodeRebootOption": "requeue"},
    "job_schedule_create": {
        "id": "s",
        "displayName": "d",
        "schedule": {
            "doNotRunUntil": "2027-01-01T00:00:00Z",
            "doNotRunAfter": "2028-01-01",
            "startWindow": "PT1H",
            "recurrenceInterval": "P1D",
        },
        "jobSpecification": {
            "poolInfo": {"poolId": "p"},
            "priority": 1,
            "constraints": {"maxTaskRetryCount": 1},
            "commonEnvironmentSettings": [{"name": "n"}],
            "networkConfiguration": {"subnetId": "s", "skipWithdrawFromVNet": True},
        },
        "metadata": [{"name": "n", "value": "v"}],
    },
    "certificate": {
        "thumbprint": "e" * 40,
        "thumbprintAlgorithm": "sha1",
        "data": "MAMCAQU=",
        "certificateFormat": "pfx",
        "password": "p",
    },
    "enable_auto_scale": {
        "autoScaleFormula": "$TargetDedicatedNodes = 1;",
        "autoScaleEvaluationInterval": "PT6M",
    },
    "evaluate_auto_scale": {"autoScaleFormula": "$TargetDedicatedNodes = 1;"},
    "user": {"name": "u", "isAdmin": "true", "expiryTime": "2027-01-01", "sshPublicKey": "k"},
    "logs": {
        "containerUrl": "http://h/c?sig=x",
        "startTime": "2026-01-01",
        "endTime": "2027-01-01",
    },
}
READERS: dict[str, Callable[[Any], object]] = {
    "pool_create": pool.read_pool,
    "pool_patch": pool.read_patch,
    "pool_replace": pool.read_replacement,
    "job_create": job.read_job,
    "job_patch": job.read_patch,
    "job_replace": job.read_replacement,
    "task_create": task.read_task,
    "task_replace": task.read_update,
    "collection": task.read_collection,
    "pool_resize": pool.read_resize,
    "remove": pool.read_removal,
    "disable": job.read_disable,
    "terminate": job.read_terminate,
    "reboot": lambda document: node.read_option(document, "nodeRebootOption", keeps_data=True),
    "job_schedule_create": jobschedule.read_job_schedule,
    "job_schedule_patch": jobschedule.read_patch,
    "job_schedule_replace": jobschedule.read_replacement,
    "certificate": certificate.read_certificate,
    "enable_auto_scale": autoscale.read_enable,
    "evaluate_auto_scale": autoscale.check_evaluate,
    "user": node.check_user,
    "logs": node.read_logs,
}
_SAMPLE_OF = {
    "pool_patch": "pool_create",
    "pool_replace": "pool_create",
    "job_patch": "job_create",
    "job_replace": "job_create",
    "task_replace": "task_create",
    "collection": "task_create",
    "job_schedule_patch": "job_schedule_create",
    "job_schedule_replace": "job_schedule_create",
}

_odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, 2**63, -(2**64), 10**400, -1, 0]),
    st.floats(),
    st.sampled_from(["", " ", "\0", "x\0y", "../x", "/etc", "a/../../b", "é" * 70, "x" * 2000]),
    st.sampled_from(["P", "PT", "P1Y", "-P1D", "P999999999D", "PT999999999H", "PT0.5S", "1e5"]),
    st.sampled_from(["9" * 5000, "--1", "+1", "²", "٣", "0x10", "ſ", "\ud7ff", "TRUE"]),
    st.text(max_size=20),
    st.just([]),
    st.just({}),
    st.just([None]),
    st.just([[]]),
    st.just({"": ""}),
    st.just({"name": 5}),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=6,
    ),
)
_NAMES = sorted(
    {name for members in STRUCTURES.values() for name in members}
    | {name for sample in SAMPLES.values() for name in sample}
    | {"odata.type", "x@odata.y", "cloudServiceConfiguration", "jobManagerTask", "unknown", ""}
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value inside of a document."""
    items = value.items() if type(value) is dict else enumerate(value)
    found = [path]
    for key, item in items:
        found += _paths(item, (*path, key)) if type(item) in (dict, list) else [(*path, key)]
    return found


def _changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a document with one value changed; (): all of it."""
    if not path:
        return new
    copy = dict(value) if type(value) is dict else list(value)
    copy[path[0]] = _changed(value[path[0]], path[1:], new)
    return copy


@st.composite
def spoiled(draw: st.DrawFn, document: Any) -> Any:
    """Return a good document that was spoiled in up to three places."""
    for _ in range(draw(st.integers(0, 3))):
        if type(document) not in (dict, list):
            break
        path = draw(st.sampled_from(_paths(document)))
        new = draw(_odd)
        if draw(st.booleans()) and path and type(path[-1]) is str:
            inner = document
            for key in path[:-1]:
                inner = inner[key]
            path, new = path[:-1], inner | {draw(st.sampled_from(_NAMES)): new}
        document = _changed(document, path, new)
    return document


@settings(max_examples=400, deadline=None)
@given(st.data(), st.sampled_from(sorted(READERS)), st.sampled_from(sorted(VERSIONS)))
def test_a_document_is_read_or_refused(data: st.DataObject, kind: str, version: str) -> None:
    document = data.draw(spoiled(SAMPLES[_SAMPLE_OF.get(kind, kind)]))
    if type(document) is not dict:
        document = {"value": document}
    refused: Refused | None = None
    try:
        READERS[kind](VERSIONS[version].take(kind, document) if kind in KINDS else document)
    except Refused as error:
        refused = error
    if refused is not None:
        assert refused.status in (400, 404)
        assert all(type(value) is str for value in refused.details.values())


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(VERSIONS)))
def test_a_document_of_any_kind_climbs_up_or_is_refused(
    data: st.DataObject, kind: str, version: str
) -> None:
    there = VERSIONS[version]
    document = data.draw(spoiled(there.show(kind, whole(KINDS[kind]))))
    if type(document) is not dict:
        return
    before = repr(document)
    with contextlib.suppress(Refused):
        assert type(there.take(kind, document)) is dict
    assert repr(document) == before


def test_the_unspoiled_documents_are_read() -> None:
    older = VERSIONS["2024-07-01.20.0"]
    for kind in ("pool_create", "job_create", "task_create", "job_schedule_create"):
        READERS[kind](older.take(kind, SAMPLES[kind]))
    for kind in ("certificate", "enable_auto_scale", "evaluate_auto_scale", "user", "logs"):
        READERS[kind](SAMPLES[kind])
