"""Conditional requests: If-Match and its three friends, judged against a resource (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache

from shoal_controller.blobgateway.errors import StorageError, bad_header
from shoal_controller.blobgateway.records import Blob, Container


def format_etag(etag: int) -> str:
    return f'"0x{etag:016X}"'


def format_http_date(moment: datetime) -> str:
    """The RFC 1123 date of an aware datetime, in whole seconds."""
    return _format_second(moment.replace(microsecond=0))


@lru_cache(4096)
def _format_second(moment: datetime) -> str:
    # Lists tell thousands of dates, many of them the same.
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def parse_http_date(name: str, text: str) -> datetime:
    """The aware UTC datetime of an RFC 1123 date; raises InvalidHeaderValue naming the header."""
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        raise bad_header(name, text[:100], "not an RFC 1123 date") from None


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must hold for a request to be carried out; None where the client said nothing.

    source  Specifying conditional headers for Blob service operations
    """

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: datetime | None = None
    if_unmodified_since: datetime | None = None

    def check_read(self, resource: Blob) -> None:
        """Raise ConditionNotMet: 304 when the caller already has this version, else 412."""
        if self._must_match_fails(resource):
            raise _not_met(412)
        if self._must_differ_fails(resource):
            raise _not_met(304)

    def check_write(self, resource: Blob | Container | None) -> None:
        """Raise ConditionNotMet (412), or BlobAlreadyExists for If-None-Match: * on a blob.

        resource  what is there now, None when nothing is
        """
        if resource is None:
            if self.if_match is not None:
                raise _not_met(412)
            return
        if self.if_none_match == "*" and isinstance(resource, Blob):
            raise StorageError("BlobAlreadyExists", "The specified blob already exists.")
        if self._must_match_fails(resource) or self._must_differ_fails(resource):
            raise _not_met(412)

    def _must_match_fails(self, resource: Blob | Container) -> bool:
        if self.if_match is not None and not _same(self.if_match, resource.etag):
            return True
        limit = self.if_unmodified_since
        return limit is not None and _seconds(resource.modified) > limit

    def _must_differ_fails(self, resource: Blob | Container) -> bool:
        limit = self.if_modified_since
        # RFC 9110, 13.1.3: with If-None-Match present If-Modified-Since is not looked at, unless
        # the tags differ; the Blob service asks for both, so each failing one counts.
        if self.if_none_match is not None and _same(self.if_none_match, resource.etag):
            return True
        return limit is not None and _seconds(resource.modified) <= limit


NONE = Conditions()


def parse_conditions(headers: Mapping[str, str], prefix: str = "") -> Conditions:
    """Read the four headers; `prefix` is "x-ms-source-" for the source of a copy.

    headers  lower-case names
    raises   InvalidHeaderValue for a date that is none
    """
    dates: dict[str, datetime | None] = {}
    for name in ("if-modified-since", "if-unmodified-since"):
        text = headers.get(prefix + name)
        dates[name] = None if text is None else parse_http_date(prefix + name, text)
    return Conditions(
        headers.get(prefix + "if-match"),
        headers.get(prefix + "if-none-match"),
        dates["if-modified-since"],
        dates["if-unmodified-since"],
    )


def _same(wanted: str, etag: int) -> bool:
    return wanted.strip() == "*" or wanted.strip().strip('"') == format_etag(etag).strip('"')


def _seconds(moment: datetime) -> datetime:
    """Last-Modified is told in whole seconds, so it is compared in whole seconds."""
    return moment.replace(microsecond=0)


def _not_met(status: int) -> StorageError:
    return StorageError(
        "ConditionNotMet",
        "The condition specified using HTTP conditional header(s) is not met.",
        status=status,
    )
