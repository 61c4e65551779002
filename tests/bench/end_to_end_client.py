"""No-op tasks on two nodes of one slot: from the first request to the last task completed."""

from __future__ import annotations

import asyncio
import json
import sys
from time import perf_counter

from tests.raw_client import RawClient


async def main(count: int) -> None:
    async with RawClient() as client:
        await client.make_pool("bench", 2)
        await client.make_job("warm-up", "bench")
        await client.add_no_ops("warm-up", 200)
        await _wait(client, "warm-up", 200)
        await client.make_job("bench", "bench")
        begun = perf_counter()
        await client.add_no_ops("bench", count)
        await _wait(client, "bench", count)
        taken_s = perf_counter() - begun
    print(json.dumps({"rate": count / taken_s}))


async def _wait(client: RawClient, job_id: str, count: int) -> None:
    while True:
        counts = (await client.call("GET", f"/jobs/{job_id}/taskcounts"))["taskCounts"]
        if counts["failed"]:
            raise RuntimeError(f"tasks failed: {counts}")
        if counts["succeeded"] == count:
            return
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
