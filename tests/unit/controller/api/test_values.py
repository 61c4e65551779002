"""Single values on the wire, in and out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_controller.api.wire.table import is_neutral
from shoal_controller.api.wire.values import (
    INFINITE,
    boolean,
    duration,
    integer,
    integer_in,
    one_of,
    parse_datetime,
    text,
    timespan,
    timestamp,
)
from shoal_controller.core.errors import Refused
from shoal_controller.core.pool import DeallocationOption


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("PT15M", timedelta(minutes=15)),
        ("PT20M00S", timedelta(minutes=20)),
        ("P1DT00H00M01.5S", timedelta(days=1, seconds=1.5)),
        ("P7D", timedelta(days=7)),
        ("PT0S", timedelta()),
        ("P0D", timedelta()),
        ("P1W", timedelta(days=7)),
        ("P3Y6M4DT12H30M5S", timedelta(days=1279, hours=12, minutes=30, seconds=5)),
        ("PT90M", timedelta(minutes=90)),
        ("PT0.0000009S", timedelta()),
        (INFINITE, None),
        ("P10675199D", None),
        ("PT999999999H", None),
        ("P999999999Y999999999M999999999D", None),
    ],
)
def test_a_duration_is_read(value: str, expected: timedelta | None) -> None:
    assert duration(value, "x") == expected


@pytest.mark.parametrize(
    "value", ["", "P", "PT", "P1", "1D", "PT1", "P1DT", "-P1D", "PT1.S", "P-1D", "PT1M1H", 5, None]
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(Refused) as refused:
        duration(value, "maxWallClockTime")
    assert refused.value.details["PropertyName"] == "maxWallClockTime"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, INFINITE),
        (timedelta(), "PT0S"),
        (timedelta(minutes=15), "PT15M"),
        (timedelta(minutes=90), "PT1H30M"),
        (timedelta(days=7), "P7D"),
        (timedelta(days=1, seconds=1.5), "P1DT1.5S"),
        (timedelta(days=1279, hours=12, minutes=30, seconds=5), "P1279DT12H30M5S"),
        (timedelta(seconds=30), "PT30S"),
        (timedelta(seconds=10), "PT10S"),
        (timedelta(microseconds=100), "PT0.0001S"),
    ],
)
def test_a_duration_is_written_as_dotnet_writes_it(value: timedelta | None, expected: str) -> None:
    assert timespan(value) == expected


@given(st.timedeltas(timedelta(), timedelta(days=999_999)))
def test_a_duration_comes_back_as_it_went(value: timedelta) -> None:
    assert duration(timespan(value), "x") == value


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (datetime(2020, 11, 25, 0, 27, 4, 17850, tzinfo=UTC), "2020-11-25T00:27:04.01785Z"),
        (datetime(2020, 11, 25, 0, 27, 10, tzinfo=UTC), "2020-11-25T00:27:10Z"),
        (datetime(2020, 11, 25, 0, 27, 0, 1, tzinfo=UTC), "2020-11-25T00:27:00.000001Z"),
    ],
)
def test_a_time_is_written_without_zeros_at_its_end(at: datetime, expected: str) -> None:
    assert timestamp(at) == expected


def test_digits_behind_the_microsecond_are_dropped_however_many() -> None:
    # As recorded: some clients write times of floating point, digit by digit.
    expected = datetime(2018, 3, 13, 19, 52, 40, 29228, tzinfo=UTC)
    assert parse_datetime("2018-03-13T19:52:40.029228999999999998Z") == expected


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_comes_back_as_it_went(at: datetime) -> None:
    assert parse_datetime(timestamp(at)) == at


@pytest.mark.parametrize(
    "value", ["2020-13-01", "2020", "now", "", "2020-01-01T25:00", "2020-01-01T00:00:00+99:99:99"]
)
def test_what_is_no_time_is_none(value: str) -> None:
    assert parse_datetime(value) is None


@pytest.mark.parametrize(("value", "expected"), [(5, 5), ("5", 5), ("-1", -1), (" 7 ", 7)])
def test_a_number_may_come_as_a_string(value: object, expected: int) -> None:
    assert integer(value, "x") == expected


@pytest.mark.parametrize("value", [True, 1.0, "1.0", "", "x", "٣", "9" * 30, None, []])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(Refused, match="InvalidPropertyValue"):
        integer(value, "x")


@pytest.mark.parametrize("value", [0, 3, 2**31, -(2**70)])
def test_a_number_out_of_range_is_refused(value: int) -> None:
    with pytest.raises(Refused, match="InvalidPropertyValue"):
        integer_in(1, 2)(value, "x")


@pytest.mark.parametrize(("value", "expected"), [(True, True), ("False", False), ("true", True)])
def test_a_boolean_may_come_as_a_string(value: object, expected: bool) -> None:
    assert boolean(value, "x") is expected


@pytest.mark.parametrize("value", [0, 1, "yes", "", [], {}])
def test_what_is_no_boolean_is_refused(value: object) -> None:
    with pytest.raises(Refused, match="InvalidPropertyValue"):
        boolean(value, "x")


@pytest.mark.parametrize("value", ["taskcompletion", "taskCompletion", "TASKCOMPLETION"])
def test_an_enumeration_has_no_case(value: str) -> None:
    assert one_of(DeallocationOption)(value, "x") is DeallocationOption.TASK_COMPLETION


@pytest.mark.parametrize(
    ("read", "value"),
    [(one_of(DeallocationOption), "x"), (one_of(DeallocationOption), 5), (text, 5), (text, "\0")],
)
def test_other_values_are_refused(read: Callable[[Any, str], Any], value: object) -> None:
    with pytest.raises(Refused, match="InvalidPropertyValue"):
        read(value, "x")


@pytest.mark.parametrize("value", [None, False, "", "false", [], {}, {"a": None, "b": []}])
def test_what_says_nothing_is_neutral(value: object) -> None:
    assert is_neutral(value)


@pytest.mark.parametrize("value", [True, 0, "x", [None], {"a": 0}, {"a": {"b": "c"}}])
def test_what_says_something_is_not_neutral(value: object) -> None:
    assert not is_neutral(value)
