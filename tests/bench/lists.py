"""Pages of filtered lists of a job of 1,000,000 tasks, and the memory of the controller with it.

Most of the tasks are over, some of them failed, a few run, the rest wait. Each kind of filter is
asked for its pages over HTTP, one after another as a client follows them, beside SQLite alone,
which reads as many rows as they are stored.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
from pathlib import Path
from time import perf_counter

from tests.bench.figures import Figure, workplace
from tests.bench.service import measure

COUNT = int(os.environ.get("BENCH_LISTS_COUNT", "1000000"))
PAGE_MS_MAX = 50.0
MEMORY_MB_MAX = 300.0
_MICROSECONDS = 1_000_000


def run() -> list[Figure]:
    """Return the median milliseconds of a page by kind of filter, and megabytes."""
    with workplace(is_durable=True) as folder:
        data = folder / "data"
        filled = measure("lists_fill_client", data, str(COUNT))
        (state,) = data.rglob("state.sqlite")
        _spread(state)
        sqlite_ms = _sqlite_ms(state)
        pages = measure("lists_client", data, str(COUNT))
    figures = [
        Figure("memory filled", filled["rss_mb"], "MB", target=MEMORY_MB_MAX, at_most=True),
        Figure("memory restarted", pages["rss_mb"], "MB", target=MEMORY_MB_MAX, at_most=True),
    ]
    for name, page in pages["kinds"].items():
        rows_ms = sqlite_ms[1000] if page["items"] > 500 else sqlite_ms[100]
        figures.append(
            Figure(
                f"lists {name}", page["median_ms"], "ms", page["median_ms"] / rows_ms, "sqlite",
                PAGE_MS_MAX, at_most=True,
            )
        )  # fmt: skip
    return figures


def _spread(path: Path) -> None:
    """Let six tenths be over, one in 5,000 of them with a failure, and 100 run."""
    connection = sqlite3.connect(path)
    over = COUNT * 6 // 10
    run_us = 60 * _MICROSECONDS
    connection.execute(
        "UPDATE tasks SET state = 'completed', previous_state = 'running', attempt = 1,"
        " previous_state_at = created_at, started_at = created_at, ended_at = created_at + ?1,"
        " state_at = created_at + ?1, node_id = 'tvmps_' || (serial % 50), pool_id = 'none',"
        " exit_code = iif(serial % 5000, 0, serial % 7 + 1),"
        " result = iif(serial % 5000, 'success', 'failure')"
        " WHERE serial <= (SELECT min(serial) FROM tasks) + ?2",
        (run_us, over),
    )
    connection.execute(
        "UPDATE tasks SET state = 'running', is_placed = 1, attempt = 1, started_at = created_at,"
        " state_at = created_at + 1, node_id = 'tvmps_' || (serial % 50), pool_id = 'none'"
        " WHERE serial IN"
        " (SELECT serial FROM tasks WHERE state = 'active' ORDER BY serial LIMIT 100)"
    )
    connection.commit()
    connection.close()


def _sqlite_ms(path: Path) -> dict[int, float]:
    """Return the median milliseconds in which SQLite alone reads so many rows."""
    connection = sqlite3.connect(path)
    medians: dict[int, float] = {}
    for count in (100, 1000):
        taken: list[float] = []
        for number in range(30):
            begun = perf_counter()
            connection.execute(
                "SELECT * FROM tasks WHERE serial > ? ORDER BY serial LIMIT ?",
                (number * COUNT // 40, count),
            ).fetchall()
            taken.append((perf_counter() - begun) * 1000)
        medians[count] = statistics.median(taken)
    connection.close()
    return medians
