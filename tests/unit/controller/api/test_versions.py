"""Api-versions: what each of them has, and how documents climb up and down."""

from __future__ import annotations

from typing import Any

import pytest

from shoal_controller.api.versions import NEWEST, VERSIONS
from shoal_controller.core.errors import Refused

LAST_WITH_CERTIFICATES = VERSIONS["2024-07-01.20.0"]
OLDEST = VERSIONS["2024-02-01.19.0"]


def disks(**disk: Any) -> dict[str, Any]:
    machine = {"dataDisks": [{"lun": 1, "diskSizeGB": 5, **disk}]}
    return {"virtualMachineConfiguration": machine}


def test_the_newest_version_comes_first() -> None:
    assert list(VERSIONS) == sorted(VERSIONS, reverse=True)
    assert next(iter(VERSIONS)) == NEWEST


@pytest.mark.parametrize(
    ("version", "kind", "name"),
    [
        (NEWEST, "pool_create", "certificateReferences"),
        (NEWEST, "pool_create", "resourceTags"),
        (NEWEST, "pool_create", "applicationLicenses"),
        (NEWEST, "task_create", "authenticationTokenSettings"),
        ("2024-07-01.20.0", "pool_create", "cloudServiceConfiguration"),
        ("2024-02-01.19.0", "pool_patch", "vmSize"),
        ("2024-02-01.19.0", "job_patch", "networkConfiguration"),
    ],
)
def test_a_property_that_a_version_lacks_is_refused(version: str, kind: str, name: str) -> None:
    with pytest.raises(Refused, match="UnsupportedProperty") as refused:
        VERSIONS[version].take(kind, {name: {}})
    assert refused.value.details["PropertyName"] == name
    assert VERSIONS[version].take(kind, {name: None}) == {name: None}


def test_a_property_inside_of_a_structure_belongs_to_versions_too() -> None:
    newest, document = VERSIONS[NEWEST], disks(managedDisk={"storageAccountType": "x"})
    assert newest.take("pool_create", document) == document
    with pytest.raises(Refused, match="managedDisk"):
        OLDEST.take("pool_create", document)
    with pytest.raises(Refused, match="storageAccountType"):
        newest.take("pool_create", disks(storageAccountType="x"))


@pytest.mark.parametrize("version", [LAST_WITH_CERTIFICATES, OLDEST])
def test_the_storage_type_of_a_disk_moves_with_the_version(version: Any) -> None:
    new = disks(managedDisk={"storageAccountType": "premium_lrs"})
    assert version.take("pool_create", disks(storageAccountType="premium_lrs")) == new
    assert version.show("pool", new) == disks(storageAccountType="premium_lrs")
    assert VERSIONS[NEWEST].show("pool", new) == new


def test_only_older_versions_show_certificate_references() -> None:
    pool = {"id": "p", "certificateReferences": []}
    assert VERSIONS[NEWEST].show("pool", pool) == {"id": "p"}
    assert OLDEST.show("pool", pool) == pool


def test_counts_of_states_that_came_later_are_not_shown() -> None:
    counts = {"poolId": "p", "dedicated": {"idle": 1, "deallocated": 0, "upgradingOS": 0}}
    assert OLDEST.show("node_counts", counts) == {
        "poolId": "p",
        "dedicated": {"idle": 1, "upgradingOS": 0},
    }
    assert LAST_WITH_CERTIFICATES.show("node_counts", counts) == counts
