"""2020-03-01.11.0, beside 2020-09-01.12.0: tasks per node instead of slots, no counts of slots."""

from __future__ import annotations

from shoal_controller.api.versions.step import Document, Reshape, Step, moved

_SLOTS = (moved("maxTasksPerNode", "taskSlotsPerNode"),)


def _flat(document: Document) -> Document:
    return document["taskCounts"]


STEP = Step(
    "2020-03-01.11.0",
    {
        "BatchPool": _SLOTS,
        "BatchPoolCreateOptions": _SLOTS,
        "BatchPoolSpecification": _SLOTS,
        "BatchTaskCountsResult": (Reshape(down=_flat),),
    },
    {"taskcountsresult/@Element": "taskcounts/@Element"},
)
