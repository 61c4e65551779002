"""Conditional requests and version tags."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shoal_controller.core.conditions import ANY, Conditions, NotModified
from shoal_controller.core.errors import Refused
from shoal_controller.core.ids import check_id, etag
from tests.builders import NOON

HALF = NOON + timedelta(milliseconds=500)


def test_a_tag_is_the_tick_count_of_the_modification_in_hex() -> None:
    # Recorded: this lastModified came with this eTag.
    at = datetime(2025, 3, 19, 18, 25, 36, 999971, tzinfo=UTC)
    assert etag(at) == "0x8DD671371EEE55E"


def test_no_condition_is_always_met() -> None:
    ANY.check(NOON)


@pytest.mark.parametrize("tag", [etag(NOON), "*"])
def test_a_matching_tag_is_met(tag: str) -> None:
    Conditions(if_match=tag).check(NOON)


def test_another_tag_is_refused() -> None:
    with pytest.raises(Refused, match="ConditionNotMet"):
        Conditions(if_match="0x1").check(NOON)


def test_a_read_of_the_same_version_is_not_modified() -> None:
    with pytest.raises(NotModified):
        Conditions(if_none_match=etag(NOON)).check(NOON, is_read=True)


def test_a_write_on_the_same_version_is_refused() -> None:
    with pytest.raises(Refused, match="ConditionNotMet"):
        Conditions(if_none_match="*").check(NOON)


def test_the_fraction_of_a_second_does_not_count_in_dates() -> None:
    Conditions(if_unmodified_since=NOON).check(HALF)
    with pytest.raises(NotModified):
        Conditions(if_modified_since=NOON).check(HALF, is_read=True)


def test_a_tag_is_stronger_than_a_date() -> None:
    Conditions(if_match=etag(HALF), if_unmodified_since=NOON - timedelta(days=1)).check(HALF)


@pytest.mark.parametrize("bad", ["a b", "a/b", "..", "é", "x" * 65, "a:b", "a\n", 5])
def test_ids_outside_the_alphabet_are_refused(bad: object) -> None:
    with pytest.raises(Refused, match="InvalidPropertyValue"):
        check_id(bad)


@pytest.mark.parametrize("none", [None, ""])
def test_an_absent_id_is_refused_by_name(none: object) -> None:
    with pytest.raises(Refused) as caught:
        check_id(none, "id")
    assert (caught.value.code, caught.value.details) == (
        "MissingRequiredProperty",
        {"PropertyName": "id"},
    )
