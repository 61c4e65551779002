"""python -m tests.e2e.livesuite RELEASE... [-- PYTEST OPTIONS...]: what `make live-suite` runs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.e2e.livesuite.running import command, is_set_up, variables


def main() -> int:
    """Run the tests of each release; return 1 when any of them did not do as the table says."""
    given = sys.argv[1:]
    cut = given.index("--") if "--" in given else len(given)
    failed: list[str] = []
    for release in given[:cut]:
        if not is_set_up(release):
            sys.exit(f"the tests of azure-batch {release} are not set up: make live-suite does it")
        print(f"── azure-batch {release}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            env = variables(release, Path(folder) / "log")
            if subprocess.run(command(release, given[cut + 1 :]), env=env, check=False).returncode:
                failed.append(release)
    if failed:
        print(f"live suite: not as expected: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
