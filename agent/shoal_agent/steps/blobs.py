"""Writing one block blob through a signed URL (Azure Blob REST: Put Blob, Put Block, Put Block
List). Small files in one request, big ones in blocks, so that a break costs one block.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Mapping
from typing import Final

import aiohttp
from yarl import URL

from shoal_agent.steps.http import (
    NETWORK_ERRORS,
    TIMEOUT,
    TRIES_MAX,
    is_hopeless,
    is_transient,
    told,
    wait_before_retry,
    with_query,
)

BLOCK_BYTES: Final = 4 << 20
BLOCKS_MAX: Final = 50_000
BLOCKS_AT_ONCE: Final = 4
_VERSION: Final = {"x-ms-version": "2021-08-06"}
_CODES: Final = {
    401: "FileUploadAccessDenied",
    403: "FileUploadAccessDenied",
    404: "FileUploadContainerNotFound",
    409: "FileUploadConflict",
    412: "FileUploadConflict",
}


class UploadFailed(Exception):
    """A file was not uploaded. code: one of FileUpload…; the text says why."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


async def put_blob(
    session: aiohttp.ClientSession, url: str, fd: int, headers: Mapping[str, str]
) -> int:
    """Write the open file `fd` as a block blob, over what is there; return its size.

    headers   the user's, for the request that makes the blob
    raises    UploadFailed
    """
    size = os.fstat(fd).st_size
    if size <= BLOCK_BYTES:
        body = await asyncio.to_thread(_read, fd, 0, size)
        chosen = {**headers, **_VERSION, "x-ms-blob-type": "BlockBlob"}
        await _put(session, URL(url, encoded=True), body, chosen)
        return size
    block_bytes = max(BLOCK_BYTES, -(-size // BLOCKS_MAX))
    offsets = iter(range(0, size, block_bytes))

    async def work() -> None:
        for at in offsets:
            body = await asyncio.to_thread(_read, fd, at, min(block_bytes, size - at))
            query = f"comp=block&blockid={_block_id(at).replace('=', '%3D')}"
            await _put(session, with_query(url, query), body, _VERSION)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(BLOCKS_AT_ONCE):
                group.create_task(work())
    except ExceptionGroup as errors:
        # Not `except*`: what is raised there leaves as a group again.
        failed, others = errors.split(UploadFailed)
        if failed is None or others is not None:
            raise
        raise _first(failed) from None
    blocks = "".join(f"<Latest>{_block_id(at)}</Latest>" for at in range(0, size, block_bytes))
    text = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{blocks}</BlockList>'
    await _put(session, with_query(url, "comp=blocklist"), text.encode(), {**headers, **_VERSION})
    return size


async def _put(
    session: aiohttp.ClientSession, url: URL, body: bytes, headers: Mapping[str, str]
) -> None:
    tries = 0
    while True:
        tries += 1
        try:
            async with session.put(
                url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False
            ) as answer:
                if answer.status in (200, 201):
                    return
                if not is_transient(answer.status) or tries >= TRIES_MAX:
                    code = _CODES.get(answer.status, "FileUploadMiscError")
                    raise UploadFailed(code, f"{answer.status} {answer.reason}")
        except (*NETWORK_ERRORS, ValueError) as error:
            hopeless = isinstance(error, ValueError) or is_hopeless(error)
            if hopeless or tries >= TRIES_MAX:
                timed_out = isinstance(error, TimeoutError)
                code = "FileUploadTimedOut" if timed_out else "FileUploadMiscError"
                raise UploadFailed(code, told(error)) from error
        await wait_before_retry(tries)


def _read(fd: int, at: int, size: int) -> bytes:
    data = os.pread(fd, size, at)
    while len(data) < size:
        more = os.pread(fd, size - len(data), at + len(data))
        if not more:
            raise UploadFailed("FileUploadMiscError", "the file became shorter while it was read")
        data += more
    return data


def _block_id(at: int) -> str:
    return base64.b64encode(b"%016d" % at).decode()


def _first(errors: BaseExceptionGroup[UploadFailed]) -> UploadFailed:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
