"""2018-08-01.7.0, beside 2018-12-01.8.0: one source for files, and files kept for ever."""

from __future__ import annotations

from shoal_controller.api.versions.step import (
    Document,
    Reshape,
    Step,
    meant,
    moved,
    spelled,
    without,
)
from shoal_controller.api.wire.values import INFINITE

_KEEPS = (meant(constraints={}),)
"""Without constraints there is nothing below that could be kept for ever."""
_CACHING = {"none": "None", "readonly": "ReadOnly", "readwrite": "ReadWrite"}
"""Of disks of data it was spelled as it is now, as recorded."""


def _system_down(document: Document) -> Document:
    """The running version of a cloud service was told beside the wanted one."""
    wanted = document.get("targetOSVersion")
    return document if wanted is None else document | {"currentOSVersion": wanted}


def _node_down(document: Document) -> Document:
    """A node that had not booted yet did not tell how many tasks it ran, as recorded."""
    if "lastBootTime" in document:
        return document
    return without(document, "totalTasksSucceeded", "runningTasksCount")


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
        "BatchNode": (Reshape(down=_node_down),),
        "BatchOsDisk": (spelled("caching", _CACHING),),
        "CloudServiceConfiguration": (
            Reshape(down=_system_down, gone=frozenset({"currentOSVersion"})),
            moved("targetOSVersion", "osVersion"),
        ),
    },
)
