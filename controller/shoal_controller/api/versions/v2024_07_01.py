"""2024-07-01.20.0, beside 2025-06-01: storage types of data disks, ports that pools may open.

Data disks had their storage type outside `managedDisk`. The ports of SSH and of remote desktops
were reserved; 2025-06-01 leaves it to the user to open them.
"""

from __future__ import annotations

from shoal_controller.api.versions.step import Step, moved, reserved

STEP = Step(
    "2024-07-01.20.0",
    {
        "DataDisk": (moved("storageAccountType", "managedDisk/storageAccountType"),),
        "BatchInboundNatPool": (reserved("backendPort", 22, 3389),),
    },
)
