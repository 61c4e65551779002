"""Many seeds over all cores; the first failures are shown in full."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

from tests.simulation.world import Failure, Outcome, run_seed

SHOWN_MAX: Final = 3


def try_seed(seed: int) -> Outcome | str:
    """Return what became of a seed, or the text of its failure."""
    try:
        return run_seed(seed)
    except Failure as failure:
        return str(failure)


def run_many(first: int, count: int) -> int:
    """Run seeds `first` to `first + count - 1`; return the exit code."""
    began_s = time.monotonic()
    failures: list[str] = []
    steps = tasks = 0
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for outcome in pool.map(try_seed, range(first, first + count)):
            if isinstance(outcome, str):
                failures.append(outcome)
                print(outcome if len(failures) <= SHOWN_MAX else outcome.splitlines()[0])
            else:
                steps += outcome.steps
                tasks += outcome.task_count
    took_s = time.monotonic() - began_s
    print(
        f"seeds {first} to {first + count - 1}: {len(failures)} failed;"
        f" {steps} steps, {tasks} tasks run, {took_s:.0f} s"
    )
    return 1 if failures else 0
