"""Adds tasks to a job whose pool does not exist, so that adding is all that happens."""

from __future__ import annotations

import asyncio
import json
import sys
from time import perf_counter

from tests.raw_client import RawClient


async def main(count: int) -> None:
    async with RawClient() as client:
        await client.make_job("warm-up", "none")
        await client.add_no_ops("warm-up", 1000)
        await client.make_job("submit", "none")
        begun = perf_counter()
        await client.add_no_ops("submit", count, connections=8)
        taken_s = perf_counter() - begun
        counts = await client.call("GET", "/jobs/submit/taskcounts")
        if counts["taskCounts"]["active"] != count:
            raise RuntimeError(f"added {count}, found {counts}")
    print(json.dumps({"rate": count / taken_s}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
