"""2019-06-01.9.0, beside 2019-08-01.10.0: what start tasks and users were when left out.

Nodes without certificates did not tell so, nor networks whose scope was the usual one, as recorded.
"""

from __future__ import annotations

from typing import Final

from shoal_controller.api.versions.step import (
    Document,
    Reshape,
    Step,
    meant,
    untold_if,
)

_LEFT_OUT: Final = {"scope": "pool", "elevationLevel": "nonadmin"}


def _user_down(document: Document) -> Document:
    # The user of a task that named none was told without its scope, as recorded.
    return {"elevationLevel": "nonadmin"} if document == _LEFT_OUT else document


STEP = Step(
    "2019-06-01.9.0",
    {
        "BatchStartTask": (meant(waitForSuccess=False),),
        "AutoUserSpecification": (meant(scope="task"), Reshape(down=_user_down)),
        "NetworkConfiguration": (untold_if("dynamicVNetAssignmentScope", "none"),),
        "BatchNode": (untold_if("certificateReferences", []),),
    },
)
