"""Dispatch latency of one task on an idle pool, submit to `completed` in the API."""

from __future__ import annotations

import os

from tests.bench.figures import Figure, workplace
from tests.bench.service import measure

COUNT = int(os.environ.get("BENCH_LATENCY_COUNT", "100"))
LIMIT_MS = 20.0


def run() -> list[Figure]:
    """Return the median in milliseconds; the ratio says how often it fits into the limit."""
    with workplace(is_durable=True) as folder:
        median_ms = measure("latency_client", folder / "data", str(COUNT))["median_ms"]
    return [Figure("latency", median_ms, "ms", LIMIT_MS / median_ms, f"{LIMIT_MS:g}ms", 1.0)]
