"""The table of properties by version, against what was recorded of the public service.

tests/replay sends the requests; answers are looked at here for what Shoal has no part in, too.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from shoal_controller.api.routes import ROUTES
from shoal_controller.api.routing import Router
from tests.recordings import PLACE, recordings
from tests.versioned import strangers

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
