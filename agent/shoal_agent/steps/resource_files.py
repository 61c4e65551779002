"""Making a task's directories and fetching its resource files, before its command starts.

A download that breaks off goes on where it stopped. All names come from users or from lists of
blobs, and other tasks may work in the same place: everything is opened beneath the working
directory, and no link is followed (beneath.py).
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from shoal_agent.beneath import create_file, make_directories
from shoal_agent.core.environment import Account
from shoal_agent.core.failures import failure
from shoal_agent.core.instructions import PrepareFiles
from shoal_agent.core.paths import PathRefused, relative_parts, relative_parts_or_none
from shoal_agent.steps.containers import blob_url, list_blobs
from shoal_agent.steps.http import (
    NETWORK_ERRORS,
    TIMEOUT,
    TRIES_MAX,
    TransferFailed,
    is_hopeless,
    is_transient,
    told,
    wait_before_retry,
    without_secrets,
)
from shoal_agent.tree import remove
from shoal_protocol.specs import FailureInfo, ResourceFile

FILE_MODE: Final = 0o770
FOLDER_MODE: Final = 0o770
WORKERS_MAX: Final = 8
"""Downloads of one task at a time; the node has a limit of its own."""
PIECE_BYTES: Final = 1 << 20
PROGRESS_BYTES: Final = 4 << 20
"""A try that brought so much was a good one: counting begins anew."""
DOWNLOAD_S_MAX: Final = 6 * 3600.0
_CODES: Final = {
    401: "BlobAccessDenied",
    403: "BlobAccessDenied",
    404: "BlobNotFound",
    410: "BlobNotFound",
}


@dataclass(frozen=True, slots=True)
class Download:
    """One file to fetch. parts: its place below the working directory."""

    url: str
    parts: tuple[str, ...]
    mode: int


async def prepare_files(
    step: PrepareFiles,
    account: Account,
    root: str,
    session: aiohttp.ClientSession,
    transfers: asyncio.Semaphore,
) -> FailureInfo | None:
    """Make the directories and fetch all files; return why not, None when all is there.

    session     does not decode contents; transfers: the node's limit
    """
    reason: FailureInfo | None = None
    try:
        await asyncio.to_thread(_make, step, account, root)
        downloads: list[Download] = []
        for file in step.resource_files:
            downloads += await _plan(file, session)
        waiting = iter(downloads)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(WORKERS_MAX, len(downloads))):
                group.create_task(_work(waiting, step.wd, account, session, transfers))
    except* TransferFailed as errors:
        reason = _first(errors)
    return reason


async def _work(
    waiting: Iterator[Download],
    wd: str,
    account: Account,
    session: aiohttp.ClientSession,
    transfers: asyncio.Semaphore,
) -> None:
    for download in waiting:
        async with transfers:
            try:
                async with asyncio.timeout(DOWNLOAD_S_MAX):
                    await _fetch(download, wd, account, session)
            except TimeoutError as error:
                raise _failed("ResourceDownloadTimedOut", download, "it takes too long") from error


def _make(step: PrepareFiles, account: Account, root: str) -> None:
    try:
        if step.fresh is not None:
            remove(Path(step.fresh))
        for path, mode in step.directories:
            parts = path.removeprefix(root).strip("/").split("/")
            os.close(make_directories(root, parts, mode, _owner(account)))
    except OSError as error:
        code = "DiskFull" if _is_full(error) else "ResourceDirectoryCreateFailed"
        raise TransferFailed(failure(code, Message=os.strerror(error.errno or 0))) from error


async def _plan(file: ResourceFile, session: aiohttp.ClientSession) -> list[Download]:
    try:
        mode = FILE_MODE if file.file_mode is None else int(file.file_mode, 8) & 0o777
        if file.http_url is not None:
            _check(file.http_url)
            return [Download(file.http_url, relative_parts(file.file_path or ""), mode)]
        folder = relative_parts_or_none(file.file_path or "")
        url = file.storage_container_url
        if url is None:
            raise PathRefused("the resource file has no source")
        _check(url)
        names = await list_blobs(session, url, file.blob_prefix or "")
        return [
            Download(blob_url(url, name), (*folder, *relative_parts(name)), mode) for name in names
        ]
    except ValueError as error:  # PathRefused too
        reason = failure(
            "ResourceFileCreateFailed", FilePath=file.file_path or "", Message=str(error)
        )
        raise TransferFailed(reason) from error


def _check(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("the source is not an http or https URL")


class _Target:
    """The file being written. Its methods block."""

    def __init__(self, download: Download, wd: str, account: Account) -> None:
        self._download = download
        self._owner = _owner(account)
        try:
            folder_fd = make_directories(wd, download.parts[:-1], FOLDER_MODE, self._owner)
            try:
                self._fd = create_file(folder_fd, download.parts[-1], 0o600)
            finally:
                os.close(folder_fd)
        except OSError as error:
            code = "DiskFull" if _is_full(error) else "ResourceFileCreateFailed"
            raise self._failed(code, error) from error

    def write(self, data: bytes | bytearray, at: int) -> None:
        try:
            view = memoryview(data)
            while view:
                count = os.pwrite(self._fd, view, at)
                view, at = view[count:], at + count
        except OSError as error:
            code = "DiskFull" if _is_full(error) else "ResourceFileWriteFailed"
            raise self._failed(code, error) from error

    def finish(self, size: int) -> None:
        try:
            os.ftruncate(self._fd, size)
            if self._owner is not None:
                os.fchown(self._fd, *self._owner)
            os.fchmod(self._fd, self._download.mode)
        except OSError as error:
            raise self._failed("ResourceFileWriteFailed", error) from error

    def close(self) -> None:
        os.close(self._fd)

    def _failed(self, code: str, error: OSError) -> TransferFailed:
        return _failed(code, self._download, os.strerror(error.errno or 0))


async def _fetch(
    download: Download, wd: str, account: Account, session: aiohttp.ClientSession
) -> None:
    target = await asyncio.to_thread(_Target, download, wd, account)
    try:
        got, tries = _Progress(0, ""), 0
        while True:
            tries += 1
            before = got.size
            try:
                await _try(download, target, session, got, tries)
                await asyncio.to_thread(target.finish, got.size)
                return
            except NETWORK_ERRORS as error:
                if got.size - before >= PROGRESS_BYTES:
                    tries = 1
                if is_hopeless(error) or tries >= TRIES_MAX:
                    timed_out = isinstance(error, TimeoutError)
                    code = "BlobDownloadTimedOut" if timed_out else "BlobDownloadMiscError"
                    reason = told(error)
                    raise _failed(code, download, reason) from error
            await wait_before_retry(tries)
    finally:
        target.close()


class _Again(aiohttp.ClientError):
    """The server asks to try later."""


@dataclass(slots=True)
class _Progress:
    """Bytes on the disk, and the version of the source that they belong to."""

    size: int
    etag: str


async def _try(
    download: Download,
    target: _Target,
    session: aiohttp.ClientSession,
    got: _Progress,
    tries: int,
) -> None:
    headers = {"Accept-Encoding": "identity"}
    if got.size and got.etag:
        headers["Range"] = f"bytes={got.size}-"
        headers["If-Match"] = got.etag
    else:
        got.size = 0
    # A signature was made over exactly these characters; only what is no URL yet is quoted.
    is_quoted = download.url.isascii() and " " not in download.url
    url = URL(download.url, encoded=is_quoted)
    async with session.get(url, headers=headers, timeout=TIMEOUT) as answer:
        if answer.status in (412, 416) and got.size:
            got.size, got.etag = 0, ""
            raise _Again("the source has changed")
        if answer.status not in (200, 206):
            reason = f"{answer.status} {answer.reason}"
            if is_transient(answer.status) and tries < TRIES_MAX:
                raise _Again(reason)
            raise _failed(_CODES.get(answer.status, "BlobDownloadMiscError"), download, reason)
        if answer.status == 200:
            got.size = 0
        got.etag = answer.headers.get("ETag", "")
        if got.etag.startswith("W/"):
            got.etag = ""  # a weak one does not promise the same bytes
        buffer = bytearray()
        try:
            async for piece in answer.content.iter_any():
                buffer += piece
                if len(buffer) >= PIECE_BYTES:
                    await _write(target, buffer, got)
        finally:
            # What came before a break is kept: the next try goes on behind it.
            if buffer:
                await _write(target, buffer, got)


async def _write(target: _Target, buffer: bytearray, got: _Progress) -> None:
    data = bytes(buffer)
    buffer.clear()
    await asyncio.to_thread(target.write, data, got.size)
    got.size += len(data)


def _owner(account: Account) -> tuple[int, int] | None:
    return None if account.uid is None or account.gid is None else (account.uid, account.gid)


def _is_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _failed(code: str, download: Download, reason: str) -> TransferFailed:
    return TransferFailed(
        failure(
            code,
            BlobSource=without_secrets(download.url),
            FilePath="/".join(download.parts),
            Message=reason,
        )
    )


def _first(errors: BaseExceptionGroup[TransferFailed]) -> FailureInfo:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first.failure
