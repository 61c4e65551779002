"""How far a job is: counts over time to rate, remaining time and an outcome. Pure.

Times are monotonic seconds, given by the caller.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

WINDOW_S: Final = 30.0
"""The rate is that of the last half minute: long enough to be calm, short enough to be true."""


@dataclass(frozen=True, slots=True)
class Counts:
    """A job's tasks by state, as taskcounts gives them."""

    active: int = 0
    running: int = 0
    completed: int = 0
    succeeded: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """All tasks of the job."""
        return self.active + self.running + self.completed

    @property
    def is_done(self) -> bool:
        """Whether there are tasks, and none of them has anything left to do."""
        return self.completed > 0 and self.active == 0 and self.running == 0

    @classmethod
    def of(cls, answer: dict[str, Any]) -> Counts:
        """Return the counts of a taskcounts answer."""
        found = answer.get("taskCounts") or {}
        names = ("active", "running", "completed", "succeeded", "failed")
        return cls(**{name: int(found.get(name, 0)) for name in names})


@dataclass(slots=True)
class Progress:
    """The history of one job's counts, as far back as the rate needs it."""

    _seen: deque[tuple[float, int]] = field(default_factory=deque)
    counts: Counts = field(default_factory=Counts)

    def add(self, now_s: float, counts: Counts) -> None:
        """Take note of the counts at a time."""
        self.counts = counts
        if self._seen and counts.completed < self._seen[-1][1]:
            self._seen.clear()  # tasks were deleted or reactivated: earlier counts say nothing
        self._seen.append((now_s, counts.completed))
        while len(self._seen) > 2 and self._seen[1][0] <= now_s - WINDOW_S:
            self._seen.popleft()

    @property
    def rate(self) -> float | None:
        """Tasks completed a second lately; None before two counts a moment apart."""
        if len(self._seen) < 2:
            return None
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else None

    @property
    def eta_s(self) -> float | None:
        """Seconds until all tasks are completed at this rate; None while nobody can say."""
        left = self.counts.active + self.counts.running
        if left == 0:
            return 0.0
        return left / self.rate if self.rate else None


def line(progress: Progress, format_span: Any) -> str:
    """Return one plain line: for logs, where a bar cannot be drawn."""
    counts = progress.counts
    percent = 100 * counts.completed // counts.total if counts.total else 0
    parts = [
        f"{counts.completed}/{counts.total} ({percent}%)",
        f"active {counts.active}",
        f"running {counts.running}",
        f"succeeded {counts.succeeded}",
        f"failed {counts.failed}",
    ]
    if progress.rate is not None:
        parts.append(f"{progress.rate:.1f}/s")
    if progress.eta_s:
        parts.append(f"ETA {format_span(progress.eta_s)}")
    return "  ".join(parts)
