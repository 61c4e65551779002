"""Single values on the wire: text, numbers, enumerations, times and durations, both ways.

Readers take a value and the name of its property and return it or raise Refused. Clients send
numbers and booleans as strings too, and enumerations in any case (clients.md, versions.md 6).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeVar

from shoal_controller.core.errors import invalid_property

E = TypeVar("E", bound=StrEnum)
Reader = Callable[[Any, str], Any]

INFINITE: Final = "P10675199DT2H48M5.4775807S"
"""How the service writes a duration without limit: the greatest that .NET can hold."""

_DURATION_DAYS_MAX: Final = 1_000_000
"""What lasts longer counts as without limit: added to a time it must stay a time."""

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}\Z")
_DURATION: Final = re.compile(
    r"(?P<sign>-?)P(?=[0-9T])(?:(?P<years>[0-9]{1,9})Y)?(?:(?P<months>[0-9]{1,9})M)?"
    r"(?:(?P<weeks>[0-9]{1,9})W)?(?:(?P<days>[0-9]{1,9})D)?"
    r"(?:T(?=[0-9])(?:(?P<hours>[0-9]{1,9})H)?(?:(?P<minutes>[0-9]{1,9})M)?"
    r"(?:(?P<seconds>[0-9]{1,9})(?:\.(?P<fraction>[0-9]{1,9}))?S)?)?\Z"
)
_DATETIME: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9]{2}:[0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,32}))?)?)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})?\Z"
)
_DAYS_A_YEAR: Final = 365  # as recorded: P3Y6M4DT12H30M5S came back as P1279DT12H30M5S
_DAYS_A_MONTH: Final = 30


# --- in -------------------------------------------------------------------------------------------


def text(value: Any, name: str) -> str:
    """Return a string; NUL is refused, for no file, process or column can carry it."""
    if type(value) is not str:
        raise invalid_property(name, value, "It must be a string.")
    if "\0" in value:
        raise invalid_property(name, value, "It must not contain a NUL character.")
    return value


def filled_text(value: Any, name: str) -> str:
    """Return a string that is not empty."""
    if not text(value, name).strip():
        raise invalid_property(name, value, "It must not be empty.")
    return value


def text_up_to(limit: int) -> Reader:
    """Return a reader of strings of at most `limit` characters."""

    def read(value: Any, name: str) -> str:
        if len(text(value, name)) > limit:
            raise invalid_property(name, value, f"It has more than {limit} characters.")
        return value

    return read


def integer(value: Any, name: str) -> int:
    """Return a whole number, which may come as a string."""
    if type(value) is int:
        return value
    if type(value) is str and _INTEGER.match(value.strip()):
        return int(value)
    raise invalid_property(name, value, "It must be an integer.")


def integer_in(least: int, most: int = 2**31 - 1) -> Reader:
    """Return a reader of whole numbers in a range, both ends included."""

    def read(value: Any, name: str) -> int:
        number = integer(value, name)
        if not least <= number <= most:
            raise invalid_property(name, value, f"It must be in the range {least} to {most}.")
        return number

    return read


def boolean(value: Any, name: str) -> bool:
    """Return a boolean, which may come as a string."""
    if type(value) is bool:
        return value
    if type(value) is str and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise invalid_property(name, value, "It must be true or false.")


def one_of(kind: type[E]) -> Reader:
    """Return a reader of an enumeration, whatever the case of letters."""
    members = {member.value.lower(): member for member in kind}

    def read(value: Any, name: str) -> E:
        member = members.get(value.lower()) if type(value) is str else None
        if member is None:
            allowed = ", ".join(members)
            raise invalid_property(name, value, f"It must be one of: {allowed}.")
        return member

    return read


def duration(value: Any, name: str) -> timedelta | None:
    """Return a duration that is not negative; None when it is without limit.

    ISO 8601 as .NET reads it: padded or not, years of 365 and months of 30 days.
    """
    parsed = _parse_duration(value) if type(value) is str else None
    if parsed is None:
        raise invalid_property(name, value, "It must be an ISO 8601 duration, such as PT15M.")
    if parsed < timedelta():
        raise invalid_property(name, value, "It must not be negative.")
    return None if parsed.days >= _DURATION_DAYS_MAX else parsed


@lru_cache(maxsize=512)
def _parse_duration(value: str) -> timedelta | None:
    match = _DURATION.match(value)
    if match is None:
        return None
    sign, years, months, weeks, days, hours, minutes, seconds, fraction = match.groups()
    whole_days = (
        int(years or 0) * _DAYS_A_YEAR
        + int(months or 0) * _DAYS_A_MONTH
        + int(weeks or 0) * 7
        + int(days or 0)
    )
    microseconds = int((fraction or "").ljust(6, "0")[:6])
    whole_seconds = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    # A timedelta holds 999,999,999 days; everything near that is "without limit" all the same.
    span = timedelta(
        days=min(whole_days, _DURATION_DAYS_MAX),
        seconds=min(whole_seconds, _DURATION_DAYS_MAX * 86_400),
        microseconds=microseconds,
    )
    return -span if sign else span


def instant(value: Any, name: str) -> datetime:
    """Return a UTC time."""
    parsed = parse_datetime(text(value, name))
    if parsed is None:
        raise invalid_property(name, value, "It must be an ISO 8601 time.")
    return parsed


def parse_datetime(value: str) -> datetime | None:
    """Return the time of an ISO 8601 text, UTC where it names no offset, or None.

    Digits behind the microsecond are dropped.
    """
    match = _DATETIME.match(value)
    if match is None:
        return None
    date, clock, seconds, fraction, offset = match.groups()
    try:
        parsed = datetime.fromisoformat(f"{date}T{clock or '00:00'}:{seconds or '00'}")
        parsed = parsed.replace(microsecond=int((fraction or "").ljust(6, "0")[:6]), tzinfo=UTC)
        if offset and offset not in "Zz":
            hours, minutes = int(offset[1:3]), int(offset[4:6])
            shift = timedelta(hours=hours, minutes=minutes)
            parsed = parsed - shift if offset[0] == "+" else parsed + shift
    except (ValueError, OverflowError):
        return None
    return parsed


# --- out ------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def timestamp(at: datetime) -> str:
    """Return a UTC time as the service writes it: no zeros at the end of the fraction."""
    shown = at.isoformat()[:-6]
    return f"{shown.rstrip('0')}Z" if at.microsecond else f"{shown}Z"


def timespan(value: timedelta | None) -> str:
    """Return a duration as .NET writes it; None is without limit."""
    return INFINITE if value is None else _format_span(value)


@lru_cache(maxsize=512)
def _format_span(value: timedelta) -> str:
    hours, rest = divmod(value.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    shown = f"P{value.days}D" if value.days else "P"
    clock = f"{hours}H" if hours else ""
    clock += f"{minutes}M" if minutes else ""
    if value.microseconds:
        clock += f"{seconds}.{value.microseconds:06}".rstrip("0") + "S"
    elif seconds:
        clock += f"{seconds}S"
    if clock:
        return f"{shown}T{clock}"
    return shown if value.days else "PT0S"
