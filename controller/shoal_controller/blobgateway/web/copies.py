"""Operations whose bytes come from a URL: Copy Blob, Put Blob From URL, Put Block From URL.

All are over when they are answered; the state of a copy is always "success".
"""

from typing import Final

import msgspec

from shoal_controller.blobgateway.conditions import parse_conditions
from shoal_controller.blobgateway.errors import bad_header
from shoal_controller.blobgateway.ranges import parse_range
from shoal_controller.blobgateway.records import Blob, CopyInfo, Properties
from shoal_controller.blobgateway.web import headers
from shoal_controller.blobgateway.web.call import Answer, Call
from shoal_controller.blobgateway.web.sources import Opened, limited, open_source

COPY_BYTES_MAX: Final = 195 * 1024**4
PUT_FROM_URL_BYTES_MAX: Final = 5000 * 1024**2
BLOCK_FROM_URL_BYTES_MAX: Final = 4000 * 1024**2


async def copy_blob(call: Call) -> Answer:
    """Copy Blob (From URL): properties come along, metadata too unless the request has its own."""
    async with open_source(call) as source:
        given = headers.blob_properties(call, source.properties)
        info = CopyInfo(call.gateway.new_id(), _without_query(call), call.now)
        properties = msgspec.structs.replace(
            source.properties, metadata=given.metadata, tier=given.tier, copy=info
        )
        blob = await _put(call, source, properties, COPY_BYTES_MAX)
    told = headers.of_change(blob) | {"x-ms-copy-id": info.id, "x-ms-copy-status": "success"}
    return Answer(202, told)


async def put_blob_from_url(call: Call) -> Answer:
    """Put Blob From URL: properties come along unless x-ms-copy-source-blob-properties is false."""
    if call.headers.get("content-length", "0") != "0":
        raise bad_header("Content-Length", call.headers["content-length"][:40], "must be 0")
    async with open_source(call) as source:
        keep = call.headers.get("x-ms-copy-source-blob-properties", "true").lower() != "false"
        base = source.properties if keep else Properties()
        # Only what the request says becomes metadata: unlike Copy Blob this one takes none along.
        base = msgspec.structs.replace(base, metadata={}, copy=None, tier=None)
        blob = await _put(call, source, headers.blob_properties(call, base), PUT_FROM_URL_BYTES_MAX)
    told = headers.of_change(blob)
    if blob.properties.content_md5 is not None:
        told["Content-MD5"] = headers.base64_text(blob.properties.content_md5)
    return Answer(201, told)


async def put_block_from_url(call: Call, block_id: str) -> Answer:
    text = call.headers.get("x-ms-source-range")
    wanted = parse_range(text)
    if text and wanted is None:
        raise bad_header("x-ms-source-range", text[:100], "bytes=first-last")
    async with open_source(call, wanted) as source:
        digest = await call.store.put_block(
            call.container,
            call.blob,
            block_id,
            limited(source.pieces, BLOCK_FROM_URL_BYTES_MAX),
            md5=headers.md5(call.headers, "x-ms-source-content-md5"),
        )
    told = {"Content-MD5": headers.base64_text(digest), "x-ms-request-server-encrypted": "false"}
    return Answer(201, told)


async def _put(call: Call, source: Opened, properties: Properties, limit: int) -> Blob:
    conditions = parse_conditions(call.headers)
    await call.store.check_put(call.container, call.blob, conditions, call.create_only)
    return await call.store.put(
        call.container,
        call.blob,
        limited(source.pieces, limit),
        properties,
        md5=headers.md5(call.headers, "x-ms-source-content-md5"),
        conditions=conditions,
        create_only=call.create_only,
    )


def _without_query(call: Call) -> str:
    """The source as it is shown later: its query may hold a signature, which is a secret."""
    return call.headers["x-ms-copy-source"].partition("?")[0]
