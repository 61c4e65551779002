"""Directory layout, and paths that others give."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_agent.core.paths import NodePaths, PathRefused, relative_parts

PATHS = NodePaths("/mnt/batch/tasks")


def test_tasks_lie_below_their_job_or_schedule() -> None:
    assert PATHS.task_directory("j", "t") == "/mnt/batch/tasks/workitems/j/job-1/t"
    assert PATHS.task_directory("s:job-12", "t") == "/mnt/batch/tasks/workitems/s/job-12/t"


@pytest.mark.parametrize(
    ("job_id", "task_id"),
    [
        ("..", "t"),
        ("j", ".."),
        ("j", ""),
        ("a/b", "t"),
        ("j", "a\n"),
        ("s:x", "t"),
        ("j" * 65, "t"),
    ],
)
def test_other_ids_become_no_path(job_id: str, task_id: str) -> None:
    with pytest.raises(PathRefused):
        PATHS.task_directory(job_id, task_id)


@pytest.mark.parametrize("path", ["", ".", "/", "/a", "..", "a/../..", "a\0", "\ud800", "a" * 256])
def test_paths_that_lead_out_are_refused(path: str) -> None:
    with pytest.raises(PathRefused):
        relative_parts(path)


@given(st.text("ab./\0é", max_size=20))
def test_what_is_taken_stays_below(path: str) -> None:
    try:
        parts = relative_parts(path)
    except PathRefused:
        return
    assert posixpath.normpath("/root/" + "/".join(parts)).startswith("/root/")
