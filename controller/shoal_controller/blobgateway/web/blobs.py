"""Operations on one blob, except those that bring bytes in."""

import hashlib

import msgspec

from shoal_controller.blobgateway.conditions import parse_conditions
from shoal_controller.blobgateway.errors import StorageError, bad_header, bad_query
from shoal_controller.blobgateway.names import is_visible
from shoal_controller.blobgateway.ranges import ByteRange, parse_range
from shoal_controller.blobgateway.records import Properties
from shoal_controller.blobgateway.storage.reading import BlobReader
from shoal_controller.blobgateway.web import headers, xml
from shoal_controller.blobgateway.web.call import Answer, Call
from shoal_controller.blobgateway.web.services import XML_HEADERS

RANGE_MD5_BYTES_MAX = 4 * 1024 * 1024


async def get(call: Call) -> Answer:
    """Get Blob, and Get Blob Properties when the method is HEAD (which knows no ranges)."""
    if call.method == "HEAD":
        blob = await call.store.get(call.container, call.blob)
        parse_conditions(call.headers).check_read(blob)
        told = headers.of_blob(blob) | _overrides(call)
        return Answer(200, told | {"Content-Length": str(blob.length)})
    wanted = _range(call)
    reader = await call.store.open_blob(
        call.container, call.blob, wanted, parse_conditions(call.headers)
    )
    try:
        told = headers.of_blob(reader.blob) | _overrides(call)
        told["Content-Length"] = str(reader.count)
        if wanted is None:
            return Answer(200, told, reader=reader)
        last = reader.first + reader.count - 1
        told["Content-Range"] = f"bytes {reader.first}-{last}/{reader.blob.length}"
        # Content-MD5 of a partial answer is that of the part, if anything.
        whole = told.pop("Content-MD5", None)
        if whole is not None:
            told["x-ms-blob-content-md5"] = whole
        if call.headers.get("x-ms-range-get-content-md5", "").lower() == "true":
            told["Content-MD5"] = await _md5_of(reader)
        return Answer(206, told, reader=reader)
    except BaseException:
        await reader.__aexit__()
        raise


async def get_metadata(call: Call) -> Answer:
    blob = await call.store.get(call.container, call.blob)
    parse_conditions(call.headers).check_read(blob)
    told = headers.of_blob(blob)
    kept = {n: v for n, v in told.items() if n in ("ETag", "Last-Modified") or "-meta-" in n}
    return Answer(200, kept)


async def set_metadata(call: Call) -> Answer:
    metadata = headers.metadata(call)

    def update(properties: Properties) -> Properties:
        return msgspec.structs.replace(properties, metadata=metadata)

    blob = await call.store.change(
        call.container, call.blob, update, parse_conditions(call.headers)
    )
    return Answer(200, headers.of_change(blob))


async def set_properties(call: Call) -> Answer:
    """Set Blob Properties: headers that are absent clear what was there, MD5 included."""
    given = headers.blob_properties(call)

    def update(old: Properties) -> Properties:
        return msgspec.structs.replace(given, metadata=old.metadata, tier=old.tier, copy=old.copy)

    blob = await call.store.change(
        call.container, call.blob, update, parse_conditions(call.headers)
    )
    return Answer(200, headers.of_change(blob))


async def delete(call: Call) -> Answer:
    conditions = parse_conditions(call.headers)
    snapshots = call.headers.get("x-ms-delete-snapshots", "include").lower()
    if snapshots == "only":
        # There are none, so there is nothing to delete; the blob itself must stay.
        conditions.check_write(await call.store.get(call.container, call.blob))
    elif snapshots == "include":
        await call.store.delete(call.container, call.blob, conditions)
    else:
        raise bad_header("x-ms-delete-snapshots", snapshots[:40], "include or only")
    return Answer(202, {"x-ms-delete-type-permanent": "true"})


async def get_block_list(call: Call) -> Answer:
    kind = call.query.get("blocklisttype", "committed").lower()
    if kind not in ("committed", "uncommitted", "all"):
        raise bad_query("blocklisttype", kind[:40], "committed, uncommitted or all")
    blob, committed, uncommitted = await call.store.get_block_list(call.container, call.blob)
    told = dict(XML_HEADERS)
    if blob is not None:
        full = headers.of_blob(blob)
        told |= {name: full[name] for name in ("ETag", "Last-Modified")}
        told["x-ms-blob-content-length"] = str(blob.length)
    body = xml.block_list(
        committed if kind != "uncommitted" else None,
        uncommitted if kind != "committed" else None,
    )
    return Answer(200, told, body)


async def abort_copy(call: Call) -> Answer:
    """Copies are over when their request is answered, so there is never one to abort."""
    await call.store.get(call.container, call.blob)
    raise StorageError("NoPendingCopyOperation", "There is currently no pending copy operation.")


def _range(call: Call) -> ByteRange | None:
    text = call.headers.get("x-ms-range") or call.headers.get("range")
    wanted = parse_range(text)
    if call.headers.get("x-ms-range-get-content-md5", "").lower() == "true":
        small = wanted is not None and wanted.last is not None
        if not small or wanted.last - wanted.first >= RANGE_MD5_BYTES_MAX:  # type: ignore
            raise StorageError(
                "OutOfRangeInput",
                f"x-ms-range-get-content-md5 needs a range of at most {RANGE_MD5_BYTES_MAX} bytes.",
            )
    return wanted


async def _md5_of(reader: BlobReader) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    async for piece in reader.pieces():
        digest.update(piece)
    return headers.base64_text(digest.digest())


def _overrides(call: Call) -> dict[str, str]:
    """Response headers that the SAS carries: rscc, rscd, rsce, rscl, rsct."""
    found = {} if call.grant is None else dict(call.grant.response)
    for name, value in found.items():
        if not is_visible(value):
            raise bad_query(name, value[:100], "only visible ASCII can be a header")
    return found
