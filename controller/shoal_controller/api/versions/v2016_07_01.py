"""2016-07-01.3.1, beside 2017-01-01.4.0: tasks were elevated or not; there were no users yet."""

from __future__ import annotations

from shoal_controller.api.versions.step import Document, Reshape, Step, without
from shoal_controller.api.wire.values import boolean

_ELEVATED = {"autoUser": {"scope": "task", "elevationLevel": "admin"}}


def _up(document: Document) -> Document:
    elevated = document.get("runElevated")
    kept = without(document, "runElevated")
    if elevated is None or not boolean(elevated, "runElevated"):
        return kept
    return kept | {"userIdentity": _ELEVATED}


def _down(document: Document) -> Document:
    user = document.get("userIdentity")
    if user is None:
        return document
    elevated = user.get("autoUser", {}).get("elevationLevel") == "admin"
    return document | {"runElevated": elevated}


_USER = (Reshape(_up, _down, frozenset({"runElevated"})),)

STEP = Step(
    "2016-07-01.3.1",
    {
        "BatchTask": _USER,
        "BatchTaskCreateOptions": _USER,
        "BatchStartTask": _USER,
        "BatchJobManagerTask": _USER,
        "BatchJobPreparationTask": _USER,
        "BatchJobReleaseTask": _USER,
    },
)
