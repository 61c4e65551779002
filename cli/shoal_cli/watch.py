"""Following a job: a bar that lives at a terminal, lines elsewhere."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from shoal_cli.client import Client, path_of
from shoal_cli.progress import Counts, Progress, line
from shoal_cli.render import Output
from shoal_cli.text import span

POLL_S: Final = 0.5
LINE_S: Final = 5.0
"""Without a terminal a line is written when something changed, at most this often."""
_ENDED: Final = frozenset({"completed", "deleting"})


async def watch_job(client: Client, job_id: str, out: Output, *, plain: bool = False) -> int:
    """Show a job's progress until its tasks are completed or the job has ended.

    returns  0 when all tasks succeeded, 1 when some failed or the job ended before them
    """
    is_live = out.stream.isatty() and not plain and not out.quiet
    display = _Bar(job_id) if is_live else _Lines(out)
    progress = Progress()
    path = path_of("jobs", job_id)
    job = await client.get(path)
    was_done = False
    with display:
        while True:
            counts = Counts.of(await client.get(f"{path}/taskcounts"))
            progress.add(time.monotonic(), counts)
            display.show(progress)
            # Seen done twice: a client that is still adding tasks may be between two requests.
            if job.get("state") in _ENDED or (counts.is_done and was_done):
                break
            was_done = counts.is_done
            await asyncio.sleep(POLL_S)
            job = await client.get(path)
        display.finish(progress)
    return _outcome(job, progress.counts, job_id, out)


def _outcome(job: dict[str, Any], counts: Counts, job_id: str, out: Output) -> int:
    left = counts.active + counts.running
    if left:
        reason = (job.get("executionInfo") or {}).get("terminateReason") or job.get("state")
        out.note(f"the job has ended ({reason}); {left} of {counts.total} tasks did not complete")
    if counts.failed:
        out.note(
            f"{counts.failed} of {counts.completed} tasks failed: shoal task list {job_id} --failed"
        )
    return 1 if left or counts.failed else 0


class _Lines:
    """One line whenever something changed, at most every LINE_S, and one at the end."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._last: tuple[float, Counts] | None = None

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        return

    def show(self, progress: Progress) -> None:
        now_s = time.monotonic()
        if self._last is not None:
            last_s, counts = self._last
            if counts == progress.counts or now_s - last_s < LINE_S:
                return
        self._write(progress, now_s)

    def finish(self, progress: Progress) -> None:
        if self._last is None or self._last[1] != progress.counts:
            self._write(progress, time.monotonic())

    def _write(self, progress: Progress, now_s: float) -> None:
        self._last = (now_s, progress.counts)
        if not self._out.quiet:
            print(line(progress, span), file=self._out.stream, flush=True)


class _Bar:
    """A bar with counts, rate and remaining time, redrawn in place."""

    def __init__(self, job_id: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None, complete_style="green", finished_style="green"),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[states]}"),
            TextColumn("{task.fields[pace]}", style="dim"),
            console=Console(highlight=False),
            expand=True,
            refresh_per_second=4,
        )
        self._task = self._bar.add_task(job_id, total=1, states="", pace="")

    def __enter__(self) -> None:
        self._bar.start()

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, progress: Progress) -> None:
        counts = progress.counts
        # Numbers keep their places, so that the bar does not jump.
        width = len(str(counts.total))
        states = [
            f"[cyan]{counts.active:>{width}} active[/]",
            f"[blue]{counts.running:>{width}} running[/]",
        ]
        if counts.failed:
            states.append(f"[red]{counts.failed} failed[/]")
        pace = "" if progress.rate is None else f"{progress.rate:.1f}/s"
        if progress.eta_s:
            pace += f"  ETA {span(progress.eta_s)}"
        self._bar.update(
            self._task,
            total=max(counts.total, 1),
            completed=counts.completed,
            states="  ".join(states),
            pace=pace,
        )

    def finish(self, progress: Progress) -> None:
        self.show(progress)
        self._bar.refresh()
