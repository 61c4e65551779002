"""Draw docs/states.md from the tables of moves that the code obeys; `--check` only compares.

A diagram that is drawn from the table cannot tell another story than the code. GitHub and most
editors show Mermaid as a picture.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from shoal_controller.core import certificate, job, jobschedule, task

DRAWING = Path(__file__).with_name("states.md")

HEAD = """\
# States and moves

Drawn by `make docs` from the `MOVES` tables in `controller/shoal_controller/core/`; `make check`
fails when this page is older than they are. A pair of state and event without an arrow cannot
happen: it is refused, or it is a bug.
"""


def diagram(first: StrEnum, moves: Mapping[tuple[Any, type], Any]) -> Iterator[str]:
    """Yield the lines of one Mermaid diagram, events between the same two states on one arrow.

    first  the state in which the noun is created
    """
    events: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (state, event), target in moves.items():
        events[state.value, target.value].append(event.__name__)
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {first.value}"
    for (state, target), names in events.items():
        yield f"    {state} --> {target}: {', '.join(names)}"
    yield "```"


def page() -> str:
    """Return the whole page."""
    parts = [
        HEAD,
        "## A job",
        *diagram(job.JobState.ACTIVE, job.MOVES),
        "",
        "A job in `deleting` vanishes when none of its tasks runs any more.",
        "",
        "## A task",
        *diagram(task.TaskState.ACTIVE, task.MOVES),
        "",
        "`Ended` leads from `running` back to `active` when the exit code was not zero and retries",
        "are left; `Lost` leads to `completed` when the service lost a task too often.",
        "",
        "## A job schedule",
        *diagram(jobschedule.JobScheduleState.ACTIVE, jobschedule.MOVES),
        "",
        "A schedule in `deleting` vanishes with the last of its jobs.",
        "",
        "## A certificate",
        *diagram(certificate.CertificateState.ACTIVE, certificate.MOVES),
        "",
        "One in `deleting` that no pool refers to vanishes at once.",
    ]
    return "\n".join(parts) + "\n"


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` return 1 when it is not current."""
    if "--check" not in arguments:
        DRAWING.write_text(page(), encoding="utf-8")
        return 0
    if DRAWING.exists() and DRAWING.read_text(encoding="utf-8") == page():
        return 0
    print("docs/states.md is older than the tables it is drawn from: run `make docs`")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
