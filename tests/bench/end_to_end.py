"""No-op tasks through the whole service, against the C program and against HyperQueue."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from tests.bench.figures import HERE, Figure, compile_c, workplace
from tests.bench.service import measure

COUNT = int(os.environ.get("BENCH_TASK_COUNT", "10000"))
ROUNDS = int(os.environ.get("BENCH_TASK_ROUNDS", "3"))
AGAINST_C = 0.40
AGAINST_HYPERQUEUE = 1.5


def run() -> list[Figure]:
    """Return tasks per second, twice: as a ratio to either side, round by round."""
    mine: list[float] = []
    to_c: list[float] = []
    to_hyperqueue: list[float] = []
    with workplace(is_durable=True) as folder:
        baseline = compile_c("spawn_baseline.c", folder)
        for number in range(ROUNDS):
            in_c = _c_rate(baseline, folder / f"c-{number}")
            rate = measure("end_to_end_client", folder / f"ours-{number}", str(COUNT))["rate"]
            peer = _hyperqueue_rate(folder)
            mine.append(rate)
            to_c.append(rate / in_c)
            to_hyperqueue.append(rate / peer)
    rate = statistics.median(mine)
    return [
        Figure("end_to_end", rate, "tasks/s", statistics.median(to_c), "c", AGAINST_C),
        Figure(
            "end_to_end",
            rate,
            "tasks/s",
            statistics.median(to_hyperqueue),
            "hyperqueue",
            AGAINST_HYPERQUEUE,
        ),
    ]


def _c_rate(program: Path, root: Path) -> float:
    root.mkdir()
    command = [str(program), str(root), str(COUNT), "2", "/bin/true"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return COUNT / float(done.stdout)


def _hyperqueue_rate(folder: Path) -> float:
    command = [sys.executable, "-m", "tests.bench.hyperqueue_client", str(COUNT), str(folder)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, cwd=HERE.parent.parent, timeout=300
    )
    return json.loads(done.stdout.splitlines()[-1])["rate"]
