"""Which query parameters an operation takes: one that it does not know is refused, not ignored.

Source: operations.md, column Query. Parameters that are none of the service's own are let pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from shoal_controller.core.errors import Refused

LIST: Final = frozenset({"maxresults", "$skiptoken"})
_FILTERED: Final = LIST | {"$filter"}
_SELECTED: Final = _FILTERED | {"$select"}
_WHOLE: Final = _SELECTED | {"$expand"}
_ONE: Final = frozenset({"$select", "$expand"})
_FORCE: Final = frozenset({"force"})
_NONE: Final[frozenset[str]] = frozenset()

OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "list_applications": LIST,
    "list_pools": _WHOLE,
    "list_pool_usage_metrics": _FILTERED | {"starttime", "endtime"},
    "get_pool": _ONE,
    "list_node_agent_skus": _FILTERED,
    "list_pool_node_counts": _FILTERED,
    "list_supported_images": _FILTERED,
    "list_jobs": _WHOLE,
    "delete_job": _FORCE,
    "get_job": _ONE,
    "list_job_preparation_and_release_task_status": _SELECTED,
    "terminate_job": _FORCE,
    "list_jobs_from_schedule": _WHOLE,
    "list_job_schedules": _WHOLE,
    "delete_job_schedule": _FORCE,
    "get_job_schedule": _ONE,
    "terminate_job_schedule": _FORCE,
    "list_tasks": _WHOLE,
    "get_task": _ONE,
    "list_subtasks": frozenset({"$select"}),
    "list_nodes": _SELECTED,
    "get_node": frozenset({"$select"}),
    "list_node_extensions": frozenset({"maxresults", "$skiptoken", "$select"}),
    "get_node_extension": frozenset({"$select"}),
    "list_task_files": _FILTERED | {"recursive"},
    "delete_task_file": frozenset({"recursive"}),
    "list_node_files": _FILTERED | {"recursive"},
    "delete_node_file": frozenset({"recursive"}),
    "list_certificates": _SELECTED,
    "get_certificate": frozenset({"$select"}),
}
"""By name of the operation; those that are absent take none."""

_KNOWN: Final = frozenset[str]().union(*OPTIONS.values())


def check_options(
    operation: str,
    names: Iterable[str],
    options: Mapping[str, frozenset[str]] = OPTIONS,
) -> None:
    """Raise Refused for a parameter, in lower case, that is of no meaning to an operation."""
    taken = options.get(operation, _NONE)
    for name in names:
        if name not in taken and (name in _KNOWN or name.startswith("$")):
            others = f"it takes {', '.join(sorted(taken))}" if taken else "it takes none"
            raise Refused(
                "UnsupportedQueryParameter",
                QueryParameterName=name[:256],
                Reason=f"The operation does not know this parameter; {others}.",
            )
