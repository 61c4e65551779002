"""Request headers to values, and records to response headers."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

from shoal_controller.blobgateway.conditions import format_etag, format_http_date
from shoal_controller.blobgateway.errors import StorageError, bad_header, not_provided
from shoal_controller.blobgateway.names import check_metadata, is_visible
from shoal_controller.blobgateway.records import Blob, Container, Properties
from shoal_controller.blobgateway.web.call import Call

COPY_SOURCE_CHARS_MAX: Final = 2048
TIERS: Final = ("Hot", "Cool", "Cold")
_NOT_PROVIDED: Final = (
    ("x-ms-lease-", "Leases"),
    ("x-ms-source-lease-", "Leases"),
    ("x-ms-encryption-", "Customer-provided keys and encryption scopes"),
    ("x-ms-source-encryption-", "Customer-provided keys and encryption scopes"),
    ("x-ms-default-encryption-", "Customer-provided keys and encryption scopes"),
    ("x-ms-deny-encryption-", "Customer-provided keys and encryption scopes"),
    ("x-ms-expiry-", "Blobs that expire"),
    ("x-ms-if-tags", "Blob tags"),
    ("x-ms-source-if-tags", "Blob tags"),
    ("x-ms-tags", "Blob tags"),
    ("x-ms-immutability-policy-", "Immutability policies"),
    ("x-ms-legal-hold", "Legal holds"),
    ("x-ms-content-crc64", "CRC64 checksums"),
    ("x-ms-source-content-crc64", "CRC64 checksums"),
    ("x-ms-range-get-content-crc64", "CRC64 checksums"),
    ("x-ms-structured-", "Structured message bodies"),
    ("x-ms-copy-source-authorization", "Copy sources with a bearer token"),
    ("x-ms-seal-blob", "Append blobs"),
    ("x-ms-delete-type-permanent", "Soft-deleted blobs"),
    ("x-ms-blob-sequence-number", "Page blobs"),
    ("x-ms-blob-public-access", "Public containers"),
)
_CONTENT: Final = (
    ("content_type", "content-type"),
    ("content_encoding", "content-encoding"),
    ("content_language", "content-language"),
    ("content_disposition", "content-disposition"),
    ("cache_control", "cache-control"),
)


def refuse_unprovided(headers: Mapping[str, str]) -> None:
    """Raise UnsupportedHeader for a header that asks for something this gateway has not."""
    for name in headers:
        if not name.startswith("x-ms-"):
            continue
        for start, what in _NOT_PROVIDED:
            if name.startswith(start):
                if start == "x-ms-blob-public-access":
                    raise StorageError(
                        "PublicAccessNotPermitted",
                        "Public access is not permitted on this storage account.",
                    )
                raise not_provided("header", name, what)


def metadata(call: Call) -> dict[str, str]:
    return check_metadata(call.metadata)


def md5(headers: Mapping[str, str], name: str) -> bytes | None:
    """The 16 bytes of an MD5 header, None if absent; raises InvalidMd5."""
    text = headers.get(name)
    if not text:
        return None
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != 16:
        raise StorageError("InvalidMd5", f"The MD5 value specified in {name} is not valid.")
    return value


def blob_properties(
    call: Call, base: Properties | None = None, *, plain: bool = False
) -> Properties:
    """Properties from the x-ms-blob- headers; with `plain`, from Content-Type and so on too.

    base  what holds for headers that are absent (a copy's source); else nothing does
    """
    headers = call.headers
    changes: dict[str, object] = {}
    for field, name in _CONTENT:
        value = headers.get("x-ms-blob-" + name)
        if value is None and plain:
            value = headers.get(name)
        if value is not None:
            if not is_visible(value):
                raise bad_header(name, value[:100], "only visible ASCII can be stored")
            changes[field] = value or None
    if changes.get("content_type", "") is None:
        del changes["content_type"]
    whole = md5(headers, "x-ms-blob-content-md5")
    if whole is not None:
        changes["content_md5"] = whole
    tier = headers.get("x-ms-access-tier")
    if tier is not None:
        if tier not in TIERS:
            raise bad_header("x-ms-access-tier", tier[:40], f"one of {', '.join(TIERS)}")
        changes["tier"] = tier
    given = metadata(call)
    if given or base is None:
        changes["metadata"] = given
    return msgspec.structs.replace(base or Properties(), **changes)


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def md5_of(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def of_container(container: Container) -> dict[str, str]:
    return {
        "ETag": format_etag(container.etag),
        "Last-Modified": format_http_date(container.modified),
        "x-ms-lease-status": "unlocked",
        "x-ms-lease-state": "available",
        "x-ms-has-immutability-policy": "false",
        "x-ms-has-legal-hold": "false",
        "x-ms-immutable-storage-with-versioning-enabled": "false",
        "x-ms-default-encryption-scope": "$account-encryption-key",
        "x-ms-deny-encryption-scope-override": "false",
        **_metadata(container.metadata),
    }


def of_change(blob: Blob) -> dict[str, str]:
    """What every successful write of a blob tells."""
    return {
        "ETag": format_etag(blob.etag),
        "Last-Modified": format_http_date(blob.modified),
        "x-ms-request-server-encrypted": "false",
    }


def of_blob(blob: Blob) -> dict[str, str]:
    """All headers of Get Blob and Get Blob Properties that do not depend on the range."""
    properties = blob.properties
    headers = {
        "ETag": format_etag(blob.etag),
        "Last-Modified": format_http_date(blob.modified),
        "Content-Type": properties.content_type,
        "Accept-Ranges": "bytes",
        "x-ms-creation-time": format_http_date(blob.created),
        "x-ms-blob-type": "BlockBlob",
        "x-ms-lease-status": "unlocked",
        "x-ms-lease-state": "available",
        "x-ms-server-encrypted": "false",
        "x-ms-access-tier": properties.tier or "Hot",
        **_metadata(properties.metadata),
    }
    if properties.tier is None:
        headers["x-ms-access-tier-inferred"] = "true"
    optional = {
        "Content-Encoding": properties.content_encoding,
        "Content-Language": properties.content_language,
        "Content-Disposition": properties.content_disposition,
        "Cache-Control": properties.cache_control,
    }
    headers |= {name: value for name, value in optional.items() if value is not None}
    if properties.content_md5 is not None:
        headers["Content-MD5"] = base64_text(properties.content_md5)
    if properties.copy is not None:
        copy = properties.copy
        headers |= {
            "x-ms-copy-id": copy.id,
            "x-ms-copy-status": "success",
            "x-ms-copy-progress": f"{blob.length}/{blob.length}",
            "x-ms-copy-completion-time": format_http_date(copy.completed),
        }
        # Clients take headers of 8 KiB; percent-encoded names can be longer.
        if len(copy.source) <= COPY_SOURCE_CHARS_MAX:
            headers["x-ms-copy-source"] = copy.source
    return headers


def _metadata(pairs: Mapping[str, str]) -> dict[str, str]:
    return {f"x-ms-meta-{name}": value for name, value in pairs.items()}
