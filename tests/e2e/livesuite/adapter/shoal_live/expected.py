"""The tests that cannot pass on Shoal, and why: read by the plugin, by the tests and by people.

docs/compatibility.md says the same in its words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Expected:
    """What a test fails with; `shows` stands in its error or in the answer that it met."""

    shows: str
    reason: str


@dataclass(frozen=True, slots=True)
class Suite:
    """The live tests that a release ships.

    tests     how many there are
    failing   how many of them the rows of `expected` stand for
    expected  those that cannot pass, by name, for all the clients that they are run with
    """

    tests: int
    failing: int
    expected: Mapping[str, Expected]


def _windows(shows: str) -> Expected:
    return Expected(shows, "The pool is of a Windows image; nodes here are Linux machines.")


_CLOUD_SERVICES: Final = Expected(
    "cloudServiceConfiguration",
    "The pool is one of cloud services, which Azure retired.",
)
_IN_CLOUD_SERVICES: Final = Expected(
    "autoPoolSpecification",
    "Its job makes a pool of cloud services, which Azure retired; auto pools are not there yet.",
)
_OWN_MACHINE: Final = Expected(
    "OperationNotValidOnNode",
    "Nodes of the local provider share a machine and have no logins of their own.",
)
_AUTO_POOL: Final = Expected(
    "autoPoolSpecification", "Its job makes an auto pool, which is refused by name for now."
)
_AUTOSCALE: Final = Expected(
    "autoscale formulas", "Autoscale formulas are kept and not yet evaluated."
)
_NO_ENDPOINTS: Final = Expected(
    "inbound_endpoints", "Nodes are behind no load balancer of Azure's that could forward ports."
)
_EXTENSIONS: Final = Expected(
    "extensions", "Extensions are programs that Azure installs into its own machines."
)

SUITES: Final[Mapping[str, Suite]] = {
    "15.1.0": Suite(
        tests=46,
        failing=24,
        expected={
            "test_batch_create_pools": _windows("windowsConfiguration"),
            "test_batch_create_pool_with_blobfuse_mount": _windows("windowsConfiguration"),
            "test_batch_create_pool_with_osdisksecurityprofile": _windows("windowsConfiguration"),
            "test_batch_create_pool_with_osdiskdiskencryption": _windows("windowsConfiguration"),
            "test_batch_scale_pools": _AUTOSCALE,
            "test_batch_network_configuration": _NO_ENDPOINTS,
            "test_batch_compute_node_extensions": _EXTENSIONS,
            "test_batch_compute_node_user": _OWN_MACHINE,
            "test_batch_compute_node_remote_desktop": _OWN_MACHINE,
            "test_batch_tasks": _AUTO_POOL,
            "test_batch_jobs": _AUTO_POOL,
            "test_batch_exception_policy": _AUTO_POOL,
        },
    ),
    "15.0.0b1": Suite(
        tests=32,
        failing=18,
        expected={
            "test_batch_create_pools": _windows("windowsConfiguration"),
            "test_batch_create_pool_with_blobfuse_mount": _windows("windowsConfiguration"),
            "test_batch_scale_pools": _AUTOSCALE,
            "test_batch_network_configuration": _NO_ENDPOINTS,
            "test_batch_compute_node_extensions": _EXTENSIONS,
            "test_batch_compute_node_user": _OWN_MACHINE,
            "test_batch_compute_node_remote_desktop": _OWN_MACHINE,
            "test_batch_tasks": _AUTO_POOL,
            "test_batch_jobs": _AUTO_POOL,
        },
    ),
    "14.2.0": Suite(
        tests=14,
        failing=11,
        expected={
            "test_batch_applications": _IN_CLOUD_SERVICES,
            "test_batch_create_pools": _windows("windowsConfiguration"),
            "test_batch_create_pool_with_blobfuse_mount": _windows("windowsConfiguration"),
            "test_batch_update_pools": _CLOUD_SERVICES,
            "test_batch_scale_pools": _AUTOSCALE,
            "test_batch_network_configuration": _NO_ENDPOINTS,
            "test_batch_network_configuration_acceleratednetworking": _windows(
                "batch.node.windows amd64"
            ),
            "test_batch_compute_nodes": Expected(
                "BatchErrorException expected but not raised",
                "Nodes of all pools can be reimaged here; in Azure, those of cloud services alone.",
            ),
            "test_batch_compute_node_user": _OWN_MACHINE,
            "test_batch_tasks": _IN_CLOUD_SERVICES,
            "test_batch_jobs": Expected(
                "jobPreparationTask",
                "Its jobs make pools of cloud services, which Azure retired; auto pools and "
                "preparation tasks are not there yet.",
            ),
        },
    ),
}
"""By release."""
