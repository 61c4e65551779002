"""Conditional headers judged against a blob."""

from datetime import UTC, datetime, timedelta

import pytest

from shoal_controller.blobgateway.conditions import (
    Conditions,
    format_etag,
    format_http_date,
    parse_conditions,
)
from shoal_controller.blobgateway.errors import StorageError
from shoal_controller.blobgateway.records import Blob, Properties

MODIFIED = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
BLOB = Blob(1, "b", 0xAB, MODIFIED, MODIFIED, 3, Properties())
TAG = format_etag(0xAB)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("conditions", "read", "write"),
    [
        (Conditions(), None, None),
        (Conditions(if_match=TAG), None, None),
        (Conditions(if_match=TAG.strip('"')), None, None),
        (Conditions(if_match="*"), None, None),
        (Conditions(if_match='"0x1"'), 412, 412),
        (Conditions(if_none_match=TAG), 304, 412),
        (Conditions(if_none_match='"0x1"'), None, None),
        (Conditions(if_none_match="*"), 304, 409),
        (Conditions(if_modified_since=MODIFIED - SECOND), None, None),
        (Conditions(if_modified_since=MODIFIED.replace(microsecond=0)), 304, 412),
        (Conditions(if_unmodified_since=MODIFIED.replace(microsecond=0)), None, None),
        (Conditions(if_unmodified_since=MODIFIED - SECOND), 412, 412),
    ],
)
def test_a_blob_that_is_there(conditions: Conditions, read: int | None, write: int | None) -> None:
    for check, status in ((conditions.check_read, read), (conditions.check_write, write)):
        if status is None:
            check(BLOB)
        else:
            with pytest.raises(StorageError) as caught:
                check(BLOB)
            assert caught.value.status == status


def test_a_blob_that_is_not_there_cannot_match_but_can_be_made() -> None:
    Conditions(if_none_match="*").check_write(None)
    Conditions(if_unmodified_since=MODIFIED).check_write(None)
    with pytest.raises(StorageError, match="ConditionNotMet"):
        Conditions(if_match="*").check_write(None)


def test_headers_become_conditions() -> None:
    headers = {"if-match": TAG, "if-modified-since": format_http_date(MODIFIED)}
    assert parse_conditions(headers) == Conditions(TAG, None, MODIFIED.replace(microsecond=0), None)
    source = {"x-ms-source-if-none-match": "*"}
    assert parse_conditions(source, "x-ms-source-") == Conditions(if_none_match="*")
    for bad in ("yesterday", "", "Sat, 99 Nov 2026 00:00:00 GMT"):
        with pytest.raises(StorageError, match="InvalidHeaderValue"):
            parse_conditions({"if-modified-since": bad})
