"""One task at a time on an idle pool: from the first byte of the submit to `completed`."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from time import perf_counter

from tests.raw_client import ADMIN, RawClient


async def main(count: int) -> None:
    async with RawClient() as client:
        await client.make_pool("latency", 1)
        await client.make_job("latency", "latency")
        taken_s = [await _one(client, f"t{number}") for number in range(count)][5:]
    print(json.dumps({"median_ms": statistics.median(taken_s) * 1000}))


async def _one(client: RawClient, task_id: str) -> float:
    task = {"id": task_id, "commandLine": "/bin/true", "userIdentity": ADMIN}
    begun = perf_counter()
    await client.call("POST", "/jobs/latency/tasks", json.dumps(task).encode())
    while True:
        answer = await client.call("GET", f"/jobs/latency/tasks/{task_id}")
        if answer["state"] == "completed":
            return perf_counter() - begun


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
