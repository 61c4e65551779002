"""The api-versions that callers may ask for.

Inside there is only the newest shape, plus the properties that only older versions have, kept for
those who gave them. An older version is a Step beside its newer neighbour; a request climbs the
steps up, an answer climbs them down. A version is added by adding its Step to _STEPS, and its
properties to wire/models.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shoal_controller.api.versions import (
    v2016_07_01,
    v2017_01_01,
    v2017_06_01,
    v2018_03_01,
    v2018_08_01,
    v2019_06_01,
    v2019_08_01,
    v2020_03_01,
    v2022_01_01,
    v2023_11_01,
    v2024_07_01,
)
from shoal_controller.api.versions.kinds import KINDS
from shoal_controller.api.versions.plan import Plan, build
from shoal_controller.api.versions.step import Document, Step

NEWEST: Final = "2025-06-01"

_STEPS: Final = (
    v2024_07_01.STEP,
    Step("2024-02-01.19.0"),
    v2023_11_01.STEP,
    Step("2023-05-01.17.0"),
    Step("2022-10-01.16.0"),
    v2022_01_01.STEP,
    Step("2021-06-01.14.0"),
    Step("2020-09-01.12.0"),
    v2020_03_01.STEP,
    v2019_08_01.STEP,
    v2019_06_01.STEP,
    Step("2018-12-01.8.0"),
    v2018_08_01.STEP,
    v2018_03_01.STEP,
    Step("2017-09-01.6.0"),
    v2017_06_01.STEP,
    Step("2017-05-01.5.0"),
    v2017_01_01.STEP,
    v2016_07_01.STEP,
    Step("2016-02-01.3.0"),
)
"""From the newest to the oldest. A bare one differs only in what it has: wire/models.json."""


@dataclass(frozen=True, slots=True)
class Version:
    """An api-version: how documents change on their way in and out. Kinds are those of kinds.py."""

    name: str
    _plan: Plan
    _fragments: Mapping[str, str]

    def take(self, kind: str, document: Document) -> Document:
        """Return a request's document in the newest shape.

        Raises Refused for a property that this version does not have.
        """
        return self._plan.take(KINDS[kind], document)

    def show(self, kind: str, document: Document) -> Document:
        """Return an answer's document in the shape of this version."""
        return self._plan.show(KINDS[kind], document)

    def fragment(self, newest: str) -> str:
        """Return this version's fragment of odata.metadata."""
        return self._fragments.get(newest, newest)


def _build(steps: Sequence[Step]) -> dict[str, Version]:
    versions = {NEWEST: Version(NEWEST, build(NEWEST, (), steps), {})}
    fragments: dict[str, str] = {}
    for count, step in enumerate(steps, 1):
        fragments = {**fragments, **step.fragments}
        plan = build(step.version, steps[:count], steps[count:])
        versions[step.version] = Version(step.version, plan, fragments)
    return versions


VERSIONS: Final[Mapping[str, Version]] = _build(_STEPS)
"""By name, from the newest to the oldest."""
