"""The node's directories as they are on the disk: made at start, and looked through."""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shoal_agent.core.paths import NodePaths, PathRefused

_MODES: Final = (
    ("root", 0o755),
    ("applications", 0o755),
    ("mounts", 0o755),
    ("startup", 0o755),
    ("workitems", 0o755),
    ("volatile", 0o711),
    ("removed", 0o700),
)
SHARED_MODE: Final = 0o770
SHARED_MODE_FOR_USERS: Final = 0o777  # all tasks of the node, whoever they run as


def make_tree(paths: NodePaths, is_for_users: bool) -> None:
    """Make what is missing of the tree. Blocks; raises OSError."""
    for name, mode in _MODES:
        _make(Path(getattr(paths, name)), mode)
    _make(Path(paths.shared), SHARED_MODE_FOR_USERS if is_for_users else SHARED_MODE)


def wipe_tree(paths: NodePaths) -> None:
    """Put aside all that is in the tree, for the trash to be emptied. Blocks; raises OSError.

    What is in the trash already stays there.
    """
    removed = Path(paths.removed)
    removed.mkdir(parents=True, exist_ok=True)
    for folder, kept in ((Path(paths.root), Path(paths.volatile)), (Path(paths.volatile), removed)):
        aside = Path(tempfile.mkdtemp(dir=removed))
        for path in list(folder.iterdir()):
            if path != kept:
                _put_aside(path, aside / path.name)


def _put_aside(path: Path, target: Path) -> None:
    try:
        path.rename(target)
    except PermissionError:
        if path.is_symlink() or not path.is_dir():
            raise
        path.chmod(0o700)  # a directory that its task closed even to itself
        path.rename(target)


def task_directories(paths: NodePaths) -> Iterator[tuple[str, str]]:
    """Return (job id, task id) of every task directory there is. Blocks."""
    for job in _folders(paths.workitems):
        for run in _folders(job.path):
            for task in _folders(run.path):
                for job_id in (job.name, f"{job.name}:{run.name}"):
                    try:
                        directory = paths.task_directory(job_id, task.name)
                    except PathRefused:
                        continue
                    if directory == task.path:
                        yield job_id, task.name
                        break


def _make(path: Path, mode: int) -> None:
    path.mkdir(parents=True, exist_ok=True)
    if path.stat().st_mode & 0o7777 != mode:
        path.chmod(mode)


def _folders(path: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        yield from (entry for entry in entries if entry.is_dir(follow_symlinks=False))


def remove(path: Path) -> None:
    """Remove a file or a tree of any depth, without following links. Blocks.

    raises   OSError when something is left. rm and chmod rather than shutil: a task may make trees
    deeper than Python recurses, and paths longer than the system takes.
    """
    command = ["rm", "-rf", "--one-file-system", "--", str(path)]
    done = subprocess.run(command, check=False, capture_output=True)
    if done.returncode:  # directories without permissions, where we are not root
        subprocess.run(["chmod", "-R", "u+rwX", "--", str(path)], check=False, capture_output=True)
        done = subprocess.run(command, check=False, capture_output=True)
    if done.returncode:
        raise OSError(errno.EIO, done.stderr.decode(errors="replace").strip()[:500])
