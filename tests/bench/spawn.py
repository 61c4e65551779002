"""No-op tasks, two at a time, through one spawner alone, against a C program that does the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from shoal_agent import spawner
from tests.bench.figures import HERE, Figure, alternate, compile_c, workplace

COUNT = int(os.environ.get("BENCH_SPAWN_COUNT", "3000"))
ROUNDS = int(os.environ.get("BENCH_SPAWN_ROUNDS", "9"))
WIDTH = 2
PROGRAM = "/bin/true"
TARGET = 0.90


def run() -> list[Figure]:
    """Return tasks per second; both sides get the same environment and folders of one depth."""
    with workplace() as folder:
        baseline = compile_c("spawn_baseline.c", folder)
        socket = folder / "spawner.sock"
        command = [sys.executable, "-I", "-S", spawner.__file__, str(socket), str(folder)]
        process = subprocess.Popen(command)
        try:

            def ours(number: int) -> float:
                client = [sys.executable, "-I", "-S", str(HERE / "spawn_client.py"), str(socket)]
                return _rate(client, folder / f"ours-{number}")

            def theirs(number: int) -> float:
                return _rate([str(baseline)], folder / f"c---{number}")

            while not socket.exists():
                if process.poll() is not None:
                    raise RuntimeError(f"the spawner ended with {process.returncode}")
            mine, _, ratio = alternate(ours, theirs, ROUNDS)
        finally:
            process.terminate()
            process.wait()
    return [Figure("spawn", mine, "tasks/s", ratio, "c", TARGET)]


def _rate(command: list[str], root: Path) -> float:
    root.mkdir()
    arguments = [str(root), str(COUNT), str(WIDTH), PROGRAM]
    done = subprocess.run(command + arguments, check=True, stdout=subprocess.PIPE)
    return COUNT / float(done.stdout)
