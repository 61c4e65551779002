"""azure-batch's own live tests, unmodified, against `shoal dev`: each passes or is in the table.

`make e2e` sets their environments up before it runs this; `make live-suite` runs them by hand.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.livesuite.adapter.shoal_live.expected import SUITES
from tests.e2e.livesuite.running import REPOSITORY, command, is_set_up, variables
from tests.e2e.processes import processes_naming

LIMIT_S = 800
DOCUMENTATION = REPOSITORY / "docs" / "compatibility.md"
Ended = subprocess.CompletedProcess[str]


def _run(release: str, folder: Path) -> Ended:
    """Run the tests of a release; what they leave is in `folder`."""
    return subprocess.run(
        command(release),
        env=variables(release, folder / "log") | {"TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def ended(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], tuple[Ended, Path]]]:
    """Return how the run of a release ended, and its folder; all run at once: most is waiting."""
    folders = {name: tmp_path_factory.mktemp(name) for name in SUITES if is_set_up(name)}
    with ThreadPoolExecutor() as pool:
        runs: dict[str, Future[Ended]] = {
            name: pool.submit(_run, name, folder) for name, folder in folders.items()
        }
        yield lambda name: (runs[name].result(), folders[name])


@pytest.mark.parametrize("release", SUITES)
def test_the_tests_that_a_release_ships_pass_or_fail_as_the_table_says(
    release: str, request: pytest.FixtureRequest
) -> None:
    if not is_set_up(release):
        pytest.skip("make e2e sets up the suites' environments")
    done, folder = request.getfixturevalue("ended")(release)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    judged = [row["judged"] for row in rows]
    suite = SUITES[release]
    assert suite.expected.keys() <= {row["test"].partition("[")[0] for row in rows}
    assert len(judged) == suite.tests
    assert judged.count("skipped") == suite.failing
    assert judged.count("passed") == suite.tests - suite.failing
    assert processes_naming(folder) == []


@pytest.mark.parametrize("release", SUITES)
def test_the_documentation_has_the_table(release: str) -> None:
    text = DOCUMENTATION.read_text()
    suite = SUITES[release]
    assert f"| {release} | {suite.tests} | {suite.tests - suite.failing} |" in text
    rows = [line for line in text.splitlines() if line.startswith("| `test_batch_")]
    for name in suite.expected:
        assert any(f"`{name}`" in row and release in row for row in rows), name
