"""Conditional requests: which version of a resource a caller insists on.

Source: wire.md section 4. Quotes are no part of a tag: clients of one generation send them, others
do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shoal_controller.core.errors import Refused
from shoal_controller.core.ids import etag


class NotModified(Exception):
    """A read whose condition says that the caller has this version already: 304."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the request's headers demand of the resource; tags without quotes, `*` for any."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: datetime | None = None
    if_unmodified_since: datetime | None = None

    def check(self, modified_at: datetime, *, is_read: bool = False) -> None:
        """Raise Refused("ConditionNotMet") or, for reads, NotModified unless all is met.

        If-Match is stronger than If-Unmodified-Since, If-None-Match than If-Modified-Since. HTTP
        dates have whole seconds, so the fraction of `modified_at` does not count.
        """
        tag = etag(modified_at)
        whole_second = modified_at.replace(microsecond=0)
        if self.if_match is not None:
            if self.if_match not in ("*", tag):
                raise Refused("ConditionNotMet")
        elif self.if_unmodified_since is not None and whole_second > self.if_unmodified_since:
            raise Refused("ConditionNotMet")
        if self.if_none_match is not None:
            is_same = self.if_none_match in ("*", tag)
        elif self.if_modified_since is not None:
            is_same = whole_second <= self.if_modified_since
        else:
            return
        if is_same:
            if is_read:
                raise NotModified
            raise Refused("ConditionNotMet")


ANY = Conditions()
"""No condition at all."""
