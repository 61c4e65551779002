"""Byte ranges: from header text to an offset and a length (pure)."""

import re
from dataclasses import dataclass

from shoal_controller.blobgateway.errors import StorageError, bad_header

_RANGE = re.compile(r"bytes=([0-9]{1,19})-([0-9]{0,19})")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` to `last` inclusive; `last` None means to the end."""

    first: int
    last: int | None

    def resolve(self, length: int) -> tuple[int, int]:
        """Return offset and byte count within a blob of `length` bytes, or raise InvalidRange."""
        if self.first >= length:
            raise StorageError(
                "InvalidRange",
                "The range specified is invalid for the current size of the resource.",
                Length=str(length),
            )
        last = length - 1 if self.last is None else min(self.last, length - 1)
        return self.first, last - self.first + 1


def parse_range(text: str | None) -> ByteRange | None:
    """Read `bytes=first-last` or `bytes=first-`; None for absent or unknown forms.

    A range in a form the service does not know (suffix, several) is ignored as RFC 9110 14.2
    asks, and the whole blob comes. One that ends before it starts is InvalidHeaderValue.
    """
    found = _RANGE.fullmatch(text.strip()) if text else None
    if found is None:
        return None
    first, last = int(found[1]), int(found[2]) if found[2] else None
    if last is not None and last < first:
        raise bad_header("Range", text or "", "the range ends before it starts")
    return ByteRange(first, last)
