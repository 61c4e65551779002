"""shoal-controller with a file of its own: nodes go on without it, and it takes them up again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal_controller.providers import local
from tests.e2e.processes import processes_naming
from tests.e2e.test_dev import free_ports
from tests.raw_client import RawClient

WAIT_S_MAX = 60
CONTROLLER = (sys.executable, "-X", "dev", "-m", "shoal_controller.main")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    subprocess.run([*CONTROLLER, "init", str(tmp_path)], check=True, stdout=subprocess.DEVNULL)
    path = tmp_path / "controller.toml"
    _, port, _, storage_port = free_ports()
    text = path.read_text().replace("port = 10443", f"port = {port}")
    path.write_text(text.replace("port = 10000", f"port = {storage_port}"))
    yield tmp_path
    local.end_all(tmp_path)


@contextlib.contextmanager
def start(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a controller and wait until it listens."""
    with subprocess.Popen(
        [*CONTROLLER, "--config", str(folder / "controller.toml")],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            while "the Batch API is at" not in (line := process.stderr.readline()):
                assert line, "it ended"
            yield process
        finally:
            process.kill()  # does nothing where the test went well


def end(process: subprocess.Popen[str]) -> str:
    """Tell a controller to end; return what it said since it listened."""
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=WAIT_S_MAX)
    assert process.returncode == 0
    return told


def settings(folder: Path) -> dict[str, str]:
    keys = json.loads((folder / "data" / "accounts" / "myaccount" / "keys.json").read_text())
    port = re.findall(r"^port = (\d+)", (folder / "controller.toml").read_text(), re.M)[0]
    return {
        "AZURE_BATCH_ENDPOINT": f"http://127.0.0.1:{port}",
        "AZURE_BATCH_ACCOUNT": "myaccount",
        "AZURE_BATCH_ACCESS_KEY": keys["batch"][0],
    }


def agent_pids(folder: Path) -> set[int]:
    return {json.loads(note.read_text())["pid"] for note in folder.glob("data/nodes/*/*/agent.pid")}


async def test_nodes_go_on_without_their_controller_which_takes_them_up_again(folder: Path):
    with start(folder) as process:
        async with RawClient(settings(folder)) as client, asyncio.timeout(WAIT_S_MAX):
            await client.make_pool("p", 2)
        agents = agent_pids(folder)
        told = end(process)
        assert "WARNING" not in told
        assert "ERROR" not in told
    assert len(agents) == 2
    for pid in agents:
        os.kill(pid, 0)
    with start(folder) as process:
        async with RawClient(settings(folder)) as client, asyncio.timeout(WAIT_S_MAX):
            await client.make_job("j", "p")
            await client.add_no_ops("j", 10)
            while True:
                counts = await client.call("GET", "/jobs/j/taskcounts")
                if counts["taskCounts"]["succeeded"] == 10:
                    break
                await asyncio.sleep(0.05)
            assert agent_pids(folder) == agents
            await client.call("DELETE", "/pools/p")
            while any((folder / "data" / "nodes" / "myaccount").iterdir()):
                await asyncio.sleep(0.05)
        end(process)
    assert processes_naming(folder) == []


def test_mistakes_end_it_with_one_line(folder: Path):
    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [*CONTROLLER, *arguments], capture_output=True, text=True, timeout=WAIT_S_MAX
        )
        return done.returncode, done.stderr

    path = folder / "controller.toml"
    code, told = run("init", str(folder))
    assert (code, told) == (1, f"shoal-controller: {path} is there already\n")
    path.write_text(path.read_text() + "\n[nonsense]\n")
    code, told = run("--config", str(path))
    assert code == 1
    assert "nonsense" in told
    assert len(told.splitlines()) == 1
    assert run()[0] == 2
