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
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from shoal_agent.beneath import LeadsOutside, open_beneath
from shoal_agent.core.paths import (
    PathRefused,
    relative_parts,
    relative_parts_or_none,
    shown,
    unshown,
)
from shoal_agent.tree import remove
from shoal_protocol.messages import READ_BYTES_MAX, FileAction, FileEntry, FileReply, FileRequest

logger = logging.getLogger(__name__)

REQUESTS_MAX: Final = 64
ENTRIES_MAX: Final = 5000
DEPTH_MAX: Final = 100
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


def _is_hidden(parts: tuple[str, ...]) -> bool:
    """Whether a path is the agent's own, or certificates: workitems/job/job-1/task/certs."""
    at = {"startup": 1, "workitems": 4}.get(parts[0]) if parts else None
    return parts[:2] == _TRASH or (at is not None and parts[at : at + 1] == _CERTIFICATES)


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
    after = tuple(request.after.split("/")) if request.after else ()
    entries: list[FileEntry] = []
    for entry in _walk(root, parts, (), after, request.recursive):
        if len(entries) == limit:
            return FileReply(request.request_id, entries=tuple(entries), more=True)
        entries.append(entry)
    return FileReply(request.request_id, entries=tuple(entries))


def _walk(
    root: str, parts: tuple[str, ...], below: tuple[str, ...], after: tuple[str, ...], deep: bool
) -> Iterator[FileEntry]:
    """Yield entries behind `after`, each directory before what it holds, by name."""
    try:
        folder_fd = _open(root, (*parts, *below), os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError, PermissionError, LeadsOutside):
        if below:
            return  # gone meanwhile, or closed to us: the rest of the tree is still to be shown
        raise
    try:
        for label, name in sorted((shown(name), name) for name in _names(folder_fd)):
            # Labels and not names: a label is what `after` was made of.
            # Components compare one by one, so that going on after "a/z" skips "a" but not "a.b".
            if after and label < after[0]:
                continue
            rest = after[1:] if after and label == after[0] else ()
            path = (*parts, *below, name)
            try:
                if name in _HIDDEN_NAMES:
                    os.close(_open(root, path))
                status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
                is_real = stat.S_ISDIR(status.st_mode)
                if stat.S_ISLNK(status.st_mode):
                    status = _behind_link(root, path)
            except OSError:
                continue  # gone meanwhile, hidden, or a link that leads nowhere we show
            if not after or label > after[0]:
                yield _entry("/".join((*map(shown, below), label)), status)
            # Not by way of links, which may lead in circles.
            if deep and is_real and len(below) < DEPTH_MAX:
                yield from _walk(root, parts, (*below, name), rest, True)
    finally:
        os.close(folder_fd)


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


def _names(folder_fd: int) -> list[str]:
    with os.scandir(folder_fd) as entries:
        return [entry.name for entry in entries]


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
        modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
        mode=status.st_mode,
    )
