"""What a user watches: nodes coming to life, and a progress bar for the tasks of a job.

The bar moves in a terminal where Rich is installed; elsewhere plain lines are printed.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

PERIOD_S = 0.25
"""How often the service is asked."""
PLAIN_PERIOD_S = 2.0
"""At most how often a plain line is printed."""


NODE_STATES_READY = ("idle", "running")
NODE_STATES_BROKEN = ("starttaskfailed", "unusable")


class Tally(NamedTuple):
    """How many tasks of a job are in which state."""

    waiting: int
    running: int
    succeeded: int
    failed: int

    @property
    def done(self) -> int:
        """Return how many will change no more."""
        return self.succeeded + self.failed

    def __str__(self) -> str:
        text = f"{self.waiting} waiting, {self.running} running, {self.succeeded} succeeded"
        return f"{text}, {self.failed} failed" if self.failed else text


def wait_for_nodes(node_count: int, read: Callable[[], Sequence[str]]) -> None:
    """Return once `node_count` nodes take tasks, telling meanwhile how they come to life.

    read  returns the states of all nodes, as the service writes them
    Tasks may be added earlier and wait by themselves; this shows why they wait, and ends the
    program when a node is broken instead of waiting for ever.
    """
    shown = None
    while True:
        states = Counter(read())
        text = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        if text != shown:
            print(f"nodes: {text or 'none yet'}", flush=True)
            shown = text
        if broken := [state for state in NODE_STATES_BROKEN if states[state]]:
            raise SystemExit(f"a node is {broken[0]}: `shoal node list` shows which, and why")
        if sum(states[state] for state in NODE_STATES_READY) >= node_count:
            return
        time.sleep(PERIOD_S)


def watch(title: str, total: int, read: Callable[[], Tally]) -> Tally:
    """Show how `total` tasks get done, asking `read` until they all are; return the last tally."""
    with _display(title, total) as show:
        while True:
            tally = read()
            show(tally)
            if tally.done >= total:
                return tally
            time.sleep(PERIOD_S)


@contextmanager
def _display(title: str, total: int) -> Iterator[Callable[[Tally], None]]:
    if sys.stdout.isatty():
        try:
            import rich.progress  # noqa: F401 - only asked whether it is there
        except ImportError:
            pass
        else:
            with _bar(title, total) as show:
                yield show
            return
    yield _plain_lines(title, total)


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[Tally], None]]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[tally]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        bar = progress.add_task(title, total=total, tally="")

        def show(tally: Tally) -> None:
            failed = f", {tally.failed} failed" if tally.failed else ""
            text = f"{tally.running} running{failed}"
            progress.update(bar, completed=tally.done, tally=text)

        yield show


def _plain_lines(title: str, total: int) -> Callable[[Tally], None]:
    last_tally: Tally | None = None
    last_at_s = float("-inf")

    def show(tally: Tally) -> None:
        nonlocal last_tally, last_at_s
        now_s = time.monotonic()
        is_due = tally.done >= total or now_s - last_at_s >= PLAIN_PERIOD_S
        if tally != last_tally and is_due:
            print(f"{title}: {tally.done} of {total} done ({tally})", flush=True)
            last_tally, last_at_s = tally, now_s

    return show
