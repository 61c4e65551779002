"""Which names of containers, blobs, blocks and metadata are legal (pure).

Blob names are data, never paths: `..`, `/etc/passwd` and a mile of slashes are fine names, because
nothing maps them to a file. Only what the Blob service or XML cannot carry is refused.
"""

import base64
import binascii
import re
from collections.abc import Iterable

from shoal_controller.blobgateway.errors import StorageError, bad_query

BLOB_NAME_CHARS_MAX = 1024
BLOB_SEGMENTS_MAX = 254
BLOCK_ID_BYTES_MAX = 64
METADATA_BYTES_MAX = 8 * 1024

_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9])*")
_METADATA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_VISIBLE = re.compile(r"[\x20-\x7e]*")


def check_container(name: str) -> str:
    """Return `name` if it can name a container, else raise InvalidResourceName or OutOfRangeInput.

    source  Naming containers, blobs and metadata: 3-63 of a-z, 0-9 and single inner hyphens
    """
    if not 3 <= len(name) <= 63:
        raise StorageError(
            "OutOfRangeInput",
            "The specified resource name length is not within the permissible limits.",
        )
    if not _CONTAINER.fullmatch(name):
        raise StorageError(
            "InvalidResourceName",
            "The specified resource name contains invalid characters.",
        )
    return name


def check_blob(name: str) -> str:
    """Return `name` if it can name a blob, else raise InvalidUri or OutOfRangeInput.

    Control characters are refused because a list, being XML, could not name the blob.
    """
    if not 1 <= len(name) <= BLOB_NAME_CHARS_MAX:
        raise StorageError(
            "OutOfRangeInput",
            f"A blob name has 1 to {BLOB_NAME_CHARS_MAX} characters, this one {len(name)}.",
        )
    if _CONTROL.search(name):
        raise StorageError("InvalidUri", "A blob name must not contain control characters.")
    if name.count("/") >= BLOB_SEGMENTS_MAX:
        raise StorageError(
            "InvalidUri", f"A blob name has at most {BLOB_SEGMENTS_MAX} path segments."
        )
    return name


def check_block_id(text: str) -> str:
    """Return `text` if it is base64 of 1 to 64 bytes.

    raises  InvalidQueryParameterValue if it is not base64, InvalidBlockId if it is too long
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not raw:
        raise bad_query("blockid", text[:200], "Not a valid base64 string.")
    if len(raw) > BLOCK_ID_BYTES_MAX:
        raise StorageError(
            "InvalidBlockId",
            f"The specified block ID is invalid. It must be at most {BLOCK_ID_BYTES_MAX} bytes.",
        )
    return text


def check_metadata(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return metadata as a dict, names as given, or raise EmptyMetadataKey, InvalidMetadata, ...

    Values must be visible ASCII: whatever is stored comes back in a response header.
    """
    metadata: dict[str, str] = {}
    seen: set[str] = set()
    size = 0
    for name, value in pairs:
        if not name:
            raise StorageError(
                "EmptyMetadataKey", "The key for one of the metadata key-value pairs is empty."
            )
        if not _METADATA_NAME.fullmatch(name) or not is_visible(value) or name.lower() in seen:
            raise StorageError(
                "InvalidMetadata",
                "The metadata specified is invalid. It has characters that are not permitted.",
            )
        seen.add(name.lower())
        metadata[name] = value.strip()
        size += len(name) + len(value)
    if size > METADATA_BYTES_MAX:
        raise StorageError(
            "MetadataTooLarge", f"Metadata must not be larger than {METADATA_BYTES_MAX} bytes."
        )
    return metadata


def is_visible(value: str) -> bool:
    """Whether `value` is printable ASCII and so can stand in a header as it is."""
    return _VISIBLE.fullmatch(value) is not None
