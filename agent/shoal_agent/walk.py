"""Going through a tree in the order of its names, whatever a task made of it: any depth, any width,
in bounded memory, few descriptors and without recursion.

A directory is read a piece at a time. What was read of the directories above, and their
descriptors, are given up when it becomes too much, and taken anew in their turn.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from heapq import nsmallest
from typing import Final, Generic, TypeVar

from shoal_agent.core.paths import shown

S = TypeVar("S")

_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EXDEV, errno.ELOOP})
"""Why a directory that was seen is not gone into: removed, replaced by a link, closed to us."""
_SHOWN_MAX: Final = 200
_OPEN_MAX: Final = 8
"""So many of the innermost directories are held open."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class PathTooLong(OSError):
    """A directory lies so deep that what it holds has no path that could be asked for."""

    def __init__(self, place: str) -> None:
        super().__init__(
            errno.ENAMETOOLONG, f"a directory lies too deep, its path is too long: {place}..."
        )


class _Folder(Generic[S]):
    """A directory on the way down.

    fd        -1: not open
    size      bytes of its path as it is shown, below where the walk began
    begin     labels before this one are passed over; "": none are
    taken     label and name of the last entry that was taken from it
    read      label, name and status of what was read and comes next
    is_whole  nothing lies behind what was read
    """

    __slots__ = ("begin", "fd", "is_whole", "read", "size", "state", "taken")

    def __init__(self, state: S, size: int, begin: str) -> None:
        self.fd = -1
        self.state = state
        self.size = size
        self.begin = begin
        self.taken: tuple[str, str] | None = None
        self.read: deque[tuple[str, str, os.stat_result]] = deque()
        self.is_whole = False


def walk(
    open_folder: Callable[[tuple[str, ...]], int],
    enter: Callable[[S, Sequence[str]], S | None],
    state: S,
    *,
    path_bytes_max: int,
    names_max: int,
    after: Sequence[str] = (),
) -> Iterator[tuple[tuple[str, ...], os.stat_result, S]]:
    """Yield what lies below a directory, each directory before what it holds, by name. Blocks.

    open_folder     opens a directory by its names below the first one
    enter           given the state of a directory and the names of a real one in it (never of a
                    link), returns the state of that one, or None: it is not gone into
    path_bytes_max  how long the path of a directory may be, as it is shown
    names_max       so many names of a directory are read at a time; twice as many are held
    after           labels of an entry: what comes behind it in this order is yielded, by components
    yields          names, the status of the entry itself, the state of the directory it is in
    raises          PathTooLong before such a directory; OSError when the first one cannot be read
    Entries that vanish meanwhile, and directories that are closed to us, are passed over.
    """
    names: list[str] = []
    stack = [_Folder(state, 0, after[0] if after else "")]
    try:
        while stack:
            folder = stack[-1]
            while not folder.read and not folder.is_whole:
                _read(stack, open_folder, names, names_max)
                _make_room(stack, 2 * names_max)
            if not folder.read:
                _close(stack.pop())
                if stack:
                    names.pop()
                continue
            label, name, status = folder.read.popleft()
            folder.taken = (label, name)
            names.append(name)
            is_before = label == folder.begin  # `after` itself, or a directory that it lies in
            if not is_before:
                yield tuple(names), status, folder.state
            # Not by way of links, which may lead in circles.
            inner = enter(folder.state, names) if stat.S_ISDIR(status.st_mode) else None
            if inner is None:
                names.pop()
                continue
            size = folder.size + len(label.encode()) + 1
            if size > path_bytes_max:
                raise PathTooLong(shown("/".join(names))[:_SHOWN_MAX])
            depth = len(stack)
            begin = after[depth] if is_before and depth < len(after) else ""
            stack.append(_Folder(inner, size, begin))
            if depth >= _OPEN_MAX:
                _close(stack[depth - _OPEN_MAX])
    finally:
        for folder in stack:
            _close(folder)


def _open(
    stack: list[_Folder[S]], open_folder: Callable[[tuple[str, ...]], int], names: Sequence[str]
) -> int:
    """Return a descriptor of the innermost directory."""
    folder = stack[-1]
    if folder.fd < 0:
        if len(stack) > 1 and stack[-2].fd >= 0:
            folder.fd = os.open(names[-1], _FOLDER, dir_fd=stack[-2].fd)
        else:
            folder.fd = open_folder(tuple(names))
    return folder.fd


def _close(folder: _Folder[S]) -> None:
    if folder.fd >= 0:
        os.close(folder.fd)
        folder.fd = -1


def _read(
    stack: list[_Folder[S]],
    open_folder: Callable[[tuple[str, ...]], int],
    names: Sequence[str],
    names_max: int,
) -> None:
    """Read the next piece of the innermost directory."""
    folder = stack[-1]
    try:
        fd = _open(stack, open_folder, names)
    except OSError as error:
        if not names or error.errno not in _GONE:
            raise
        folder.is_whole = True
        return
    # By labels and not by names: a label is what `after` was made of.
    with os.scandir(fd) as entries:
        pairs = ((shown(entry.name), entry.name) for entry in entries)
        if folder.taken is not None:
            taken = folder.taken
            found = nsmallest(names_max, (pair for pair in pairs if pair > taken))
        else:
            found = nsmallest(names_max, (pair for pair in pairs if pair[0] >= folder.begin))
    folder.is_whole = len(found) < names_max
    for label, name in found:
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except OSError:
            continue
        folder.read.append((label, name, status))
    if found and not folder.read:
        folder.taken = found[-1]


def _make_room(stack: list[_Folder[S]], kept_max: int) -> None:
    """Give up what was read of the outermost directories; it is read again in its turn."""
    kept = sum(len(folder.read) for folder in stack)
    for folder in stack[:-1]:
        if kept <= kept_max:
            return
        if folder.read:
            kept -= len(folder.read)
            folder.read.clear()
            folder.is_whole = False
