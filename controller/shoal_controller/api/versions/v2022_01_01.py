"""2022-01-01.15.0, beside 2022-10-01.16.0: pools left out an empty `certificateReferences`."""

from __future__ import annotations

from shoal_controller.api.versions.step import Step, untold_if

STEP = Step("2022-01-01.15.0", {"BatchPool": (untold_if("certificateReferences", []),)})
