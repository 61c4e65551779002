"""What becomes of an operation here: done, kept as a record, or refused; for users and for tests.

The table of operations says what there is, this one what is particular about it. A row without a
handler answers 501 and stands here by that alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shoal_controller.api.routing import Route


class Kind(StrEnum):
    """How much of an operation Shoal does."""

    DONE = "done"
    STORED = "stored only"
    REFUSED = "refused"
    ABSENT = "not yet"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a caller gets of an operation; `note` says what is missing or particular."""

    kind: Kind
    note: str = ""


_DONE: Final = Offer(Kind.DONE)
_ABSENT: Final = Offer(Kind.ABSENT, "Answers 501 `NotImplemented`.")


def _refused(note: str) -> Offer:
    return Offer(Kind.REFUSED, note)


_NO_LOGINS: Final = _refused(
    "409 `OperationNotValidOnNode`: local nodes share the controller's machine and have no logins "
    "of their own."
)

OFFERS: Final[Mapping[str, Offer]] = {
    "enable_pool_auto_scale": Offer(
        Kind.STORED,
        "Formula and interval are kept; they are not evaluated yet, which `autoScaleRun` says. "
        "So it is with pools created so.",
    ),
    "evaluate_pool_auto_scale": _refused("501 `NotImplemented`: formulas are not evaluated yet."),
    "get_pool_lifetime_statistics": Offer(
        Kind.DONE, "CPU, memory, disk and network of nodes are not measured: they are 0."
    ),
    "list_pool_usage_metrics": Offer(Kind.DONE, "In half hours that are over."),
    "get_job_lifetime_statistics": Offer(Kind.DONE, "Input and output are not measured: 0."),
    "upgrade_pool_os": _refused(
        "400 `PoolNotEligibleForOSVersionUpgrade`: there are no cloud service pools."
    ),
    "list_job_preparation_and_release_task_status": _refused(
        "409 `JobPreparationTaskOrReleaseTaskNotSpecified`: jobs with such tasks are refused."
    ),
    "get_remote_desktop": _refused(
        "409 `OperationNotValidOnNode`: there are no cloud service pools."
    ),
    "get_node_remote_login_settings": _NO_LOGINS,
    "create_node_user": _NO_LOGINS,
    "delete_node_user": _NO_LOGINS,
    "replace_node_user": _NO_LOGINS,
    "reimage_node": Offer(
        Kind.DONE,
        "On virtual machine pools too: the node's tree is emptied, its machine stays.",
    ),
    "deallocate_node": Offer(Kind.DONE, "The node's processes end, its files stay."),
    "list_node_extensions": Offer(
        Kind.DONE, "Always empty: pools that want extensions are refused."
    ),
    "create_certificate": Offer(
        Kind.STORED,
        "Pools refer to it; it is not placed on nodes yet. A PFX is not opened, so its "
        "`publicData` is not told.",
    ),
    "get_node_extension": _refused("404 `ResourceNotFound`: nodes have no extensions."),
}
"""By name of the row; a row with a handler that is absent here is done as documented."""


def offer(route: Route) -> Offer:
    """Return what a caller gets of an operation."""
    return _ABSENT if route.handler is None else OFFERS.get(route.name, _DONE)
