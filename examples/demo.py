"""`make demo`: both examples, one after the other, on a Shoal that lives as long as they do.

`shoal dev` starts the whole service on free ports in a folder of its own, runs this program with
the endpoints and keys in its environment, and stops everything when it ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

EXAMPLES = ("examples.tutorial", "examples.render")
INSIDE = "inside"
SERVICE = ("dev", "--port", "0", "--storage-port", "0", "--ephemeral", "--")


def main() -> int:
    """Start the service around this program, or inside it run the examples.

    The argument tells which, and not the environment: who has the public service's keys there
    does not expect a demonstration to use them.
    """
    if sys.argv[1:] == [INSIDE]:
        return run_examples()
    shoal = Path(sys.executable).with_name("shoal")
    program = (sys.executable, "-m", "examples.demo", INSIDE)
    return os.execv(shoal, (str(shoal), *SERVICE, *program))


def run_examples() -> int:
    """Run each example until one fails; return its exit code, or 0."""
    started_s = time.monotonic()
    for example in EXAMPLES:
        print(f"\n── {example} " + "─" * (76 - len(example)), flush=True)
        ended = subprocess.run([sys.executable, "-m", example], check=False)
        if ended.returncode:
            return ended.returncode
    print(f"\nboth done in {time.monotonic() - started_s:.0f} s; the service stops now")
    return 0


if __name__ == "__main__":
    sys.exit(main())
