"""A node of a real service is emptied, stopped and started again, and its log is fetched."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

from azure.storage.blob import BlobServiceClient

from examples.storage import download_all, make_container, writable_url
from tests.e2e.processes import processes_naming
from tests.e2e.test_dev import end, first_line, settings, start
from tests.raw_client import RawClient

TASK = {"userIdentity": {"autoUser": {"elevationLevel": "admin", "scope": "pool"}}}
EVER = "2020-01-01T00:00:00Z"


class Node:
    """The only node of pool `p`."""

    def __init__(self, client: RawClient, path: str) -> None:
        self._client = client
        self._path = path
        self._task_count = 0

    async def act(self, action: str, **body: str) -> Any:
        data = json.dumps(body).encode()
        return await self._client.call("POST", f"{self._path}/{action}", data)

    async def until(self, state: str) -> None:
        async with asyncio.timeout(60):
            while (await self._client.call("GET", self._path))["state"] != state:
                await asyncio.sleep(0.1)

    async def run(self, command: str) -> str:
        """Run a command as a task and return what it printed."""
        self._task_count += 1
        path = f"/jobs/j/tasks/t{self._task_count}"
        task = {"id": path.rpartition("/")[2], "commandLine": f"/bin/sh -c '{command}'", **TASK}
        await self._client.call("POST", "/jobs/j/tasks", json.dumps(task).encode())
        async with asyncio.timeout(60):
            while (await self._client.call("GET", path))["state"] != "completed":
                await asyncio.sleep(0.05)
        return (await self._client.read("GET", f"{path}/files/stdout.txt")).decode().strip()


def test_a_node_is_emptied_stopped_and_started_and_its_log_is_fetched(tmp_path: Path) -> None:
    with start(tmp_path) as process:
        first_line(process)
        connection = json.loads((tmp_path / "data" / "connection.json").read_text())
        storage = BlobServiceClient.from_connection_string(connection["storage"])
        container = make_container(storage, "logs")
        asyncio.run(_story(settings(tmp_path), writable_url(container)))
        blobs = download_all(container)
        code, _ = end(process, signal.SIGTERM)
    assert code == 0
    assert processes_naming(tmp_path) == []
    (name,) = blobs
    assert name.startswith(f"{connection['account']}/p/tvmps_")
    assert name.endswith("/agent.log")
    assert b"linked to" in blobs[name]


async def _story(service: dict[str, str], container_url: str) -> None:
    shared = "$AZ_BATCH_NODE_SHARED_DIR/kept"
    async with RawClient(service) as client:
        await client.make_pool("p", 1)
        await client.make_job("j", "p")
        (found,) = (await client.call("GET", "/pools/p/nodes"))["value"]
        node = Node(client, f"/pools/p/nodes/{found['id']}")
        assert await node.run(f"echo here > {shared}; cat {shared}") == "here"
        await node.act("deallocate", nodeDeallocateOption="requeue")
        await node.until("deallocated")
        await node.act("start")
        await node.until("idle")
        assert await node.run(f"cat {shared}") == "here"  # its files stayed
        await node.act("reimage", nodeReimageOption="terminate")
        await node.until("idle")
        assert await node.run(f"cat {shared} || echo gone") == "gone"
        uploaded = await node.act(
            "uploadbatchservicelogs", containerUrl=container_url, startTime=EVER
        )
        assert uploaded["numberOfFilesUploaded"] == 1
