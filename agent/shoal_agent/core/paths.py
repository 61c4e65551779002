"""Where everything of a node lies, and which paths that others give are taken (pure).

Ids become directory names only through `NodePaths`, and a path that a user, the controller or a
container's list of blobs gives becomes components only through `relative_parts`.
"""

from __future__ import annotations

import re
from typing import Final

PATH_BYTES_MAX: Final = 4096
COMPONENT_BYTES_MAX: Final = 255
STDOUT_NAME: Final = "stdout.txt"
STDERR_NAME: Final = "stderr.txt"

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_SCHEDULED_JOB: Final = re.compile(r"([A-Za-z0-9_-]{1,64}):(job-[1-9][0-9]{0,9})\Z")

_SHOWN_BYTE: Final = re.compile(r"\\x([89a-f][0-9a-f])")


class PathRefused(ValueError):
    """A path or id that is not taken; the message says why, without the path."""


class NodePaths:
    """The tree below AZ_BATCH_NODE_ROOT_DIR. All paths are absolute texts.

    source  reference, semantics 8.1
    """

    def __init__(self, root: str) -> None:
        """root   absolute, without a slash at its end"""
        if not root.startswith("/") or root.endswith("/"):
            raise PathRefused("a node's root is absolute and ends without a slash")
        self.root = root
        self.applications = f"{root}/applications"
        self.mounts = f"{root}/fsmounts"
        self.shared = f"{root}/shared"
        self.startup = f"{root}/startup"
        self.startup_wd = f"{root}/startup/wd"
        self.volatile = f"{root}/volatile"
        self.removed = f"{root}/volatile/removed"
        self.workitems = f"{root}/workitems"

    def job_directories(self, job_id: str) -> tuple[str, str]:
        """Return the two directories above a job's tasks, outermost first."""
        if _ID.match(job_id):
            outer, inner = job_id, "job-1"
        elif match := _SCHEDULED_JOB.match(job_id):
            outer, inner = match.groups()
        else:
            raise PathRefused("not a job id")
        return f"{self.workitems}/{outer}", f"{self.workitems}/{outer}/{inner}"

    def task_directory(self, job_id: str, task_id: str) -> str:
        """Return AZ_BATCH_TASK_DIR, or raise PathRefused."""
        if not _ID.match(task_id):
            raise PathRefused("not a task id")
        return f"{self.job_directories(job_id)[1]}/{task_id}"


def job_key(job_id: str) -> str:
    """Return the name under which a job's directory is known.

    A user's job, and the first job of a schedule of that name, lie in one directory.
    """
    return job_id.removesuffix(":job-1")


def relative_parts(path: str) -> tuple[str, ...]:
    """Split a path that somebody gave into components that stay below where it starts.

    raises  PathRefused for an absolute path, `..`, NUL, undecodable text, nothing at all, and
            lengths that no file system takes
    `.` and empty components are passed over.
    """
    parts = _parts(path)
    if not parts:
        raise PathRefused("the path is empty")
    return parts


def relative_parts_or_none(path: str) -> tuple[str, ...]:
    """Like `relative_parts`, but nothing at all (the directory itself) is allowed."""
    return _parts(path)


def _parts(path: str) -> tuple[str, ...]:
    try:
        encoded = path.encode()
    except UnicodeEncodeError as error:
        raise PathRefused("the path is not valid text") from error
    if b"\0" in encoded:
        raise PathRefused("the path contains NUL")
    if encoded.startswith(b"/"):
        raise PathRefused("the path is absolute")
    if len(encoded) > PATH_BYTES_MAX:
        raise PathRefused("the path is too long")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts:
        raise PathRefused("the path leads outside")
    if any(len(part.encode()) > COMPONENT_BYTES_MAX for part in parts):
        raise PathRefused("a name in the path is too long")
    return parts


def shown(name: str) -> str:
    """Return a file's name as text that can be sent: bytes that are no UTF-8 as `\\xff`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def unshown(label: str) -> str | None:
    """Return the name that is shown as `label` and is no text itself; None when there is none."""
    name = _SHOWN_BYTE.sub(lambda found: chr(0xDC00 + int(found[1], 16)), label)
    return name if name != label and shown(name) == label else None
