"""Answers the controller's file requests, for what lies below the node's root and nothing else.

Paths come from users and the tree belongs to tasks, so everything is opened beneath the root
(beneath.py); a symbolic link is followed while it stays inside. Certificates and what the agent
put aside for deletion are not shown.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from shoal_agent.beneath import LeadsOutside, open_beneath
from shoal_agent.core.paths import (
    PATH_BYTES_MAX,
    PathRefused,
    relative_parts,
    relative_parts_or_none,
    shown,
    unshown,
)
from shoal_agent.tree import remove
from shoal_agent.walk import PathTooLong, walk
from shoal_protocol.messages import READ_BYTES_MAX, FileAction, FileEntry, FileReply, FileRequest

logger = logging.getLogger(__name__)

REQUESTS_MAX: Final = 64
ENTRIES_MAX: Final = 5000
LIST_BYTES_MAX: Final = 1 << 20
"""A list ends, with more to come, once its names are so long: a reply is one frame."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_INTERNAL: Final = "internal error of the agent"
_TRASH: Final = ("volatile", "removed")
_CERTIFICATES: Final = ("certs",)
_HIDDEN_NAMES: Final = frozenset({_TRASH[-1], *_CERTIFICATES})


class _Refused(Exception):
    """The answer is this error."""

    def __init__(self, error: str, reason: str) -> None:
        super().__init__(reason)
        self.error = error


