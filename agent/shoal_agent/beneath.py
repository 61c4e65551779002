"""Opening what lies below a directory, whatever its users do to it meanwhile.

Names inside a node's root are chosen by tasks, which may also replace a directory by a symbolic
link at any moment. So a path is walked component by component from an open directory, never
following a link in the kernel: a link is read and walked here, and refused when it leads out.
All functions block; call them in threads.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

LINKS_MAX: Final = 40
OPENS_MAX: Final = 20_000
"""Components opened for one path. The longest path takes 2,048; links can ask for more."""
_WALK: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class LeadsOutside(OSError):
    """A symbolic link on the way points out of the directory."""

    def __init__(self) -> None:
        super().__init__(errno.EXDEV, "the path leads outside")


def open_beneath(
    root: str,
    parts: Sequence[str],
    flags: int = os.O_PATH,
    is_hidden: Callable[[Sequence[str]], bool] | None = None,
) -> int:
    """Open what `parts` name below `root` and return its descriptor; two are open at a time.

    root        absolute; followed as it stands
    flags       O_PATH for looking at it only; O_RDONLY reads (never blocks on a FIFO)
    is_hidden   asked of every place on the way, with links resolved; what is hidden is not there
    raises      LeadsOutside, OSError
    """
    fd = _open_root(root)
    todo = deque(parts)
    place: list[str] = []  # what fd is called below root, links resolved
    links_count = opens_count = 0
    try:
        while todo:
            if todo[0] in ("", "."):
                todo.popleft()
                continue
            if todo[0] == "..":  # only ever from a link
                _go_up(todo, place)
                os.close(fd)
                fd = _open_root(root)
                continue
            opens_count += 1
            if opens_count > OPENS_MAX:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            name = todo.popleft()
            child_fd = os.open(name, _WALK, dir_fd=fd)
            kind = stat.S_IFMT(os.fstat(child_fd).st_mode)
            if kind != stat.S_IFLNK:
                os.close(fd)
                fd = child_fd
                place.append(name)
                if is_hidden is not None and is_hidden(place):
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
                if todo and kind != stat.S_IFDIR:
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
                continue
            try:
                target = os.readlink("", dir_fd=child_fd)
            finally:
                os.close(child_fd)
            links_count += 1
            if links_count > LINKS_MAX:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if target.startswith("/"):
                if target != root and not target.startswith(f"{root}/"):
                    raise LeadsOutside
                target = target[len(root) :]
                place.clear()
                os.close(fd)
                fd = _open_root(root)
            todo.extendleft(reversed(target.split("/")))
        if flags & os.O_PATH:
            found, fd = fd, -1
            return found
        # The descriptor names the very thing that was looked at.
        return os.open(f"/proc/self/fd/{fd}", flags | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        if fd >= 0:
            os.close(fd)


def _open_root(root: str) -> int:
    return os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _go_up(todo: deque[str], place: list[str]) -> None:
    """Take the `..` at the beginning of `todo` from `place`, which is to be walked anew.

    Not by way of the directory's own `..`: that leads out of the root once somebody has moved it.
    """
    while todo and todo[0] in ("", ".", ".."):
        if todo.popleft() == "..":
            if not place:
                raise LeadsOutside
            place.pop()
    todo.extendleft(reversed(place))
    place.clear()


def make_directories(
    root: str, parts: Sequence[str], mode: int, owner: tuple[int, int] | None
) -> int:
    """Make what is missing of a row of directories below `root`; return the last, open.

    owner    (uid, gid) of those that are made; None leaves them ours
    raises   OSError; NotADirectoryError where a link or anything else is in the way
    """
    fd = os.open(root, _FOLDER)
    try:
        for name in parts:
            try:
                os.mkdir(name, mode, dir_fd=fd)
                is_new = True
            except FileExistsError:
                is_new = False
            child_fd = os.open(name, _FOLDER, dir_fd=fd)
            os.close(fd)
            fd = child_fd
            if is_new:
                os.fchmod(fd, mode)
                if owner is not None:
                    os.fchown(fd, *owner)
    except BaseException:
        os.close(fd)
        raise
    return fd


def create_file(folder_fd: int, name: str, mode: int) -> int:
    """Make an empty file anew in an open directory and return it open for writing.

    What was there under that name is unlinked, not written to.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags, mode, dir_fd=folder_fd)
    except FileExistsError:
        os.unlink(name, dir_fd=folder_fd)
        return os.open(name, flags, mode, dir_fd=folder_fd)
