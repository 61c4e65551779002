"""The unmodified azure-mgmt-batch, in an environment of its own, against `shoal dev`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PYTHON = REPOSITORY / ".venv-management" / "bin" / "python"
SHOAL = Path(sys.executable).with_name("shoal")
SERVICE = ("dev", "--port", "0", "--storage-port", "0", "--ephemeral", "--")


@pytest.mark.skipif(not PYTHON.exists(), reason="make e2e sets up the client's environment")
def test_accounts_and_applications_are_managed_with_the_official_client(tmp_path: Path) -> None:
    done = subprocess.run(
        [SHOAL, *SERVICE, PYTHON, "-W", "error", Path(__file__).with_name("management_client.py")],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "all of it\n"
