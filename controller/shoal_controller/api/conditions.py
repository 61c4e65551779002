"""Conditional headers: from a request to core.conditions.Conditions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from shoal_controller.api.auth import DATE_WANTED, parse_date
from shoal_controller.core.conditions import ANY, Conditions
from shoal_controller.core.errors import Refused, invalid_header

_HEADERS = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
# A tag is stronger than a date of the same direction; every other pair contradicts itself.
_PAIRS = (
    {"If-None-Match", "If-Modified-Since"},
    {"If-Match", "If-Unmodified-Since"},
)


def read_conditions(headers: Mapping[str, str], kind: Literal[0, 2, 4]) -> Conditions:
    """Return what the headers demand.

    kind    4: all four headers count; 2: only the two with dates; 0: none; the rest is ignored
    raises  Refused: InvalidHeaderValue, MultipleConditionHeadersNotSupported
    """
    if kind == 0:
        return ANY
    given = {name for name in _HEADERS[4 - kind :] if headers.get(name)}
    if not given:
        return ANY
    if len(given) > 1 and given not in _PAIRS:
        raise Refused(
            "MultipleConditionHeadersNotSupported",
            HeaderName=", ".join(sorted(given)),
            Reason="Send one of them, or a tag with the date of the same direction.",
        )
    return Conditions(
        if_match=_tag(headers, "If-Match") if "If-Match" in given else None,
        if_none_match=_tag(headers, "If-None-Match") if "If-None-Match" in given else None,
        if_modified_since=_date(headers, "If-Modified-Since", given),
        if_unmodified_since=_date(headers, "If-Unmodified-Since", given),
    )


def _tag(headers: Mapping[str, str], name: str) -> str:
    # 15.x clients quote tags, older ones do not; a weak tag names the same version.
    value = headers[name].strip().removeprefix("W/")
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if not value or '"' in value:
        raise invalid_header(name, headers[name], "It must be * or one ETag.")
    return value


def _date(headers: Mapping[str, str], name: str, given: set[str]) -> datetime | None:
    if name not in given:
        return None
    date = parse_date(headers[name])
    if date is None:
        raise invalid_header(name, headers[name], DATE_WANTED)
    return date
