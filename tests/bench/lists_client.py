"""Asks for pages of a job's tasks, filter by filter; `lists.py` says what the tasks are like."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections.abc import Mapping
from time import perf_counter
from typing import Any
from urllib.parse import quote

from tests.bench.service import service_rss_mb
from tests.raw_client import RawClient

PAGES = 25


async def main(count: int) -> None:
    async with RawClient() as client:
        first = await _times(client, "t0")
        middle = await _times(client, f"t{count // 2}")
        last = await _times(client, f"t{count - 1}")
        kinds = {
            name: await _measure(client, where)
            for name, where in _filters(count, first, middle, last).items()
        }
    print(json.dumps({"rss_mb": service_rss_mb(), "kinds": kinds}))


def _filters(
    count: int, first: Mapping[str, Any], middle: Mapping[str, Any], last: Mapping[str, Any]
) -> dict[str, str]:
    created, ended = middle["creationTime"], middle["executionInfo"]["endTime"]
    return {
        "all": "",
        "active": "state eq 'active'",
        "running": "state eq 'running'",
        "completed": "state eq 'completed'",
        "failed": "executionInfo/result eq 'failure'",
        "exit_code": "executionInfo/exitCode ne 0",
        "prefix": f"startswith(id,'t{count // 200}')",
        "created_after": f"creationTime gt DateTime'{created}'",
        "created_between": f"creationTime ge DateTime'{first['creationTime']}'"
        f" and creationTime lt DateTime'{created}'",
        "changed_after": f"stateTransitionTime gt DateTime'{ended}'",
        "modified_after": f"lastModified ge DateTime'{last['creationTime']}'",
        "started_after": f"executionInfo/startTime gt DateTime'{created}'",
        "ended_after": f"executionInfo/endTime gt DateTime'{ended}'",
        "running_or_failed": "state eq 'running' or executionInfo/exitCode ne 0",
        "no_index": f"state eq 'active' and creationTime lt DateTime'{created}'",
    }


async def _times(client: RawClient, task_id: str) -> dict[str, Any]:
    return await client.call("GET", f"/jobs/many/tasks/{task_id}")


async def _measure(client: RawClient, where: str) -> dict[str, float]:
    """Return how long the pages of a filtered list take, one after another; anew if it ends."""
    path, query = "/jobs/many/tasks", f"$filter={quote(where)}" if where else ""
    taken_ms: list[float] = []
    items = 0
    link: str | None = None
    for _ in range(PAGES):
        begun = perf_counter()
        text = await (
            client.read("GET", path, query=query) if link is None else client.follow(link)
        )
        taken_ms.append((perf_counter() - begun) * 1000)
        page = json.loads(text)
        items = max(items, len(page["value"]))
        link = page.get("odata.nextLink")
    return {"median_ms": statistics.median(taken_ms), "items": items, "max_ms": max(taken_ms)}


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
