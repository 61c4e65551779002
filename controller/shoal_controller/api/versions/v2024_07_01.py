"""2024-07-01.20.0, beside 2025-06-01: data disks had their storage type outside `managedDisk`."""

from __future__ import annotations

from shoal_controller.api.versions.step import Step, moved

STEP = Step(
    "2024-07-01.20.0",
    {"DataDisk": (moved("storageAccountType", "managedDisk/storageAccountType"),)},
)
