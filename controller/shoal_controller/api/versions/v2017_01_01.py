"""2017-01-01.4.0, beside 2017-05-01.5.0: one kind of nodes, one error of a resize.

Tasks failed here only when they could not be started: an exit code was no failure yet.
"""

from __future__ import annotations

from typing import Final

from shoal_controller.api.versions.step import Document, Reshape, Step, meant, moved, without

_EXIT_CODE: Final = "FailureExitCode"


def _error_down(document: Document) -> Document:
    errors = document.get("resizeErrors")
    return without(document, "resizeErrors") | {"resizeError": errors[0]} if errors else document


def _failure_down(document: Document) -> Document:
    failure = document.get("failureInfo")
    if failure is None:
        return document
    kept = without(document, "failureInfo")
    return kept if failure["code"] == _EXIT_CODE else kept | {"schedulingError": failure}


def _scope_down(document: Document) -> Document:
    return {"scope": "pool"} | document


_TARGET = moved("targetDedicated", "targetDedicatedNodes")
_FAILURE = (Reshape(down=_failure_down, gone=frozenset({"schedulingError"})),)
_USER = (meant(userIdentity={"autoUser": {"scope": "task", "elevationLevel": "nonadmin"}}),)
"""As recorded; the next version told no scope."""

STEP = Step(
    "2017-01-01.4.0",
    {
        "BatchPool": (
            _TARGET,
            moved("currentDedicated", "currentDedicatedNodes"),
            Reshape(down=_error_down, gone=frozenset({"resizeError"})),
        ),
        "BatchPoolCreateOptions": (_TARGET,),
        "BatchPoolSpecification": (_TARGET,),
        "BatchPoolResizeOptions": (_TARGET,),
        "BatchTaskExecutionInfo": _FAILURE,
        "BatchSubtask": _FAILURE,
        "BatchStartTaskInfo": _FAILURE,
        "BatchJobPreparationTaskExecutionInfo": _FAILURE,
        "BatchJobReleaseTaskExecutionInfo": _FAILURE,
        "ExitConditions": (moved("schedulingError", "preProcessingError"),),
        "UserAccount": (moved("sshPrivateKey", "linuxUserConfiguration/sshPrivateKey"),),
        "AutoUserSpecification": (Reshape(down=_scope_down),),
        "BatchTaskCreateOptions": _USER,
        "BatchStartTask": _USER,
        "BatchJobManagerTask": _USER,
        "BatchJobPreparationTask": _USER,
        "BatchJobReleaseTask": _USER,
    },
)
