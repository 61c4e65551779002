"""Accounts by command, as an administrator types them, against a service that runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.test_dev import first_line, folder, start

__all__ = ["folder"]  # the fixture
WAIT_S_MAX = 60


def shoal(folder: Path, *words: str) -> tuple[int, str]:
    """Run the command line beside the data of a service; return its code and output."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("AZURE_")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", "from shoal_cli.main import main; main()", *words],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def service(folder: Path):
    (folder / ".shoal").symlink_to(folder / "data")
    with start(folder) as process:
        first_line(process)
        yield folder


def test_an_account_lives_by_command(service: Path):
    assert shoal(service, "account", "create", "lab", "--pools", "0")[0] == 0
    code, told = shoal(service, "account", "list", "-o", "json")
    assert [(a["name"], a["poolQuota"]) for a in json.loads(told)] == [
        ("devaccount", 100),
        ("lab", 0),
    ]
    key = service / "lab.key"
    key.write_text(shoal(service, "account", "keys", "lab", "-q")[1])
    as_lab = ("--account", "lab", "--key-file", str(key))
    code, told = shoal(service, "pool", "create", "p", *as_lab)
    assert code == 1
    assert "PoolQuotaReached" in told
    assert shoal(service, "account", "rotate", "primary", "lab", "-y")[0] == 0
    code, told = shoal(service, "pool", "list", *as_lab)
    assert code == 1
    assert "AuthenticationFailed" in told
    assert shoal(service, "account", "delete", "lab", "-y")[0] == 0
    assert shoal(service, "account", "list", "-q")[1] == "devaccount\n"


def test_the_command_line_goes_on_when_its_own_key_is_made_anew(service: Path):
    assert shoal(service, "account", "rotate", "primary", "-y")[0] == 0
    assert shoal(service, "pool", "list", "-q") == (0, "")
