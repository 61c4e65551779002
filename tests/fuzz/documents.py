"""Good documents of any api-version, grown from the tables of the wire."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st

from shoal_controller.api.versions.kinds import KINDS
from shoal_controller.api.wire.models import ENUMERATIONS, STRUCTURES, Member
from tests.conformance.conftest import CERTIFICATE, certificate_name, encoded

Document = dict[str, Any]

IDS: Final = ("p1", "j1", "t1", "t2", "s1", "a1", "new1", "new2", "NEW1", "P1", "j-2_x", "x" * 64)
BODIES: Final[Mapping[str, str]] = {
    "create_pool": KINDS["pool_create"],
    "update_pool": KINDS["pool_patch"],
    "replace_pool_properties": KINDS["pool_replace"],
    "resize_pool": KINDS["pool_resize"],
    "enable_pool_auto_scale": "BatchPoolEnableAutoScaleOptions",
    "evaluate_pool_auto_scale": "BatchPoolEvaluateAutoScaleOptions",
    "remove_nodes": "BatchNodeRemoveOptions",
    "upgrade_pool_os": "PoolUpgradeOSParameter",
    "create_job": KINDS["job_create"],
    "update_job": KINDS["job_patch"],
    "replace_job": KINDS["job_replace"],
    "disable_job": "BatchJobDisableOptions",
    "terminate_job": "BatchJobTerminateOptions",
    "create_job_schedule": KINDS["job_schedule_create"],
    "update_job_schedule": KINDS["job_schedule_patch"],
    "replace_job_schedule": KINDS["job_schedule_replace"],
    "create_task": KINDS["task_create"],
    "create_task_collection": "BatchTaskGroup",
    "replace_task": KINDS["task_replace"],
    "disable_node_scheduling": "BatchNodeDisableSchedulingOptions",
    "reboot_node": "BatchNodeRebootOptions",
    "reimage_node": "BatchNodeReimageOptions",
    "deallocate_node": "BatchNodeDeallocateOptions",
    "upload_node_logs": "UploadBatchServiceLogsOptions",
    "create_node_user": "BatchNodeUserCreateOptions",
    "replace_node_user": "BatchNodeUserReplaceOptions",
    "create_certificate": "BatchCertificate",
}
"""By name of the route, the structure of its body."""

_IMAGE: Final = {"publisher": "debian", "offer": "debian-12", "sku": "12", "version": "latest"}
_WORDS: Final[Mapping[str, tuple[Any, ...]]] = {
    "id": IDS,
    "poolId": ("p1", "p1", "P1", "new1", "nowhere"),
    "commandLine": ("/bin/true", "/bin/sh -c 'exit 3'", "echo ü \u2028 $AZ_BATCH_TASK_ID"),
    "vmSize": ("standard_d2_v2", "STANDARD_D2_V2", "huge"),
    "nodeAgentSKUId": ("batch.node.debian 12",),
    "imageReference": (_IMAGE,),
    "url": ("http://files.test/a", "https://files.test:8443/a?sig=b%2Bc"),
    "name": ("a", "A_B", "ü", "x" * 20),
    "password": ("secret",),
    "filePath": ("a", "a/b.txt", "."),
    "fileMode": ("0755", "644"),
    "pattern": ("*", "**/*.txt", "[a-z]?"),
    "thumbprint": (certificate_name()["thumbprint"], "0" * 40),
    "certificateFormat": ("pfx", "cer"),
    "thumbprintAlgorithm": ("sha1",),
    "data": (encoded(CERTIFICATE),),
    "autoScaleFormula": ("$TargetDedicatedNodes=1", "1+"),
    "autoScaleEvaluationInterval": ("PT5M", "PT1H"),
    "recurrenceInterval": ("P1D", "PT1M"),
    "startWindow": ("PT5M",),
    "resizeTimeout": ("PT5M", "PT15M"),
    "maxWallClockTime": ("PT1H", "P10675199DT2H48M5.4775807S"),
    "priority": (0, -1000, 1000, "5"),
    "maxTaskRetryCount": (0, -1, 3),
    "maxParallelTasks": (-1, 1, 10),
    "requiredSlots": (1, 2),
    "taskSlotsPerNode": (1, 4),
    "applicationId": ("a1",),
    "usesTaskDependencies": (False,),
    "targetDedicatedNodes": (0, 1, 3),
    "targetLowPriorityNodes": (0, 1),
}
"""Values that mean something in the seeded house, by name of the property."""
_WHOLES: Final[Mapping[str, tuple[Any, ...]]] = {
    "applicationPackageReferences": ([],),
    "nodeList": ([f"tvmps_{1:064x}_d"], ["nowhere"]),
    "poolInfo": ({"poolId": "p1"}, {"poolId": "P1"}, {"poolId": "nowhere"}),
    "imageReference": _WORDS["imageReference"],
    "destination": ({"container": {"containerUrl": "http://files.test/c", "path": "p"}},),
}
"""Values that are whole, where the parts go together."""
_NEEDED: Final[Mapping[str, frozenset[str]]] = {
    "BatchPoolCreateOptions": frozenset({"virtualMachineConfiguration"}),
    "BatchPoolResizeOptions": frozenset({"targetDedicatedNodes", "targetDedicated"}),
    "BatchPoolEnableAutoScaleOptions": frozenset({"autoScaleFormula"}),
    "BatchJob": frozenset({"poolInfo"}),
    "BatchJobSchedule": frozenset({"jobSpecification", "schedule"}),
    "ResourceFile": frozenset({"httpUrl", "blobSource", "filePath"}),
    "BatchCertificate": frozenset({"certificateFormat"}),
}
"""What documents of a structure need, though its table does not say so."""
_REFUSED: Final = frozenset(
    {
        *("cloudServiceConfiguration", "containerConfiguration", "containerSettings", "extensions"),
        *("jobManagerTask", "jobPreparationTask", "jobReleaseTask", "autoPoolSpecification"),
        *("mountConfiguration", "applicationLicenses", "dependsOn", "exitConditions", "identity"),
        *("multiInstanceSettings", "windowsUserConfiguration", "windowsConfiguration"),
        *("identityReference", "storageContainerUrl", "autoStorageContainerName", "blobPrefix"),
        *("previousState", "previousStateTransitionTime", "deleteCertificateError"),
        *("autoScaleFormula", "autoScaleEvaluationInterval", "enableAutoScale"),
    }
)
"""What is refused, or goes with something else only: grown now and then."""
_MOSTLY: Final = st.sampled_from([True] * 9 + [False])
_ENDINGS: Final[Mapping[str, str]] = {
    r".*(Url|Source|source)$": "url",
    r".*(Id|Prefix)$": "id",
    r"taskIds": "id",
    r"filePattern": "pattern",
    r"user[nN]ame": "name",
}
_SCALARS: Final[Mapping[str, tuple[Any, ...]]] = {
    "string": ("text", "", "a b", "ü"),
    "integer": (0, 1, 2, 5, "3", 100),
    "int64": ("3", 7),
    "number": (0.5, 2),
    "boolean": (True, False, "true"),
    "duration": ("PT1H", "P1D", "PT5M", "P1DT2H3M4.5S"),
    "datetime": ("2026-05-01T12:00:00Z", "2026-06-01T00:00:00.1234567+02:00", "2027-01-01"),
    "any": ("anything", {"a": 1}),
}
_DEPTH_MAX: Final = 5
_OPTIONAL: Final = (0, 1, 2, 4, 8)
_ITEMS_MAX: Final = 3


@st.composite
def grown(draw: st.DrawFn, structure: str, version: str, depth: int = _DEPTH_MAX) -> Document:
    """Return a document that has what its structure requires in a version, and some more of it."""
    members = {
        name: member for name, member in STRUCTURES[structure].items() if member.is_in(version)
    }
    wanted = {name for name, member in members.items() if member.is_required}
    wanted |= _NEEDED.get(structure, frozenset()) & members.keys()
    others = sorted(members.keys() - wanted)
    if draw(_MOSTLY):
        others = [name for name in others if name not in _REFUSED]
    if others and depth:
        counts = _OPTIONAL if depth == _DEPTH_MAX else _OPTIONAL[:3]
        count = min(draw(st.sampled_from(counts)), len(others))
        wanted |= set(draw(st.lists(st.sampled_from(others), min_size=count, max_size=count)))
    return {name: draw(_value(name, members[name], version, depth)) for name in sorted(wanted)}


def _value(name: str, member: Member, version: str, depth: int) -> st.SearchStrategy[Any]:
    if name in _WHOLES:
        return st.sampled_from(_WHOLES[name])
    one = _one(name, member.structure, version, depth)
    if member.type.startswith("["):
        return st.lists(one, max_size=_ITEMS_MAX if depth > 1 else 1)
    if member.type.startswith("{"):
        return st.dictionaries(st.sampled_from(("a", "b", "ü")), one, max_size=2)
    return one


def _one(name: str, kind: str, version: str, depth: int) -> st.SearchStrategy[Any]:
    words = _WORDS.get(name) or next(
        (_WORDS[key] for pattern, key in _ENDINGS.items() if re.fullmatch(pattern, name)), None
    )
    if words is not None:
        return st.sampled_from(words)
    if kind in STRUCTURES:
        return grown(kind, version, depth - 1) if depth else st.just({})
    if kind in ENUMERATIONS:
        held = [value for value, since in ENUMERATIONS[kind].items() if since <= version]
        return st.sampled_from(held) if held else st.just("none")
    return st.sampled_from(_SCALARS[kind])


def body_of(route: str, version: str) -> st.SearchStrategy[Any]:
    """Return good bodies of a route; None where it has none."""
    own = _OWN.get(route)
    if own is not None:
        return own
    structure = BODIES.get(route)
    return st.none() if structure is None else grown(structure, version)


def has_body(route: str) -> bool:
    """Whether a route takes a body."""
    return route in _OWN or route in BODIES


_TEXT: Final = st.sampled_from(("a", "1.0", "", "text", "ü"))
_TAGS: Final = st.dictionaries(_TEXT, _TEXT, max_size=2)
_OWN: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "regenerate_account_key": st.fixed_dictionaries(
        {"keyName": st.sampled_from(("primary", "secondary"))},
        optional={"service": st.sampled_from(("batch", "storage"))},
    ),
    "regenerate_key": st.fixed_dictionaries({"keyName": st.sampled_from(("Primary", "Secondary"))}),
    "put_application": st.fixed_dictionaries(
        {},
        optional={
            "tags": _TAGS,
            "properties": st.fixed_dictionaries(
                {},
                optional={
                    "displayName": _TEXT,
                    "allowUpdates": st.booleans(),
                    "defaultVersion": _TEXT,
                },
            ),
        },
    ),
    "put_package": st.fixed_dictionaries({}, optional={"tags": _TAGS, "properties": st.just({})}),
    "activate_package": st.just({"format": "zip"}),
    "join": st.fixed_dictionaries({"node_id": st.sampled_from(IDS), "token": _TEXT}),
}
"""By name of the route, where the tables of the wire do not describe its body."""
_OWN = dict(_OWN) | {"update_application": _OWN["put_application"]}
