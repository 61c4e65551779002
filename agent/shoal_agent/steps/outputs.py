"""Uploading a task's output files after its process has ended.

What is uploaded, or why it was not, is said in fileuploadout.txt and fileuploaderr.txt of the task
directory. The first failure ends the step. Files are opened beneath the node's root; a link is
followed when it stays inside and leads to what the task's user could have read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import aiohttp

from shoal_agent.beneath import create_file, make_directories, open_beneath
from shoal_agent.core.environment import Account, expand_references
from shoal_agent.core.failures import failure
from shoal_agent.core.instructions import UploadOutputs
from shoal_agent.core.paths import PATH_BYTES_MAX, PathRefused, shown
from shoal_agent.core.patterns import Pattern, parse
from shoal_agent.steps.blobs import UploadFailed, put_blob
from shoal_agent.steps.containers import blob_url
from shoal_agent.steps.http import without_secrets
from shoal_agent.walk import walk
from shoal_protocol.specs import FailureInfo, OutputFile

FILES_MAX = 1_000_000
NAMES_MAX = 20_000
"""So many names of a directory are held at a time."""
FOUND_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Match:
    """A file to upload: components below the node's root, and the blob's name."""

    parts: tuple[str, ...]
    blob: str


async def upload_outputs(
    step: UploadOutputs,
    account: Account | None,
    root: str,
    session: aiohttp.ClientSession,
    transfers: asyncio.Semaphore,
) -> FailureInfo | None:
    """Upload everything that the patterns match; return the first failure, None when all went well.

    A pattern without a match is no failure.
    """
    task_parts = tuple(step.directory.removeprefix(root).strip("/").split("/"))
    done: list[str] = []
    reason: FailureInfo | None = None
    for output in step.outputs:
        reason = await _upload(output, step, account, root, task_parts, session, transfers, done)
        if reason is not None:
            break
    failed = [] if reason is None else [_line(f"{reason.code}: {reason.message}")]
    if reason is not None:
        failed += [f"  {name}: {value}\n" for name, value in reason.details]
    await asyncio.to_thread(_write_reports, root, task_parts, account, done, failed)
    return reason


async def _upload(
    output: OutputFile,
    step: UploadOutputs,
    account: Account | None,
    root: str,
    task_parts: tuple[str, ...],
    session: aiohttp.ClientSession,
    transfers: asyncio.Semaphore,
    done: list[str],
) -> FailureInfo | None:
    details = {
        "FilePattern": output.file_pattern,
        "FileDestination": without_secrets(output.container_url),
    }
    try:
        pattern = parse(
            expand_references(output.file_pattern, step.variables), (*task_parts, "wd"), root
        )
        matches = find(pattern, root, output.path)
        # Some at a time, so that a million matches take no memory.
        while some := await asyncio.to_thread(lambda: list(islice(matches, FOUND_AT_ONCE))):
            for match in some:
                details["FilePath"] = shown("/".join((root, *match.parts)))
                size = await _upload_one(output, match, account, root, session, transfers)
                done.append(_line(f"{details['FilePath']} -> {match.blob} ({size} bytes)"))
            del details["FilePath"]
    except UploadFailed as error:
        return failure(error.code, **details, Message=str(error))
    except PathRefused as error:
        return failure("FileUploadMiscError", **details, Message=str(error))
    except OSError as error:
        return failure("FileUploadMiscError", **details, Message=error.strerror or str(error))
    return None


async def _upload_one(
    output: OutputFile,
    match: Match,
    account: Account | None,
    root: str,
    session: aiohttp.ClientSession,
    transfers: asyncio.Semaphore,
) -> int:
    """Upload one file and return its length; raises UploadFailed, PathRefused, OSError."""
    if shown(match.blob) != match.blob:
        raise PathRefused("the file's name is not UTF-8: no blob can be called so")
    fd = await asyncio.to_thread(_open, root, match.parts, account)
    try:
        url = blob_url(output.container_url, match.blob)
        async with transfers:
            return await put_blob(session, url, fd, dict(output.upload_headers))
    finally:
        os.close(fd)


def find(pattern: Pattern, root: str, path: str | None) -> Iterator[Match]:
    """Yield the files that a pattern means, in the order of their names. Blocks.

    A blob is named after its file, from the last directory that the pattern spells out; with a
    wildcard `path` is put in front, without one it is the blob's name.
    """
    prefix = (path or "").strip("/")
    for count, below in enumerate(_matching(pattern, root), 1):
        if count > FILES_MAX:
            raise PathRefused(f"the pattern matches more than {FILES_MAX} files")
        name = "/".join(below)
        if prefix:
            name = f"{prefix}/{name}" if pattern.has_wildcard else prefix
        yield Match((*pattern.base, *below), name)


def _matching(pattern: Pattern, root: str) -> Iterator[tuple[str, ...]]:
    """Yield what matches below the pattern's base; nothing where that is not there."""

    def open_folder(below: tuple[str, ...]) -> int:
        return open_beneath(root, (*pattern.base, *below), os.O_RDONLY | os.O_DIRECTORY)

    try:
        os.close(open_folder(()))
    except OSError:
        return
    found = walk(
        open_folder,
        lambda places, below: pattern.enter(places, below[-1]) or None,
        pattern.start(),
        path_bytes_max=PATH_BYTES_MAX - len("/".join(map(shown, pattern.base)).encode()),
        names_max=NAMES_MAX,
    )
    for below, status, places in found:
        # Where a link leads is looked at when it is opened.
        is_file = stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)
        if is_file and pattern.takes(places, below[-1]):
            yield below


def _open(root: str, parts: tuple[str, ...], account: Account | None) -> int:
    fd = open_beneath(root, parts, os.O_RDONLY)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise UploadFailed("FileUploadMiscError", "not a regular file")
        if account is not None and not _may_read(status, account):
            raise UploadFailed("FileUploadMiscError", "the task's user may not read it")
    except BaseException:
        os.close(fd)
        raise
    return fd


def _may_read(status: os.stat_result, account: Account) -> bool:
    """Whether the task's user could have read the file: the agent may be root and can read all."""
    if account.uid in (None, 0) or status.st_uid == account.uid or status.st_mode & 0o004:
        return True
    groups = (account.gid, *account.groups)
    return status.st_gid in groups and bool(status.st_mode & 0o040)


def _line(text: str) -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n"


def _write_reports(
    root: str, parts: tuple[str, ...], account: Account | None, done: list[str], failed: list[str]
) -> None:
    # The reports are for people to read: a full disk must not make of them another failure.
    with contextlib.suppress(OSError):
        folder_fd = make_directories(root, parts, 0o755, None)
        try:
            for name, lines in (("fileuploadout.txt", done), ("fileuploaderr.txt", failed)):
                with os.fdopen(create_file(folder_fd, name, 0o644), "w", errors="replace") as file:
                    file.writelines(lines)
                    if account is not None and account.uid is not None and account.gid is not None:
                        os.fchown(file.fileno(), account.uid, account.gid)
        finally:
            os.close(folder_fd)
