"""Adds tasks to a job whose pool does not exist, so that they wait; tells the memory it took."""

from __future__ import annotations

import asyncio
import json
import sys

from tests.bench.service import service_rss_mb
from tests.raw_client import RawClient


async def main(count: int) -> None:
    async with RawClient() as client:
        await client.make_job("many", "none")
        await client.add_no_ops("many", count, connections=4)
    print(json.dumps({"rss_mb": service_rss_mb()}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
