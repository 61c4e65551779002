"""A whole Shoal for the benches: `shoal dev` on a RAM disk, and a raw client inside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bench.figures import HERE


def measure(client: str, folder: Path, *arguments: str) -> dict[str, Any]:
    """Run `tests/bench/CLIENT.py` in a fresh `shoal dev`, and return the JSON it prints last.

    folder   where the service keeps its data: a new one for each call
    """
    command = [
        *(sys.executable, "-m", "shoal_controller.dev"),
        *("--data", str(folder), "--port", "0", "--storage-port", "0"),
        *("--", sys.executable, "-m", f"tests.bench.{client}", *arguments),
    ]
    done = subprocess.run(command, check=False, capture_output=True, cwd=HERE.parent.parent)
    if done.returncode:
        raise RuntimeError(f"{client} failed: {done.stdout[-2000:]!r} {done.stderr[-2000:]!r}")
    return json.loads(done.stdout.splitlines()[-1])


def service_rss_mb() -> float:
    """Return the memory of the service whose command this process is."""
    status = Path(f"/proc/{os.getppid()}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024
