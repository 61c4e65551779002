"""The api-versions that callers may ask for.

Inside there is only the newest shape, plus the properties that only older versions have, kept for
those who gave them. An older version is a Step beside its newer neighbour; a request climbs the
steps up, an answer climbs them down. A version is added by adding its module to _STEPS.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from shoal_controller.api.versions import v2024_02_01, v2024_07_01
from shoal_controller.api.versions.step import Change, Document, Step
from shoal_controller.api.wire import carried
from shoal_controller.api.wire.table import unknown_property

NEWEST: Final = "2025-06-01"

_STEPS: Final = (v2024_07_01.STEP, v2024_02_01.STEP)
"""From the newest to the oldest."""

_OF_POOLS: Final = {
    "virtualMachineConfiguration": "VirtualMachineConfiguration",
    "networkConfiguration": "NetworkConfiguration",
    "upgradePolicy": "UpgradePolicy",
}
_OF_JOBS: Final = {"networkConfiguration": "BatchJobNetworkConfiguration"}
_NONE: Final[Mapping[str, str]] = {}
_STRUCTURES: Final[Mapping[str, Mapping[str, str]]] = {
    **dict.fromkeys(("pool", "pool_create", "pool_patch"), _OF_POOLS),
    **dict.fromkeys(("job", "job_create", "job_patch", "job_replace"), _OF_JOBS),
}
"""Properties of pools and jobs whose own structures differ by version: wire/models.json."""


@dataclass(frozen=True, slots=True)
class Version:
    """An api-version: what its documents lack, and how they change on their way in and out."""

    name: str
    lacks: Mapping[str, frozenset[str]]
    up: Mapping[str, tuple[Change, ...]]
    down: Mapping[str, tuple[Change, ...]]

    def take(self, kind: str, document: Document) -> Document:
        """Return a request's document in the newest shape.

        Raises Refused for a property that this version does not have.
        """
        for name in self.lacks.get(kind, ()):
            if document.get(name) is not None:
                raise unknown_property(name)
        for name, structure in _STRUCTURES.get(kind, _NONE).items():
            absent = carried.absent_property(structure, document.get(name), self.name)
            if absent is not None:
                raise unknown_property(absent)
        for change in self.up.get(kind, ()):
            document = change(document)
        return document

    def show(self, kind: str, document: Document) -> Document:
        """Return an answer's document in the shape of this version."""
        for change in self.down.get(kind, ()):
            document = change(document)
        lacking = self.lacks.get(kind)
        if lacking is not None and not lacking.isdisjoint(document):
            document = {key: value for key, value in document.items() if key not in lacking}
        for name, structure in _STRUCTURES.get(kind, _NONE).items():
            if name in document:
                value = carried.shown(structure, document[name], self.name)
                document = document | {name: value}
        return document


def _build(steps: Iterable[Step]) -> dict[str, Version]:
    steps = tuple(steps)
    lacks: dict[str, frozenset[str]] = {}
    for step in steps:
        for kind, names in step.only_here.items():
            lacks[kind] = lacks.get(kind, frozenset()) | names
    up: dict[str, tuple[Change, ...]] = {}
    down: dict[str, tuple[Change, ...]] = {}
    versions = [Version(NEWEST, dict(lacks), {}, {})]
    for step in steps:
        for kind, names in step.only_here.items():
            lacks[kind] = lacks[kind] - names
        for kind, names in step.only_newer.items():
            lacks[kind] = lacks.get(kind, frozenset()) | names
        up |= {kind: (change, *up.get(kind, ())) for kind, change in step.up.items()}
        down |= {kind: (*down.get(kind, ()), change) for kind, change in step.down.items()}
        versions.append(Version(step.version, dict(lacks), dict(up), dict(down)))
    return {version.name: version for version in versions}


VERSIONS: Final[Mapping[str, Version]] = _build(_STEPS)
"""By name, from the newest to the oldest."""
