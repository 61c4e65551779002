"""Operations that bring bytes in with the request: Put Blob, Put Block, Put Block List."""

import asyncio
from typing import Final

from shoal_controller.blobgateway.conditions import parse_conditions
from shoal_controller.blobgateway.errors import StorageError, bad_header
from shoal_controller.blobgateway.names import check_block_id
from shoal_controller.blobgateway.storage.blocks import COMMITTED_MAX
from shoal_controller.blobgateway.storage.files import BUFFER_BYTES
from shoal_controller.blobgateway.web import copies, headers, xml
from shoal_controller.blobgateway.web.call import XML_BYTES_MAX, Answer, Call

MIB: Final = 1024 * 1024
# source: scale targets for Blob storage, service version 2019-12-12 and later.
PUT_BYTES_MAX: Final = 5000 * MIB
BLOCK_BYTES_MAX: Final = 4000 * MIB


async def put(call: Call) -> Answer:
    """Put Blob; with x-ms-copy-source it is Put Blob From URL or, without a type, Copy Blob."""
    kind = call.headers.get("x-ms-blob-type")
    if kind is None and "x-ms-copy-source" in call.headers:
        return await copies.copy_blob(call)
    if kind is None:
        raise StorageError(
            "MissingRequiredHeader",
            "An HTTP header that's mandatory for this request is not specified.",
            HeaderName="x-ms-blob-type",
        )
    if kind in ("PageBlob", "AppendBlob"):
        what = "Page blobs" if kind == "PageBlob" else "Append blobs"
        raise bad_header("x-ms-blob-type", kind, f"{what} are not provided by this gateway")
    if kind != "BlockBlob":
        raise bad_header("x-ms-blob-type", kind[:40], "BlockBlob is the only type")
    if "x-ms-copy-source" in call.headers:
        return await copies.put_blob_from_url(call)
    length = call.content_length(PUT_BYTES_MAX)
    conditions = parse_conditions(call.headers)
    properties = headers.blob_properties(call, plain=True)
    if length > BUFFER_BYTES:
        await call.store.check_put(call.container, call.blob, conditions, call.create_only)
    blob = await call.store.put(
        call.container,
        call.blob,
        call.pieces(length),
        properties,
        md5=headers.md5(call.headers, "content-md5"),
        conditions=conditions,
        create_only=call.create_only,
    )
    told = headers.of_change(blob)
    if blob.properties.content_md5 is not None:
        told["Content-MD5"] = headers.base64_text(blob.properties.content_md5)
    return Answer(201, told)


async def put_block(call: Call) -> Answer:
    """Put Block, or Put Block From URL when there is an x-ms-copy-source."""
    if "blockid" not in call.query:
        raise StorageError(
            "MissingRequiredQueryParameter",
            "A query parameter that's mandatory for this request is not specified.",
            QueryParameterName="blockid",
        )
    block_id = check_block_id(call.query["blockid"])
    if "x-ms-copy-source" in call.headers:
        return await copies.put_block_from_url(call, block_id)
    length = call.content_length(BLOCK_BYTES_MAX)
    if length == 0:
        raise bad_header("Content-Length", "0", "a block must not be empty")
    digest = await call.store.put_block(
        call.container,
        call.blob,
        block_id,
        call.pieces(length),
        md5=headers.md5(call.headers, "content-md5"),
    )
    return Answer(
        201,
        {"Content-MD5": headers.base64_text(digest), "x-ms-request-server-encrypted": "false"},
    )


async def put_block_list(call: Call) -> Answer:
    expected = headers.md5(call.headers, "content-md5")
    body = await call.small_body(XML_BYTES_MAX)
    if expected is not None and expected != headers.md5_of(body):
        raise StorageError(
            "Md5Mismatch",
            "The MD5 value specified in the request did not match with the MD5 value calculated "
            "by the server.",
        )
    wanted = await asyncio.to_thread(xml.read_block_list, body, COMMITTED_MAX)
    blob = await call.store.put_block_list(
        call.container,
        call.blob,
        wanted,
        headers.blob_properties(call),
        conditions=parse_conditions(call.headers),
        create_only=call.create_only,
    )
    return Answer(201, headers.of_change(blob))
