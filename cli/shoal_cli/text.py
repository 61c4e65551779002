"""Small pure pieces of text: what is safe to print, times, sizes and durations for people."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

NODE_ID_SHOWN: Final = 14
"""`tvmps_` and eight digits of the hash: among a million nodes two seldom share them."""
ELLIPSIS: Final = "…"

_DURATION: Final = re.compile(
    r"P(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?\Z"
)
_SHORT_DURATION: Final = re.compile(
    r"(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+)s?)?\Z"
)
# Days of the service's "no limit" (the largest TimeSpan of .NET): wire reference, value formats.
_INFINITE_DAYS: Final = 10_675_199


def clean(text: str) -> str:
    """Return `text` with control characters made visible.

    Names and command lines come from whoever wrote them; a terminal must not obey them.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == " " else _visible(c) for c in text)


def _visible(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def parse_time(text: str) -> datetime | None:
    """Return the aware UTC time of the API's ISO form, or None where it is not one.

    The API gives up to seven fractional digits; what a datetime cannot hold is dropped.
    """
    head, _, fraction = text.rstrip("Z").partition(".")
    try:
        moment = datetime.fromisoformat(head)
        if fraction:
            moment = moment.replace(microsecond=int(fraction[:6].ljust(6, "0")))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def short_time(text: str, now: datetime) -> str:
    """Return an API time in the reader's zone: clock time today, day and time this year.

    now  aware, in the reader's zone
    """
    moment = parse_time(text)
    if moment is None:
        return clean(text)
    try:
        local = moment.astimezone(now.tzinfo)
    except OverflowError:  # a task may date its files as it likes
        local = moment
    if local.date() == now.date():
        return local.strftime("%H:%M:%S")
    if local.year == now.year:
        return local.strftime("%b %d %H:%M")
    return local.date().isoformat()


def span(seconds: float) -> str:
    """Return a length of time for people: `0.4s`, `12s`, `3m05s`, `2h07m`, `3d04h`."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def size(bytes_count: int) -> str:
    """Return a size for people, in binary units: `512 B`, `1.5 KiB`, `20 MiB`."""
    if bytes_count < 1024:
        return f"{bytes_count} B"
    value = float(bytes_count)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 1024 or unit == "TiB":
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    raise AssertionError("unreachable")


def plain_duration(text: str) -> str:
    """Return an API duration for people: `PT15M` gives `15m`, the infinite one `no limit`."""
    found = _DURATION.match(text)
    if found is None or not any(found.groups()):
        return clean(text)
    if int(found["days"] or 0) >= _INFINITE_DAYS:
        return "no limit"
    return re.sub(r"(?<=[mhd])00[smh]\Z", "", span(_seconds(found)))


def iso_duration(text: str) -> str | None:
    """Return the API's form of what a person typed, or None where it is no duration.

    text  seconds (`90`), units (`1h30m`, `2d`), or the ISO form itself (`PT90S`)
    """
    upper = text.strip().upper()
    if upper.startswith("P"):
        found = _DURATION.match(upper)
        return upper if found and any(found.groups()) else None
    found = _SHORT_DURATION.match(text.strip())
    if found is None or not any(found.groups()):
        return None
    return f"PT{int(_seconds(found))}S"


def _seconds(found: re.Match[str]) -> float:
    parts = {name: float(value) for name, value in found.groupdict().items() if value}
    return timedelta(**parts).total_seconds()


def short_node(node_id: str) -> str:
    """Return the beginning of a node's id: enough to tell nodes apart, and to name one."""
    return node_id if len(node_id) <= NODE_ID_SHOWN + 2 else node_id[:NODE_ID_SHOWN] + ELLIPSIS
