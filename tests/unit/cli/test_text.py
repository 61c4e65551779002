"""Times, sizes, durations and safe text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from shoal_cli.text import (
    clean,
    iso_duration,
    parse_time,
    plain_duration,
    short_node,
    short_time,
    size,
    span,
)

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=timezone(timedelta(hours=2)))


def test_control_characters_become_visible_and_text_stays() -> None:
    assert clean("grün 🐟 a b") == "grün 🐟 a b"
    assert clean("\x1b[31mred\x07\n\t\x9b\u202e") == "\\x1b[31mred\\x07\\n\\t\\x9b\\u202e"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-04T08:03:02.1234567Z", "10:03:02"),
        ("2026-05-03T23:30:00Z", "01:30:00"),
        ("2026-01-02T03:04:05Z", "Jan 02 05:04"),
        ("2020-11-25T00:27:04.01785Z", "2020-11-25"),
        ("soon\x1b", "soon\\x1b"),
    ],
)
def test_a_time_is_short_and_local(text: str, expected: str) -> None:
    assert short_time(text, NOW) == expected


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
@pytest.mark.parametrize("hours", [-8, 8])
def test_the_ends_of_time_are_shown_in_any_zone(text: str, hours: int) -> None:
    now = NOW.astimezone(timezone(timedelta(hours=hours)))
    assert short_time(text, now) in (text[:10], "9999-12-31", "0001-01-01")


def test_fractions_of_any_length_are_read() -> None:
    assert parse_time("2020-11-25T00:27:04.5Z") == datetime(
        2020, 11, 25, 0, 27, 4, 500_000, tzinfo=UTC
    )


def test_a_long_node_id_is_cut_to_a_beginning_that_still_names_it() -> None:
    assert short_node("tvmps_" + "0123456789abcdef" * 4 + "_d") == "tvmps_01234567…"
    assert short_node("tvmps_0123_d") == "tvmps_0123_d"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.04, "0.0s"),
        (9.95, "9.9s"),
        (59, "59s"),
        (185, "3m05s"),
        (7620, "2h07m"),
        (90000, "1d01h"),
    ],
)
def test_a_span_has_two_units_at_most(seconds: float, expected: str) -> None:
    assert span(seconds) == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (20 << 20, "20 MiB")]
)
def test_a_size_is_in_binary_units(count: int, expected: str) -> None:
    assert size(count) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", "PT90S"),
        ("15m", "PT900S"),
        ("1h30m", "PT5400S"),
        ("2d", "PT172800S"),
        ("pt90s", "PT90S"),
        ("P7D", "P7D"),
        ("", None),
        ("P", None),
        ("soon", None),
        ("-5", None),
    ],
)
def test_durations_are_taken_as_people_type_them(text: str, expected: str | None) -> None:
    assert iso_duration(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PT15M", "15m"),
        ("P7D", "7d"),
        ("PT90S", "1m30s"),
        ("P10675199DT2H48M5.4775807S", "no limit"),
        ("?", "?"),
    ],
)
def test_durations_of_the_api_are_shown_for_people(text: str, expected: str) -> None:
    assert plain_duration(text) == expected
