"""Byte ranges."""

import pytest

from shoal_controller.blobgateway.errors import StorageError
from shoal_controller.blobgateway.ranges import ByteRange, parse_range


@pytest.mark.parametrize(
    ("text", "found"),
    [("bytes=0-0", ByteRange(0, 0)), ("bytes=5-", ByteRange(5, None)), (None, None), ("", None),
     ("bytes=-5", None), ("bytes=1-2,3-4", None), ("bytes=x-y", None), ("bytes=1", None),
     ("bytes=" + "9" * 30 + "-", None)],
)  # fmt: skip
def test_known_forms_are_ranges_and_others_are_ignored(
    text: str | None, found: ByteRange | None
) -> None:
    assert parse_range(text) == found


def test_a_range_ends_with_the_blob() -> None:
    assert ByteRange(2, None).resolve(10) == (2, 8)
    assert ByteRange(2, 100).resolve(10) == (2, 8)
    assert ByteRange(9, 9).resolve(10) == (9, 1)
    for length in (0, 2):
        with pytest.raises(StorageError, match="InvalidRange"):
            ByteRange(2, 3).resolve(length)
    with pytest.raises(StorageError, match="InvalidHeaderValue"):
        parse_range("bytes=3-2")
