"""2018-03-01.6.1, beside 2018-08-01.7.0: other spellings, and counts of tasks called validated."""

from __future__ import annotations

from shoal_controller.api.versions.step import Document, Reshape, Step, spelled

_RESULT = (spelled("result", {"success": "Success", "failure": "Failure"}),)


def _validated(document: Document) -> Document:
    return document | {"validationStatus": "Validated"}


STEP = Step(
    "2018-03-01.6.1",
    {
        "BatchTaskExecutionInfo": _RESULT,
        "BatchSubtask": _RESULT,
        "BatchStartTaskInfo": _RESULT,
        "BatchJobPreparationTaskExecutionInfo": _RESULT,
        "BatchJobReleaseTaskExecutionInfo": _RESULT,
        "BatchContainerConfiguration": (spelled("type", {"dockerCompatible": "docker"}),),
        "BatchTaskCounts": (Reshape(down=_validated, gone=frozenset({"validationStatus"})),),
    },
)
