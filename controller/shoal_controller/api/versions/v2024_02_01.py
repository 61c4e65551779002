"""2024-02-01.19.0, beside 2024-07-01.20.0. Source: versions.md 8."""

from __future__ import annotations

from shoal_controller.api.versions.step import Document, Step


def _counts_down(document: Document) -> Document:
    """The states of nodes that can be deallocated came later."""
    return {
        name: {key: count for key, count in value.items() if not key.startswith("dealloc")}
        if type(value) is dict
        else value
        for name, value in document.items()
    }


STEP = Step(
    "2024-02-01.19.0",
    only_here={"pool_create": frozenset({"applicationLicenses", "cloudServiceConfiguration"})},
    only_newer={
        "pool_patch": frozenset(
            {
                *("displayName", "vmSize", "enableInterNodeCommunication", "resourceTags"),
                *("virtualMachineConfiguration", "taskSlotsPerNode", "taskSchedulingPolicy"),
                *("networkConfiguration", "userAccounts", "mountConfiguration", "upgradePolicy"),
            }
        ),
        "job_patch": frozenset({"networkConfiguration"}),
    },
    down={"node_counts": _counts_down},
)
