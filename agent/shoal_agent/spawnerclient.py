"""The agent's end of the spawner: starts it where none lives, sends commands, hands events on.

Commands of one loop tick leave in one write. After every connection, the first and each later one,
the agent gets a `Snapshot` of all the spawner holds, and compares it with its journal: a command
may have been lost with the connection, and every command may be repeated.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from shoal_agent.core.slots import RunState
from shoal_agent.core.spawning import EVENTS, Event, HeldRun, Launch, Snapshot, held_run
from shoal_agent.processtree import NODE_MARK, RUN_MARK

SOCKET_NAME: Final = "spawner.sock"
LINE_COMMANDS_MAX: Final = 20
"""The spawner takes a line at a time between the ends and starts of processes."""
RETRY_S: Final = 0.05
START_S_MAX: Final = 20.0
"""A new spawner may take some seconds to kill what a dead one left."""


class SpawnerUnreachable(Exception):
    """No spawner could be reached or started; the message says why."""


class SpawnerClient(asyncio.Protocol):
    """One agent's way to its spawner, for the agent's whole life.

    on_events    called with what happened, in order, from the event loop
    on_lost      called when a connection broke; call `connect` again
    """

    def __init__(
        self,
        folder: Path,
        node: Path,
        on_events: Callable[[list[Event]], None],
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        """
        folder  private to the node; holds the socket, its lock and spawner.log
        node    the node's folder, whose name marks all of its processes
        """
        self._folder = folder
        self._node = node
        self._on_events = on_events
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._inbox = bytearray()
        self._commands: list[list[Any]] = []
        self._environments: dict[str, dict[str, str]] = {}
        self._pid = 0
        self._held: dict[str, HeldRun] = {}
        self._snapshot: asyncio.Future[Snapshot] | None = None
        self._closed = asyncio.Event()
        self._closed.set()

    @property
    def is_connected(self) -> bool:
        """Whether commands go somewhere now; while not, they are dropped."""
        return self._transport is not None

    async def connect(self, start_s_max: float = START_S_MAX) -> Snapshot:
        """Reach the spawner, starting one when none answers, and return what it holds.

        raises  SpawnerUnreachable
        Registered environments are sent before. Commands given while no connection is open are
        dropped, as they would be by a lost one.
        """
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + start_s_max
        is_started = False
        reason: object = "no time"
        while loop.time() < give_up_s:
            try:
                return await self._try(give_up_s)
            except (OSError, TimeoutError) as error:
                reason = error
            if not is_started or isinstance(reason, ConnectionError):
                is_started = True
                await asyncio.to_thread(self._start)
            await asyncio.sleep(RETRY_S)
        raise SpawnerUnreachable(f"cannot reach a spawner in {self._folder}: {reason}")

    def register_environment(self, name: str, variables: Mapping[str, str]) -> None:
        """Give launches a base to build on; it is registered anew after each connection."""
        self._environments[name] = dict(variables)
        self._send(["env", name, self._environments[name]])

    def set_capacity(self, slots: int) -> None:
        """Say how many slots the node has."""
        self._send(["capacity", slots])

    def enqueue(self, key: str, slots: int, launch: Launch | None = None) -> None:
        """Queue a run: started in its turn, or granted when there is no launch yet."""
        self._send(["enqueue", key, slots, None if launch is None else launch.as_json()])

    def launch(self, key: str, launch: Launch) -> None:
        """Say what a queued or granted run shall start."""
        self._send(["launch", key, launch.as_json()])

    def release(self, key: str) -> None:
        """Give back held slots; a run without a process is dropped."""
        self._send(["release", key])

    def limit(self, key: str, limit_s: float | None) -> None:
        """Change a run's wall clock limit, counted as the launch's; None: no limit."""
        self._send(["limit", key, limit_s])

    def kill(self, key: str) -> None:
        """End a run with all its processes; its terminal event follows."""
        self._send(["kill", key])

    def ack(self, keys: Iterable[str]) -> None:
        """The ends of these runs are durable here; the spawner may forget them."""
        self._send(["ack", list(keys)])

    def close(self) -> None:
        """Leave; spawner and tasks go on."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    async def stop(self) -> None:
        """Make the spawner kill everything and exit; return when it has."""
        self._send(["stop"])
        await self._closed.wait()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._inbox.clear()
        self._commands.clear()
        self._closed.clear()
        self._held = {}
        for name, variables in self._environments.items():
            self._send(["env", name, variables])
        self._send(["list"])

    def data_received(self, data: bytes) -> None:
        self._inbox += data
        if b"\n" not in data:
            return
        *lines, rest = bytes(self._inbox).split(b"\n")
        self._inbox = bytearray(rest)
        events: list[Event] = []
        for line in lines:
            for fields in json.loads(line):
                kind = EVENTS.get(fields[0])
                if kind is not None:
                    events.append(kind(*fields[1:]))
                else:
                    self._take(fields)
        if events:
            self._on_events(events)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._closed.set()
        if self._snapshot is not None and not self._snapshot.done():
            self._snapshot.set_exception(ConnectionResetError("the spawner closed the connection"))
        else:
            self._on_lost()

    # --- inside ---

    async def _try(self, give_up_s: float) -> Snapshot:
        loop = asyncio.get_running_loop()
        self._snapshot = loop.create_future()
        folder_fd = os.open(self._folder, os.O_PATH | os.O_CLOEXEC)
        try:
            # A socket's path is limited to 107 bytes, a node's folder is not.
            path = f"/proc/self/fd/{folder_fd}/{SOCKET_NAME}"
            async with asyncio.timeout_at(give_up_s):
                await loop.create_unix_connection(lambda: self, path)
                return await self._snapshot
        finally:
            self._snapshot = None
            os.close(folder_fd)

    def _start(self) -> None:
        """Start a spawner that is nobody's child, in a session of its own: what ends the agent, a
        terminal's Ctrl-C included, passes it by. One that finds another alive leaves again.
        """
        command = [
            sys.executable,
            "-I",
            "-S",
            "-X",
            "utf8",
            str(Path(__file__).with_name("spawner.py")),
            "--detach",
        ]
        arguments = [str(self._folder / SOCKET_NAME), str(self._node)]
        env = {k: v for k, v in os.environ.items() if k not in (NODE_MARK, RUN_MARK)}
        with (self._folder / "spawner.log").open("ab") as log:
            subprocess.run(
                [*command, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                cwd="/", check=False,
            )  # fmt: skip

    def _take(self, fields: list[Any]) -> None:
        """An answer that is about the connection itself."""
        if fields[0] == "hello":
            self._pid = fields[2]
        elif fields[0] == "held":
            for key, state, slots, held, detail in fields[1]:
                self._held[key] = held_run(key, RunState(state), slots, held, detail)
        elif fields[0] == "listed" and self._snapshot is not None and not self._snapshot.done():
            self._snapshot.set_result(Snapshot(self._pid, fields[1], self._held))
            self._held = {}

    def _send(self, command: list[Any]) -> None:
        if self._transport is None:
            return
        if not self._commands:
            asyncio.get_running_loop().call_soon(self._flush)
        self._commands.append(command)

    def _flush(self) -> None:
        commands, self._commands = self._commands, []
        if self._transport is None or not commands:
            return
        lines = [
            json.dumps(commands[at : at + LINE_COMMANDS_MAX], separators=(",", ":"))
            for at in range(0, len(commands), LINE_COMMANDS_MAX)
        ]
        self._transport.write(("\n".join(lines) + "\n").encode())
