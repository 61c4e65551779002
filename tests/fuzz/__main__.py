"""python -m tests.fuzz --seconds 600: other requests each time, and what came of them."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Final

from tests.fuzz.play import Tally
from tests.fuzz.requests import ALL
from tests.fuzz.session import playing

EXAMPLES: Final = 200
"""Of one seed."""
FAILURES_MAX: Final = 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, help="play this one alone")
    options = parser.parse_args()
    tally, failures = Tally(), 0
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, playing(Path(folder), tally) as play:
        while failures < FAILURES_MAX and time.monotonic() - began_s < options.seconds:
            seed = secrets.randbits(32) if options.seed is None else options.seed
            try:
                play(seed, EXAMPLES)
            except Exception:
                failures += 1
                print(
                    f"── seed {seed} failed:", traceback.format_exc(limit=-1), sep="\n", flush=True
                )
            if options.seed is not None:
                break
    _show(tally, time.monotonic() - began_s)
    sys.exit(f"fuzz: {failures} seeds failed" if failures else None)


def _show(tally: Tally, seconds: float) -> None:
    print(
        f"fuzz: {tally.requests} requests in {tally.examples} examples, {tally.reads} readings, "
        f"in {seconds:.0f} s"
    )
    _table("status", tally.statuses)
    _table("code", tally.codes)
    _table("accepted", tally.accepted)
    never = sorted({route.name for route in ALL} - tally.routes.keys())
    if never:
        print(f"never asked: {', '.join(never)}")


def _table(title: str, counts: Counter[str] | Counter[int]) -> None:
    print(f"{title}:", ", ".join(f"{key} {count}" for key, count in counts.most_common()))


if __name__ == "__main__":
    main()
