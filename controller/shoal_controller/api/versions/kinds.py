"""The documents that go through the door: the structure of each in wire/models.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

KINDS: Final[Mapping[str, str]] = {
    # requests
    "pool_create": "BatchPoolCreateOptions",
    "pool_patch": "BatchPoolUpdateOptions",
    "pool_replace": "BatchPoolReplaceOptions",
    "pool_resize": "BatchPoolResizeOptions",
    "job_create": "BatchJobCreateOptions",
    "job_patch": "BatchJobUpdateOptions",
    "job_replace": "BatchJob",
    "job_schedule_create": "BatchJobScheduleCreateOptions",
    "job_schedule_patch": "BatchJobScheduleUpdateOptions",
    "job_schedule_replace": "BatchJobSchedule",
    "task_create": "BatchTaskCreateOptions",
    "task_replace": "BatchTask",
    # answers
    "pool": "BatchPool",
    "node": "BatchNode",
    "node_counts": "BatchPoolNodeCounts",
    "job": "BatchJob",
    "job_schedule": "BatchJobSchedule",
    "task": "BatchTask",
    "task_added": "BatchTaskCreateResult",
    "task_counts": "BatchTaskCountsResult",
    "application": "BatchApplication",
}
