"""One node as a real agent process with a real spawner, in front of a scripted controller."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from shoal_protocol.messages import RunTask
from shoal_protocol.specs import NodeConfig, RunId, TaskSpec
from tests.contracts.scripted_controller import TOKEN, ScriptedController


class AgentNode:
    """A node in a folder; its agent may be killed and started again."""

    def __init__(self, folder: Path, config: NodeConfig, **settings: str | int) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.controller = ScriptedController(config)
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None
        self._serial = 0

    async def begin(self, token: str = TOKEN) -> None:
        """Start controller and agent."""
        await self.controller.start()
        (self.folder / "token").write_text(token)
        values = {
            "node_id": "tvmps_1_d",
            "controller_url": self.controller.url,
            "root": str(self.root),
            "private_dir": str(self.folder / "private"),
            "join_token_file": str(self.folder / "token"),
            "users": "none",
            **self.settings,
        }
        text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
        (self.folder / "agent.toml").write_text(text)
        self.start()

    def start(self) -> None:
        """Start the agent."""
        with (self.folder / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(self._command(), stdout=log, stderr=log)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End the agent alone, and wait for that."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(20)

    async def end(self) -> None:
        """End the whole node, and the controller."""
        self.stop()
        await self.controller.stop()
        assert self.marked_pids() == []

    def stop(self) -> None:
        """End the whole node."""
        stop = subprocess.run([*self._command(), "--stop"], timeout=30, check=False)
        if self.process is not None:
            self.process.wait(20)
        assert stop.returncode == 0

    def run(self, command: str, *, attempt: int = 1, serial: int = 0, **fields: Any) -> RunId:
        """Have a task run, and return the run's name; the task is called t<serial>."""
        if not serial:
            self._serial += 1
            serial = self._serial
        name = RunId(serial, attempt)
        self.controller.tell(RunTask(name, TaskSpec("job", f"t{serial}", command, **fields)))
        return name

    def task(self, name: RunId) -> Path:
        """Return a run's task directory."""
        return self.root / "workitems" / "job" / "job-1" / f"t{name.serial}"

    def spawner_pid(self) -> int:
        """Return the process id of the node's spawner."""
        wanted = os.fsencode(self.folder / "private" / "spawner.sock")
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if wanted in path.read_bytes().split(b"\0"):
                    return int(path.parent.name)
            except OSError:
                continue
        raise AssertionError("no spawner")

    def marked_pids(self) -> list[int]:
        """Return every living process that a task of this node started."""
        pids: list[int] = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                text = b"\0" + path.read_bytes()
            except OSError:
                continue
            if b"\0SHOAL_NODE=" + os.fsencode(self.root) in text:
                pids.append(int(path.parent.name))
        return pids

    async def file(self, path: Path) -> str:
        """Wait until a task has written a whole line into a file, and return the line."""
        async with asyncio.timeout(20):
            while not (path.exists() and path.read_text().endswith("\n")):
                await asyncio.sleep(0.01)
        return path.read_text().rstrip("\n")

    def _command(self) -> list[str]:
        config = str(self.folder / "agent.toml")
        return [sys.executable, "-m", "shoal_agent.main", "--config", config]
