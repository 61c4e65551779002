"""Prints the tally of a replay, and what differs without a reason: `python -m tests.replay`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter

from tests.recordings import PLACE
from tests.replay.recorded import load
from tests.replay.run import replay, tally


def main() -> int:
    """Replay all interactions, or those of one operation; return 1 where one is unexplained."""
    parser = argparse.ArgumentParser(prog="python -m tests.replay", description=__doc__)
    parser.add_argument("--only", default="", help="an operation, such as get_pool")
    only = parser.parse_args().only
    if not PLACE.exists():
        print(f"there are no recordings at {PLACE}; SHOAL_RECORDINGS names another place")
        return 0
    outcomes = asyncio.run(replay([one for one in load() if only in ("", one.name)]))
    print(tally(outcomes))
    unexplained = Counter(
        f"{outcome.recorded.name} {outcome.recorded.version} {difference}"
        for outcome in outcomes
        for difference in outcome.unexplained
    )
    for text, count in unexplained.most_common():
        print(f"{count:5} {text}")
    return 1 if any(not outcome.is_explained for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