class FileServer:
    """Serves requests in threads, some at a time."""

    def __init__(self, root: str, reply: Callable[[FileReply], None]) -> None:
        self._root = root
        self._reply = reply
        self._room = asyncio.Semaphore(REQUESTS_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    def serve(self, request: FileRequest) -> None:
        """Answer a request, a little later, by one reply."""
        task = asyncio.create_task(self._serve(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, request: FileRequest) -> None:
        async with self._room:
            reply = await asyncio.to_thread(answer, self._root, request)
            try:
                self._reply(reply)
            except Exception:  # somebody waits: what cannot be sent is answered all the same
                logger.exception("the answer to a file request cannot be sent")
                self._reply(FileReply(request.request_id, "failed", _INTERNAL))


def answer(root: str, request: FileRequest) -> FileReply:
    """Return the answer to a request. Blocks; raises nothing."""
    number = request.request_id
    try:
        match request.action:
            case FileAction.LIST:
                return _list(root, request)
            case FileAction.STAT:
                return _stat(root, request)
            case FileAction.READ:
                return _read(root, request)
            case FileAction.DELETE:
                return _delete(root, request)
    except _Refused as error:
        return FileReply(number, error.error, str(error))
    except PathTooLong as error:
        return FileReply(number, "too_deep", error.strerror or "")
    except (PathRefused, LeadsOutside) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return FileReply(number, "refused", reason or "")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        is_missing = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
        return FileReply(number, "not_found" if is_missing else "failed", reason)
    except Exception:
        logger.exception("file request %s failed", request.action)
        return FileReply(number, "failed", _INTERNAL)


def _parts(root: str, path: str, allow_root: bool) -> tuple[str, ...]:
    parts = relative_parts_or_none(path) if allow_root else relative_parts(path)
    if "\\x" in path:
        parts = _meant(root, parts)
    if _is_hidden(parts):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return parts


def _meant(root: str, labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return names for what lists show: `bad\\xff` may be spelled so, or stand for other bytes.

    A file that is spelled so goes first. A label of more than 255 bytes is refused before this.
    """
    parts: tuple[str, ...] = ()
    for label in labels:
        name = unshown(label)
        if name is None or _is_there(root, (*parts, label)):
            name = label
        parts = (*parts, name)
    return parts


def _is_there(root: str, parts: tuple[str, ...]) -> bool:
    try:
        fd = open_beneath(root, parts[:-1])
    except OSError:
        return False
    try:
        os.stat(parts[-1], dir_fd=fd, follow_symlinks=False)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _is_hidden(parts: Sequence[str]) -> bool:
    """Whether a path is the agent's own, or certificates: workitems/job/job-1/task/certs."""
    at = {"startup": 1, "workitems": 4}.get(parts[0]) if parts else None
    is_certificates = at is not None and tuple(parts[at : at + 1]) == _CERTIFICATES
    return is_certificates or tuple(parts[:2]) == _TRASH


def _open(root: str, parts: tuple[str, ...], flags: int = os.O_PATH) -> int:
    """Open what is shown; links may lead to what is not, so every place on the way is judged."""
    return open_beneath(root, parts, flags, _is_hidden)


def _stat(root: str, request: FileRequest) -> FileReply:
    parts = _parts(root, request.path, True)
    fd = _open(root, parts)
    try:
        return FileReply(
            request.request_id, entries=(_entry(shown(parts[-1]) if parts else "", os.fstat(fd)),)
        )
    finally:
        os.close(fd)


def _read(root: str, request: FileRequest) -> FileReply:
    fd = _open(root, _parts(root, request.path, False), os.O_RDONLY)
    try:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            raise _Refused("is_directory", "it is a directory")
        if not stat.S_ISREG(status.st_mode):
            raise _Refused("refused", "it is not a regular file")
        length = max(0, min(request.length, READ_BYTES_MAX))
        return FileReply(request.request_id, data=os.pread(fd, length, max(0, request.offset)))
    finally:
        os.close(fd)


def _list(root: str, request: FileRequest) -> FileReply:
    parts = _parts(root, request.path, True)
    limit = max(1, min(request.entries_max, ENTRIES_MAX))
    entries: list[FileEntry] = []
    left_bytes = LIST_BYTES_MAX
    for entry in _entries(root, parts, request, limit + 1):
        left_bytes -= len(entry.name.encode())
        if len(entries) == limit or (entries and left_bytes < 0):
            return FileReply(request.request_id, entries=tuple(entries), more=True)
        entries.append(entry)
    return FileReply(request.request_id, entries=tuple(entries))


def _entries(
    root: str, parts: tuple[str, ...], request: FileRequest, names_max: int
) -> Iterator[FileEntry]:
    """Yield entries behind `request.after`, each directory before what it holds, by name.

    Components compare one by one, so that going on after "a/z" passes over "a" but not "a.b".
    """

    def enter(_: bool, below: Sequence[str]) -> bool | None:
        return True if request.recursive and _may_show(root, (*parts, *below)) else None

    found = walk(
        lambda below: _open(root, (*parts, *below), os.O_RDONLY | os.O_DIRECTORY),
        enter,
        True,
        # What is shown can be asked for: no request takes a longer path.
        path_bytes_max=PATH_BYTES_MAX - len("/".join(map(shown, parts)).encode()),
        names_max=names_max,
        after=tuple(request.after.split("/")) if request.after else (),
    )
    for below, own_status, _ in found:
        path = (*parts, *below)
        status = own_status
        if not _may_show(root, path):
            continue
        if stat.S_ISLNK(status.st_mode):
            try:
                status = _behind_link(root, path)
            except OSError:
                continue  # it leads nowhere we show
        yield _entry("/".join(map(shown, below)), status)


def _may_show(root: str, path: tuple[str, ...]) -> bool:
    """Whether what lies in a directory that is shown is not hidden itself."""
    if path[-1] not in _HIDDEN_NAMES:
        return True
    try:
        os.close(_open(root, path))
    except OSError:
        return False
    return True


def _behind_link(root: str, path: tuple[str, ...]) -> os.stat_result:
    fd = _open(root, path)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def _delete(root: str, request: FileRequest) -> FileReply:
    parts = _parts(root, request.path, False)
    if len(parts) == 1:
        raise _Refused("refused", "the node's own directories stay")
    folder_fd = _open_folder(root, parts[:-1])
    try:
        status = os.stat(parts[-1], dir_fd=folder_fd, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(parts[-1], dir_fd=folder_fd)
        elif request.recursive:
            _remove_tree(root, folder_fd, parts[-1])
        else:
            try:
                os.rmdir(parts[-1], dir_fd=folder_fd)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    raise _Refused("not_empty", "the directory is not empty") from error
                raise
        return FileReply(request.request_id)
    finally:
        os.close(folder_fd)


def _remove_tree(root: str, folder_fd: int, name: str) -> None:
    """Put a tree aside, which takes it out of sight at once, and remove it from there."""
    aside = tempfile.mkdtemp(dir=Path(root, *_TRASH))
    aside_fd = os.open(aside, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.rename(name, "tree", src_dir_fd=folder_fd, dst_dir_fd=aside_fd)
    finally:
        os.close(aside_fd)
        remove(Path(aside))


def _open_folder(root: str, parts: tuple[str, ...]) -> int:
    """Open a directory without following any link: what is deleted is where the path says."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(root, flags & ~os.O_NOFOLLOW)  # the root is ours, whatever it is
    for name in parts:
        try:
            child_fd = os.open(name, flags, dir_fd=fd)
        except NotADirectoryError:
            if stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                raise _Refused("refused", "nothing is deleted through a link") from None
            raise
        finally:
            os.close(fd)
        fd = child_fd
    return fd


def _entry(name: str, status: os.stat_result) -> FileEntry:
    is_directory = stat.S_ISDIR(status.st_mode)
    return FileEntry(
        name=name,
        is_directory=is_directory,
        bytes=0 if is_directory else status.st_size,
        modified_at=_time(status.st_mtime_ns),
        mode=status.st_mode,
    )


def _time(ns: int) -> datetime:
    """Return a file's time, or the nearest that there is a date for: a task may set any."""
    try:
        return _EPOCH + timedelta(microseconds=ns // 1000)
    except OverflowError:
        return _EARLIEST if ns < 0 else _LATEST
