"""2023-11-01.18.0, beside 2024-02-01.19.0: how the results of added tasks are spelled.

The service says `Success` and `ClientError` to everybody, as recorded; the clients of its later
versions (azure-batch 15, from 2024-02-01.19.0 on) understand only lower case, and take a failure
for a success otherwise: docs/decisions/0008-strict-documents.md.
"""

from __future__ import annotations

from shoal_controller.api.versions.step import Step, spelled

_SPELLINGS = {
    "success": "Success",
    "clienterror": "ClientError",
    "servererror": "ServerError",
}

STEP = Step("2023-11-01.18.0", {"BatchTaskCreateResult": (spelled("status", _SPELLINGS),)})
