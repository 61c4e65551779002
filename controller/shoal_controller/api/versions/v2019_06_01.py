"""2019-06-01.9.0, beside 2019-08-01.10.0: what start tasks and users were when left out.

Nodes without certificates did not tell so, as recorded.
"""

from __future__ import annotations

from typing import Final

from shoal_controller.api.versions.step import (
    Document,
    Reshape,
    Step,
    meant,
    untold_if_empty,
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
        "BatchNode": (untold_if_empty("certificateReferences"),),
    },
)
