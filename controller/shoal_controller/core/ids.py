"""Ids and version tags: which ids a user may give, and how an ETag follows from a time.

Source: REST reference, limits of `id`; recordings for the ETag's form.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from shoal_controller.core.errors import invalid_property, missing_property

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_YEAR_ONE: Final = datetime(1, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
DISPLAY_NAME_CHARACTERS_MAX: Final = 1024


def check_id(value: object, name: str = "id") -> str:
    """Return `value` if it is an id a user may give, or raise Refused naming the property."""
    if value is None or value == "":
        raise missing_property(name)
    if type(value) is not str or not _ID.match(value):
        raise invalid_property(
            name, value, "An id has 1 to 64 characters, each a letter, a digit, '-' or '_'."
        )
    return value


def job_directory(job_id: str) -> str:
    """Return where a job's tasks lie below a node's root: `s:job-2` in the schedule's directory."""
    outer, _, inner = job_id.partition(":")
    return f"workitems/{outer}/{inner or 'job-1'}"


def fold(an_id: str) -> str:
    """Return the form under which two ids that differ only in case are the same id."""
    return an_id.lower()


def etag(modified_at: datetime) -> str:
    """Return the version tag of what was last modified then.

    Form: `0x` and the upper-case hex of the count of 100 ns since the year 1, as recorded.
    """
    return f"0x{(modified_at - _YEAR_ONE) // _MICROSECOND * 10:X}"
