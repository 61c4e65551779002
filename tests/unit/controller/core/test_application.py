"""Rules of applications and packages."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_controller.blobgateway.names import check_blob, check_container
from shoal_controller.core.application import (
    Application,
    Package,
    PackageState,
    activated,
    blob_name,
    changed,
    check_replaceable,
    check_version,
    container_name,
    url_permissions,
    without_version,
)
from shoal_controller.core.errors import Refused
from tests.builders import NOON, SECOND

TOKEN = "0123456789abcdef" * 2
LATER = NOON + SECOND
APPLICATION = Application(1, "app", "app-app", NOON, NOON)
PACKAGE = Package(1, 1, "v1", "v1.zip", NOON, NOON)
ACTIVE = replace(PACKAGE, state=PackageState.ACTIVE, format="zip", activated_at=NOON)
FIXED = replace(APPLICATION, allow_updates=False)


@given(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True))
def test_every_application_has_a_container_name_that_the_storage_takes(an_id: str) -> None:
    name = container_name(an_id, TOKEN)
    assert check_container(name) == name
    assert name.endswith(TOKEN)


@given(st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True))
def test_every_version_has_a_blob_name_that_the_storage_takes(version: str) -> None:
    assert check_blob(blob_name(version, TOKEN)).endswith(f"{TOKEN}.zip")


@pytest.mark.parametrize("version", ["1", "1.0-beta", "v_2", "." * 3 + "a", "x" * 64])
def test_versions_that_can_be(version: str) -> None:
    assert check_version(version) == version


@pytest.mark.parametrize("version", ["", None, ".", "..", "a/b", "ü", "1\n", "x" * 65, 1])
def test_versions_that_cannot_be(version: object) -> None:
    with pytest.raises(Refused):
        check_version(version)


def test_a_change_that_changes_nothing_leaves_the_tag_alone() -> None:
    assert changed(APPLICATION, {"allow_updates": True}, (), LATER) == APPLICATION
    after = changed(APPLICATION, {"display_name": "x"}, (), LATER)
    assert (after.display_name, after.modified_at) == ("x", LATER)


def test_the_default_goes_with_its_package() -> None:
    with_default = changed(APPLICATION, {"default_version": "V1"}, ("v1",), LATER)
    assert with_default.default_version == "v1"
    assert without_version(with_default, "v2", LATER) is with_default
    assert without_version(with_default, "V1", LATER).default_version is None


def test_only_an_active_package_of_an_application_without_updates_is_fixed() -> None:
    for application, package, is_fixed in (
        (APPLICATION, PACKAGE, False),
        (APPLICATION, ACTIVE, False),
        (FIXED, PACKAGE, False),
        (FIXED, ACTIVE, True),
    ):
        assert url_permissions(application, package) == ("r" if is_fixed else "rw")
        if is_fixed:
            with pytest.raises(Refused):
                check_replaceable(application, package)
            assert activated(application, package, LATER) is package
        else:
            check_replaceable(application, package)
            after = activated(application, package, LATER)
            assert (after.state, after.activated_at) == (PackageState.ACTIVE, LATER)
