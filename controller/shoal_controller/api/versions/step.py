"""One step between two neighbouring api-versions, as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]
Change = Callable[[Document], Document]
Properties = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Step:
    """How an api-version differs from its newer neighbour; keys are kinds of documents.

    Kinds of requests: pool_create, pool_patch, pool_replace, job_create, job_patch, job_replace,
    task_create, task_replace. Kinds of answers: pool, node, job, task, task_counts, node_counts.

    only_here   properties that this version has and the newer one lacks
    only_newer  properties that the newer one has and this version lacks
    up, down    from a request of this version to the newer shape; from the newer shape to an answer
    """

    version: str
    only_here: Properties = field(default_factory=dict)
    only_newer: Properties = field(default_factory=dict)
    up: Mapping[str, Change] = field(default_factory=dict)
    down: Mapping[str, Change] = field(default_factory=dict)
