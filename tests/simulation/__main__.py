"""python -m tests.simulation --seed N [--verbose] [--steps N] | --seeds N [--from K] | --mutants"""

from __future__ import annotations

import argparse
import sys

from tests.simulation.many import run_many
from tests.simulation.world import Failure, run_seed


def main() -> int:
    """Return the exit code: 0 when everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="one world")
    what.add_argument("--seeds", type=int, help="so many worlds, over all cores")
    what.add_argument("--mutants", action="store_true", help="plant bugs; each must be caught")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of --seeds")
    parser.add_argument("--verbose", action="store_true", help="print every event")
    parser.add_argument("--steps", type=int, help="stop after so many steps")
    options = parser.parse_args()
    if options.mutants:
        from tests.simulation.mutants import run_mutants

        return run_mutants()
    if options.seeds is not None:
        return run_many(options.first, options.seeds)
    try:
        print(run_seed(options.seed, verbose=options.verbose, steps_max=options.steps))
    except Failure as failure:
        print(failure)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
