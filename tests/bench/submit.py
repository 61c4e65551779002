"""Durable tasks per second over HTTP, against SQLite alone inserting such rows, as durably."""

from __future__ import annotations

import os
import sqlite3
from importlib.resources import files
from pathlib import Path
from time import perf_counter

from tests.bench.figures import Figure, alternate, workplace
from tests.bench.service import measure

COUNT = int(os.environ.get("BENCH_SUBMIT_COUNT", "40000"))
ROUNDS = int(os.environ.get("BENCH_SUBMIT_ROUNDS", "3"))
TARGET = 20_000 / 120_000
"""20,000 tasks/s where SQLite alone inserted 120,000 rows/s in the same groups."""


def run() -> list[Figure]:
    """Return tasks per second."""
    with workplace(is_durable=True) as folder:

        def ours(number: int) -> float:
            return measure("submit_client", folder / f"ours-{number}", str(COUNT))["rate"]

        def theirs(number: int) -> float:
            return _sqlite_rate(folder / f"sqlite-{number}.db")

        mine, _, ratio = alternate(ours, theirs, ROUNDS)
    return [Figure("submit", mine, "tasks/s", ratio, "sqlite", TARGET)]


def _sqlite_rate(path: Path) -> float:
    """Return rows per second into a plain table with the same columns, 100 a transaction."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    schema = files("shoal_controller.store").joinpath("schema.sql").read_text()
    table = schema[schema.index("CREATE TABLE tasks") :]
    connection.execute(table[: table.index(";")])
    insert = (
        "INSERT INTO tasks (job_serial, id, definition, slots, created_at, modified_at, state,"
        " state_at) VALUES (1, ?, ?, 1, 0, 0, 'active', 0)"
    )
    definition = b"{" + b" " * 500 + b"}"
    begun = perf_counter()
    for first in range(0, COUNT, 100):
        connection.execute("BEGIN")
        rows = [(f"t{number}", definition) for number in range(first, first + 100)]
        connection.executemany(insert, rows)
        connection.execute("COMMIT")
    rate = COUNT / (perf_counter() - begun)
    connection.close()
    return rate
