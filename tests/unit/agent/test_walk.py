"""Walking a tree: everything, in order, from anywhere, however little is read at a time."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from shoal_agent.beneath import LeadsOutside, open_beneath
from shoal_agent.core.patterns import parse
from shoal_agent.steps.outputs import find
from shoal_agent.walk import PathTooLong, walk

NAMES = ("a", "a.b", "a-", "b", "z", "é", "\\xff", "\udcff", ".d")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "tree"
    made.mkdir()
    yield made
    # What a failed test leaves may be deeper than pytest itself could remove.
    subprocess.run(["rm", "-rf", "--", str(made)], check=True)


def plant(folder: Path, random: Random, depth: int) -> None:
    for name in random.sample(NAMES, random.randint(0, 5)):
        if depth and random.random() < 0.6:
            (folder / name).mkdir()
            plant(folder / name, random, depth - 1)
        else:
            (folder / name).touch()


def dig(folder: Path, depth: int, name: str = "d") -> None:
    down = f"os.mkdir({name!r}); os.chdir({name!r})"
    code = f"import os\nfor _ in range({depth}): {down}\nopen('f', 'w')"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)


def walked(
    folder: Path, names_max: int, after: str = "", path_bytes_max: int = 4096
) -> Iterator[str]:
    found = walk(
        lambda below: open_beneath(str(folder), below, os.O_RDONLY | os.O_DIRECTORY),
        lambda state, _: state,
        True,
        path_bytes_max=path_bytes_max,
        names_max=names_max,
        after=after.split("/") if after else (),
    )
    return ("/".join(below) for below, _, _ in found)


def expected(folder: Path) -> list[str]:
    found = [
        os.path.relpath(os.path.join(at, name), folder)  # noqa: PTH118
        for at, folders, files in os.walk(folder)
        for name in (*folders, *files)
    ]
    return sorted(found, key=lambda path: [(shown(name), name) for name in path.split("/")])


def shown(name: str) -> str:
    return os.fsencode(name).decode(errors="backslashreplace")


@pytest.mark.parametrize("names_max", [1, 2, 3, 1000])
@pytest.mark.parametrize("seed", range(8))
def test_a_walk_yields_everything_in_order_and_goes_on_behind_any_entry(
    folder: Path, seed: int, names_max: int
) -> None:
    plant(folder, Random(seed), 4)
    everything = expected(folder)
    labels = [shown(path) for path in everything]
    assert list(walked(folder, names_max)) == everything
    if len(set(labels)) == len(labels):  # two names may be shown alike
        for at, label in enumerate(labels):
            assert list(walked(folder, names_max, label)) == everything[at + 1 :]


def test_a_walk_goes_on_behind_what_was_removed_meanwhile(folder: Path) -> None:
    for name in ("a/1", "b/1", "b/2", "c"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    found = walked(folder, 1)
    assert list(islice(found, 4)) == ["a", "a/1", "b", "b/1"]
    subprocess.run(["rm", "-r", str(folder / "b")], check=True)
    assert list(found) == ["c"]
    assert list(walked(folder, 2, "b/1")) == ["c"]
    assert list(walked(folder, 2, "b")) == ["c"]


def test_a_deep_tree_takes_few_descriptors_and_no_recursion(folder: Path) -> None:
    dig(folder, 1900)
    few = len(os.listdir("/proc/self/fd")) + 30  # noqa: PTH208
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    try:
        found = list(walked(folder, 100))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(found) == 1901
    assert found[-1] == "d/" * 1900 + "f"


def test_where_paths_become_too_long_the_walk_says_so(folder: Path) -> None:
    dig(folder, 10)
    (folder / "a").touch()
    found = walked(folder, 100, path_bytes_max=9)
    assert list(islice(found, 6)) == ["a", "d", "d/d", "d/d/d", "d/d/d/d", "d/d/d/d/d"]
    with pytest.raises(PathTooLong, match="d/d/d/d/d"):
        list(found)


def test_output_files_are_found_at_any_depth(folder: Path) -> None:
    dig(folder, 1500)
    pattern = parse("**/f", (), str(folder))
    assert [match.blob for match in find(pattern, str(folder), None)] == ["d/" * 1500 + "f"]
    assert list(find(parse("x/**", (), str(folder)), str(folder), None)) == []


def test_output_files_that_lie_too_deep_are_no_silence(folder: Path) -> None:
    dig(folder, 30, "long" * 50)
    with pytest.raises(PathTooLong):
        list(find(parse("**/f", (), str(folder)), str(folder), None))
    assert list(find(parse("*", (), str(folder)), str(folder), None)) == []


def test_a_link_leads_up_and_down_but_not_out_and_not_for_ever(folder: Path) -> None:
    dig(folder, 5)
    (folder / "f").touch()
    (folder / "d" / "up").symlink_to("d/.././../f")
    os.close(open_beneath(str(folder), ("d", "up")))
    (folder / "d" / "out").symlink_to("d/../../../tree/f")
    with pytest.raises(LeadsOutside):
        open_beneath(str(folder), ("d", "out"))
    for number in range(39):
        (folder / f"l{number}").symlink_to(f"{'d/../' * 600}l{number + 1}")
    (folder / "l39").symlink_to("f")
    with pytest.raises(OSError, match="symbolic links"):
        open_beneath(str(folder), ("l0",))
    os.close(open_beneath(str(folder), ("l35",)))
