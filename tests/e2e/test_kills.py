"""Everything is killed, again and again, while tasks run: nothing is lost, nothing runs twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest

from tests.raw_client import Failed, RawClient

T = TypeVar("T")

TASKS = int(os.environ.get("SHOAL_KILL_TASKS", "2000"))
NODES = 4
CONTROLLER_KILLS = 5
AGENT_KILLS = 10
COMMAND = (
    "/bin/sh -c 'sleep 0.05; echo output of $AZ_BATCH_TASK_ID;"
    " echo $AZ_BATCH_TASK_ID >> $AZ_BATCH_NODE_SHARED_DIR/succeeded'"
)


class Service:
    """A `shoal dev` that can be killed and started again on the same ports and data."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._ports = [_free_port(), _free_port()]
        self._process: subprocess.Popen[bytes] | None = None
        self.settings: dict[str, str] = {}

    async def start(self) -> None:
        command = [
            *(sys.executable, "-m", "shoal_controller.dev", "--data", str(self.data)),
            *("--port", str(self._ports[0]), "--storage-port", str(self._ports[1])),
        ]
        with (self.data.parent / "dev.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        connection = self.data / "connection.json"
        async with asyncio.timeout(30):
            while not connection.exists():
                await asyncio.sleep(0.05)
        found = json.loads(connection.read_text())
        self.settings = {
            "AZURE_BATCH_ENDPOINT": found["endpoint"],
            "AZURE_BATCH_ACCOUNT": found["account"],
            "AZURE_BATCH_ACCESS_KEY": found["key"],
        }

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            assert self._process.wait(60) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def agent_pids(data: Path) -> list[int]:
    """The agents of this data folder's nodes: processes of shoal_agent.main that name it."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                command = (entry / "cmdline").read_bytes().split(b"\0")
                if b"shoal_agent.main" in command and any(
                    argument.startswith(bytes(data)) for argument in command
                ):
                    found.append(int(entry.name))
    return found


def processes_of(data: Path) -> list[str]:
    """Whatever still runs and names the data folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                command = (entry / "cmdline").read_bytes()
                if bytes(data) in command:
                    found.append(command.replace(b"\0", b" ").decode())
    return found


async def persist(ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Ask until the service is there to answer; a repeat that is refused as one had arrived."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await ask()
            except (aiohttp.ClientError, ConnectionError):
                await asyncio.sleep(0.05)
            except Failed as error:
                if error.status < 500:
                    raise
                await asyncio.sleep(0.05)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    made = Service(tmp_path / "data")
    await made.start()
    yield made
    made.stop()
    assert processes_of(made.data) == []


async def submit(client: RawClient, job_id: str, count: int) -> None:
    for first in range(0, count, 100):
        tasks = [
            {"id": f"t{number}", "commandLine": COMMAND} for number in range(first, first + 100)
        ]
        body = json.dumps({"value": tasks}).encode()
        path = f"/jobs/{job_id}/addtaskcollection"
        answer = await persist(lambda path=path, body=body: client.call("POST", path, body))
        for item in answer["value"]:
            assert item["status"] == "success" or item["error"]["code"] == "TaskExists"


async def wait_for_all(client: RawClient, job_id: str, count: int) -> None:
    while True:
        answer = await persist(lambda: client.call("GET", f"/jobs/{job_id}/taskcounts"))
        if answer["taskCounts"]["completed"] == count:
            assert answer["taskCounts"]["succeeded"] == count
            return
        await asyncio.sleep(0.2)


async def successes(client: RawClient, pool_id: str) -> Counter[str]:
    """How often each task came to its end, by what the tasks themselves noted."""
    found: Counter[str] = Counter()
    for node in (await client.call("GET", f"/pools/{pool_id}/nodes"))["value"]:
        path = f"/pools/{pool_id}/nodes/{node['id']}/files/shared%2Fsucceeded"
        found.update((await persist(lambda path=path: client.read("GET", path))).decode().split())
    return found


@pytest.mark.parametrize(
    ("controller_kills", "agent_kills"), [(CONTROLLER_KILLS, AGENT_KILLS), (0, AGENT_KILLS)]
)
async def test_tasks_run_to_success_exactly_once_while_everything_is_killed(
    service: Service, controller_kills: int, agent_kills: int
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    async with RawClient(service.settings) as client:
        await client.make_pool("p", NODES)
        await client.make_job("j", "p")
        kills = ["controller"] * controller_kills + ["agent"] * agent_kills
        chance.shuffle(kills)
        adding = asyncio.create_task(submit(client, "j", TASKS))
        for victim in kills:
            await asyncio.sleep(chance.uniform(0.2, 1.2))
            if victim == "controller":
                service.kill()
                await service.start()
                continue
            async with asyncio.timeout(30):
                while not (pids := agent_pids(service.data)):
                    await asyncio.sleep(0.05)
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(pids), signal.SIGKILL)
        await adding
        async with asyncio.timeout(180):
            await wait_for_all(client, "j", TASKS)
        assert await successes(client, "p") == Counter({f"t{n}": 1 for n in range(TASKS)})
        tasks = []
        path = "/jobs/j/tasks"
        answer = await client.call("GET", path)
        tasks += answer["value"]
        for task in chance.sample(tasks, 200):
            path = f"/jobs/j/tasks/{task['id']}/files/stdout.txt"
            output = await persist(lambda path=path: client.read("GET", path))
            assert output.decode() == f"output of {task['id']}\n"
            info = task["executionInfo"]
            assert (info["retryCount"], info["requeueCount"]) == (0, 0)
