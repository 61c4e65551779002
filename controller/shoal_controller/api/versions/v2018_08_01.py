"""2018-08-01.7.0, beside 2018-12-01.8.0: one source for files, and files kept for ever."""

from __future__ import annotations

from shoal_controller.api.versions.step import Document, Reshape, Step, meant, moved
from shoal_controller.api.wire.values import INFINITE

_KEEPS = (meant(constraints={}),)
"""Without constraints there is nothing below that could be kept for ever."""


def _system_down(document: Document) -> Document:
    """The running version of a cloud service was told beside the wanted one."""
    wanted = document.get("targetOSVersion")
    return document if wanted is None else document | {"currentOSVersion": wanted}


STEP = Step(
    "2018-08-01.7.0",
    {
        "ResourceFile": (moved("blobSource", "httpUrl"),),
        "BatchTaskCreateOptions": _KEEPS,
        "BatchTask": _KEEPS,
        "BatchJobManagerTask": _KEEPS,
        "BatchJobPreparationTask": _KEEPS,
        "BatchJobReleaseTask": (meant(retentionTime=INFINITE),),
        "BatchTaskConstraints": (meant(retentionTime=INFINITE),),
        "CloudServiceConfiguration": (
            Reshape(down=_system_down, gone=frozenset({"currentOSVersion"})),
            moved("targetOSVersion", "osVersion"),
        ),
    },
)
