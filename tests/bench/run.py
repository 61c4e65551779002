"""Run all benches, or the named ones: `python -m tests.bench.run [NAME ...]`; one line a figure.

A bench is a module beside this one with `run() -> list[Figure]`. Exit code 1 when one fell short.
"""

from __future__ import annotations

import importlib
import sys

from tests.bench.figures import Figure

BENCHES = ("spawn", "end_to_end", "submit", "latency", "lists")


def main() -> int:
    chosen = sys.argv[1:] or BENCHES
    for name in chosen:
        if name not in BENCHES:
            print(f"no bench {name!r}; there are: {', '.join(BENCHES)}", file=sys.stderr)
            return 2
    are_ok = True
    for name in chosen:
        figures: list[Figure] = importlib.import_module(f"tests.bench.{name}").run()
        for figure in figures:
            print(figure, flush=True)
            are_ok &= figure.is_ok
    return 0 if are_ok else 1


if __name__ == "__main__":
    sys.exit(main())
