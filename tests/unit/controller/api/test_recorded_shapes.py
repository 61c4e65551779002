"""The table of properties by version, against what was recorded of the public service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shoal_controller.api.routes import ROUTES
from shoal_controller.api.routing import Router
from shoal_controller.api.versions import VERSIONS
from shoal_controller.api.versions.kinds import KINDS
from tests.recordings import PLACE, recordings
from tests.versioned import strangers

REQUESTS = {
    "create_pool": "BatchPoolCreateOptions",
    "update_pool": "BatchPoolUpdateOptions",
    "replace_pool_properties": "BatchPoolReplaceOptions",
    "resize_pool": "BatchPoolResizeOptions",
    "remove_nodes": "BatchNodeRemoveOptions",
    "enable_pool_auto_scale": "BatchPoolEnableAutoScaleOptions",
    "create_job": "BatchJobCreateOptions",
    "update_job": "BatchJobUpdateOptions",
    "replace_job": "BatchJob",
    "create_job_schedule": "BatchJobScheduleCreateOptions",
    "update_job_schedule": "BatchJobScheduleUpdateOptions",
    "replace_job_schedule": "BatchJobSchedule",
    "create_task": "BatchTaskCreateOptions",
    "create_task_collection": "BatchTaskGroup",
    "replace_task": "BatchTask",
    "create_node_user": "BatchNodeUserCreateOptions",
    "create_certificate": "BatchCertificate",
}
ANSWERS = {
    "pool": "BatchPool",
    "job": "BatchJob",
    "jobs_from_schedule": "BatchJob",
    "job_schedule": "BatchJobSchedule",
    "task": "BatchTask",
    "subtask": "BatchSubtask",
    "node": "BatchNode",
    "pool_node_count": "BatchPoolNodeCounts",
    "node_agent_sku": "NodeAgentSku",
    "supported_image": "BatchSupportedImage",
    "certificate": "BatchCertificate",
    "application": "BatchApplication",
    "task_file": "BatchNodeFile",
    "node_file": "BatchNodeFile",
    "pool_usage_metric": "BatchPoolUsageMetrics",
    "pool_lifetime_statistics": "BatchPoolStatistics",
    "job_lifetime_statistics": "BatchJobStatistics",
    "job_preparation_and_release_task_status": "BatchJobPreparationAndReleaseTaskStatus",
}
"""By name of the operation, without its verb and in the singular."""

pytestmark = pytest.mark.skipif(not PLACE.exists(), reason="there are no recordings here")


def _document(text: str) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
    except ValueError:  # a file, or a body that was spoiled when it was recorded
        return None
    return document if type(document) is dict else None


def _answered(name: str, version: str) -> str | None:
    if name == "create_task_collection":
        return "BatchTaskCreateResult"
    if name == "get_job_task_counts":
        return "BatchTaskCounts" if version < "2020-09-01.12.0" else "BatchTaskCountsResult"
    if not name.startswith(("get_", "list_")):
        return None
    noun = name.partition("_")[2]
    return ANSWERS.get(noun) or ANSWERS.get(noun.removesuffix("s"))


def test_every_recorded_request_has_only_what_the_table_says() -> None:
    router, seen = Router(ROUTES), 0
    for recorded in recordings():
        structure = REQUESTS.get(router.find(recorded["method"], recorded["path"])[0].name)
        document = _document(recorded["req"] or "")
        if structure is not None and document is not None:
            seen += 1
            assert strangers(structure, document, recorded["api"]) == []
    assert seen > 500


def test_every_recorded_request_is_taken() -> None:
    router = Router(ROUTES)
    kinds = {structure: kind for kind, structure in KINDS.items()}
    for recorded in recordings():
        structure = REQUESTS.get(router.find(recorded["method"], recorded["path"])[0].name)
        document = _document(recorded["req"] or "")
        if structure in kinds and document is not None:
            VERSIONS[recorded["api"]].take(kinds[structure], document)


def test_every_recorded_answer_has_only_what_the_table_says() -> None:
    router, seen = Router(ROUTES), 0
    for recorded in recordings():
        name = router.find(recorded["method"], recorded["path"])[0].name
        structure = _answered(name, recorded["api"])
        document = _document(recorded["body"])
        if recorded["status"] != 200 or structure is None or document is None:
            continue
        seen += 1
        assert strangers(structure, document.get("value", document), recorded["api"]) == []
    assert seen > 2000
