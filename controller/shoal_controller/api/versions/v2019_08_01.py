"""2019-08-01.10.0, beside 2020-03-01.11.0: public addresses stood in the network itself."""

from __future__ import annotations

from shoal_controller.api.versions.step import Step, moved

STEP = Step(
    "2019-08-01.10.0",
    {"NetworkConfiguration": (moved("publicIPs", "publicIPAddressConfiguration/ipAddressIds"),)},
)
