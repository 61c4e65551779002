"""The examples, unmodified clients and all, against one running `shoal dev`.

`make e2e` sets up an environment per generation of the client before it runs this.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from examples.tutorial import texts
from tests.e2e.processes import processes_naming

REPOSITORY = Path(__file__).parents[2]
SDK_15 = REPOSITORY / ".venv-sdk15" / "bin" / "python"
SDK_14 = REPOSITORY / ".venv-sdk14" / "bin" / "python"
SHOAL = Path(sys.executable).with_name("shoal")
SERVICE = ("dev", "--port", "0", "--storage-port", "0", "--ephemeral", "--")
LIMIT_S = 180


@pytest.fixture
def temporary_folder(tmp_path: Path) -> Path:
    """A folder in which the service finds its place, and by which its processes are known."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


def in_service(temporary_folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script inside `shoal dev`, from the root of the repository."""
    return subprocess.run(
        [SHOAL, *SERVICE, "sh", "-ec", script],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(temporary_folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.mark.skipif(
    not (SDK_15.exists() and SDK_14.exists()), reason="make e2e sets up the clients' environments"
)
def test_both_generations_of_the_client_do_the_whole_tutorial_on_one_service(
    temporary_folder: Path,
):
    ended = in_service(
        temporary_folder,
        f"{SDK_15} -m examples.tutorial; echo ======; {SDK_14} -m examples.tutorial.v14; "
        f'test -z "$({SHOAL} job list -o tsv)$({SHOAL} pool list -o tsv)"',
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    file_count = len(list(texts.markdown_files(REPOSITORY)))
    tables = [
        re.findall(r"^(\w+) +(\d+) +(\d+) +█", part, re.M) for part in ended.stdout.split("======")
    ]
    assert tables[0] == tables[1], "the same files have the same words"
    assert len(tables[0]) == 15
    assert ended.stdout.count(f"{file_count} of {file_count} done") == 2
    assert ended.stdout.count("job, pool and containers are deleted") == 2
    assert processes_naming(temporary_folder) == []


def test_a_picture_is_rendered_in_tiles_and_stitched(temporary_folder: Path, tmp_path: Path):
    picture = tmp_path / "small.png"
    ended = in_service(
        temporary_folder,
        f"{sys.executable} -m examples.render --width 160 --nodes 2 --output {picture}",
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in ended.stdout
    assert processes_naming(temporary_folder) == []


def test_the_exit_code_of_the_command_is_the_exit_code_of_the_service(temporary_folder: Path):
    assert in_service(temporary_folder, "exit 7").returncode == 7
    assert processes_naming(temporary_folder) == []
