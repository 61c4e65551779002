"""Api-versions: what each of them has, and how documents climb up and down."""

from __future__ import annotations

import pytest

from shoal_controller.api.versions import _STEPS, NEWEST, VERSIONS
from shoal_controller.api.versions.kinds import KINDS
from shoal_controller.api.versions.plan import gone_by
from shoal_controller.api.wire.models import STRUCTURES
from tests.versioned import strangers, whole

MOVED_AWAY = frozenset(
    f"{structure}/{name}" for structure, names in gone_by(_STEPS).items() for name in names
)
"""What no document inside has, for a step gives it its newer place."""


def test_the_versions_of_all_clients_are_there_the_newest_first() -> None:
    assert list(VERSIONS) == [
        "2025-06-01",
        "2024-07-01.20.0",
        "2024-02-01.19.0",
        "2023-11-01.18.0",
        "2023-05-01.17.0",
        "2022-10-01.16.0",
        "2022-01-01.15.0",
        "2021-06-01.14.0",
        "2020-09-01.12.0",
        "2020-03-01.11.0",
        "2019-08-01.10.0",
        "2019-06-01.9.0",
        "2018-12-01.8.0",
        "2018-08-01.7.0",
        "2018-03-01.6.1",
        "2017-09-01.6.0",
        "2017-06-01.5.1",
        "2017-05-01.5.0",
        "2017-01-01.4.0",
        "2016-07-01.3.1",
        "2016-02-01.3.0",
    ]
    assert list(VERSIONS) == sorted(VERSIONS, reverse=True)
    assert next(iter(VERSIONS)) == NEWEST


def test_every_range_of_a_property_ends_at_versions_that_there_are() -> None:
    ends = {
        end
        for members in STRUCTURES.values()
        for member in members.values()
        for ends in member.ranges
        for end in ends
    }
    assert ends - {"", "~"} <= VERSIONS.keys()


def test_every_step_changes_structures_that_there_are() -> None:
    for step in _STEPS:
        assert step.changes.keys() <= STRUCTURES.keys()
    for place in MOVED_AWAY:
        structure, name = place.split("/")
        assert not STRUCTURES[structure][name].is_in(NEWEST)


# --- round trips ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_has_only_what_its_version_has(version: str, kind: str) -> None:
    shown = VERSIONS[version].show(kind, whole(KINDS[kind], but=MOVED_AWAY))
    structure = KINDS[kind]
    if kind == "task_counts" and version < "2020-09-01.12.0":
        structure = "BatchTaskCounts"
    assert shown
    assert strangers(structure, shown, version) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if "_" in kind and "count" not in kind])
def test_what_a_version_shows_it_also_takes_and_nothing_is_lost(version: str, kind: str) -> None:
    there = VERSIONS[version]
    document = whole(KINDS[kind], but=MOVED_AWAY)
    if version >= "2017-09-01.6.0":
        shown = there.show(kind, document)
    else:  # an image of one's own excludes every other
        shown = there.show(kind, whole(KINDS[kind], but=MOVED_AWAY | OTHER_IMAGES))
    taken = there.take(kind, shown)
    assert strangers(KINDS[kind], taken, version) == [] or version != NEWEST
    assert there.show(kind, taken) == shown


OTHER_IMAGES = frozenset(
    f"BatchVmImageReference/{name}"
    for name in STRUCTURES["BatchVmImageReference"]
    if name != "virtualMachineImageId"
)


@pytest.mark.parametrize("kind", KINDS)
def test_the_newest_shape_is_the_one_inside(kind: str) -> None:
    later = {
        f"{structure}/{name}"
        for structure, members in STRUCTURES.items()
        for name, member in members.items()
        if not member.is_in(NEWEST)
    }
    document = whole(KINDS[kind], but=frozenset(later))
    assert VERSIONS[NEWEST].take(kind, document) == document
    assert VERSIONS[NEWEST].show(kind, document) == document
