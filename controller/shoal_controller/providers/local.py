"""Nodes that are processes of this machine: each a folder, an agent, and the agent's spawner.

The folder is the truth. Whoever finds it finds the node: a controller that was killed and started
again takes up the running agents, starts the dead ones, and can delete what is half deleted.

    <nodes>/<node_id>/node.json    there exactly while the node is to run
                      agent.toml   what the agent is started with (0600)
                      join_token   (0600)
                      agent.log    what the agent prints
                      private/     the agent's own (0700): key, journal, the spawner's socket
                      root/        what tasks see as the node
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from shoal_controller.core.errors import Unavailable
from shoal_controller.providers import processes
from shoal_controller.providers.base import NODE_ID, NodeOrder, ProvidedNode
from shoal_controller.providers.processes import Process
from shoal_controller.providers.users import remove_users

log = logging.getLogger(__name__)

AGENT_MARK: Final = "SHOAL_LOCAL_NODE"
"""In the environment of a node's agent and of its spawner: the node's folder."""
TASK_MARK: Final = "SHOAL_NODE"
"""The spawner's mark on tasks; never on an agent, as a new spawner kills what carries it."""
AGENT_COMMAND: Final = (sys.executable, "-P", "-m", "shoal_agent.main")
RESTART_S_MIN: Final = 0.25
RESTART_S_MAX: Final = 30.0
"""The pause before a dead agent is started again: doubled each time, unless it lived long."""
LIVED_LONG_S: Final = 60.0
LOG_BYTES_MAX: Final = 8 << 20
_ENVIRONMENT: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|PYTHONPATH|PYTHONHOME"
    r"|VIRTUAL_ENV|SSL_CERT_(FILE|DIR)|(HTTPS?|NO)_PROXY|(https?|no)_proxy"
)
"""What agents inherit. The rest stays here: it may hold credentials."""


class LocalProvider:
    """The local nodes below one folder."""

    def __init__(
        self,
        folder: Path,
        controller_url: str,
        agent_command: Sequence[str] = AGENT_COMMAND,
        settings: Mapping[str, int | str] | None = None,
    ) -> None:
        """
        controller_url   where agents dial, as seen from this machine, no trailing slash
        settings         more of agent.toml, the same for every node
        """
        self._folder = folder.resolve()  # marks on processes name it: one spelling
        self._controller_url = controller_url
        self._command = list(agent_command)
        self._settings = dict(settings or {})
        self._keepers: dict[str, _Keeper] = {}

    async def start(self) -> None:
        """Take up the nodes that are there already: running agents as they run, dead ones anew."""
        self._folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        for folder in sorted(self._folder.iterdir()):
            if not (folder / "node.json").exists():
                continue  # half made or half deleted: the pool loop decides
            changed = _write_settings(folder, self._controller_url, self._settings)
            self._keep(folder, is_new_settings=changed)

    async def create(self, order: NodeOrder) -> Mapping[str, Any]:
        """Make the folder and start the agent. See base.Provider."""
        folder = self._folder_of(order.node_id)
        try:
            for path, mode in ((folder, 0o711), (folder / "root", 0o755)):
                path.mkdir(mode=mode, exist_ok=True)
                path.chmod(mode)  # whatever the umask took away
            (folder / "private").mkdir(mode=0o700, exist_ok=True)
            _write_private(folder / "join_token", order.join_token)
            _write_settings(folder, self._controller_url, self._settings)
            _write_private(folder / "node.json", json.dumps({"node_id": order.node_id}))
        except OSError as err:
            raise Unavailable(f"cannot make the folder of a local node: {err}") from err
        known = self._keepers.get(order.node_id)
        if known is None:
            self._keep(folder, is_new_settings=True)
        else:
            known.restart()  # the token is a new one
        return {"folder": str(folder)}

    async def list(self) -> Mapping[str, ProvidedNode]:
        """See base.Provider. Every folder counts, wanted or not."""
        found: dict[str, ProvidedNode] = {}
        for folder in self._folder.iterdir():
            keeper = self._keepers.get(folder.name)
            is_alive = keeper is not None and keeper.is_alive
            found[folder.name] = ProvidedNode(folder.name, {"folder": str(folder)}, is_alive)
        return found

    async def stop(self, node_id: str, state: Mapping[str, Any]) -> None:
        """End every process of the node; its folder stays. See base.Provider."""
        self._disown(node_id)
        await self._end(node_id)

    async def delete(self, node_id: str, state: Mapping[str, Any]) -> None:
        """End every process of the node, remove its users and its folder. See base.Provider."""
        folder = self._folder_of(node_id)
        self._disown(node_id)
        await self._end(node_id)
        await asyncio.to_thread(remove_users, folder)
        try:
            await asyncio.to_thread(remove_tree, folder)
        except OSError as err:
            raise Unavailable(f"cannot remove the folder of node {node_id}: {err}") from err

    async def close(self, *, end_nodes: bool) -> None:
        """Stop looking after the nodes; with `end_nodes` also end them, their folders kept.

        Nodes that go on are taken up by the next start.
        """
        if end_nodes:
            await asyncio.gather(*(self._end(node_id) for node_id in list(self._keepers)))
        else:
            for keeper in self._keepers.values():
                await keeper.stop()
        self._keepers.clear()

    # --- inside -----------------------------------------------------------------------------------

    def _folder_of(self, node_id: str) -> Path:
        assert NODE_ID.fullmatch(node_id), node_id
        return self._folder / node_id

    def _disown(self, node_id: str) -> None:
        """From here on nobody starts it again."""
        with contextlib.suppress(FileNotFoundError):
            (self._folder_of(node_id) / "node.json").unlink()

    def _keep(self, folder: Path, *, is_new_settings: bool) -> None:
        keeper = _Keeper(folder, [*self._command, "--config", str(folder / "agent.toml")])
        self._keepers[folder.name] = keeper
        keeper.begin(is_new_settings=is_new_settings)

    async def _end(self, node_id: str) -> None:
        keeper = self._keepers.pop(node_id, None)
        if keeper is not None:
            await keeper.stop()
        try:
            await asyncio.to_thread(end_all, self._folder_of(node_id))
        except TimeoutError as err:
            raise Unavailable(str(err)) from err
        if keeper is not None:
            await keeper.bury()


class _Keeper:
    """Looks after one node's agent: starts it, notices its end, starts it again."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self._folder = folder
        self._command = command
        self._agent: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_restarting = False

    @property
    def is_alive(self) -> bool:
        return self._agent is not None and processes.is_alive(self._agent)

    def begin(self, *, is_new_settings: bool) -> None:
        """Find the node's agent or start one; one with older settings is replaced."""
        self._task = asyncio.create_task(
            self._run(is_new_settings), name=f"keep {self._folder.name}"
        )

    def restart(self) -> None:
        """End the agent, its tasks untouched; it is started again at once."""
        if self._agent is not None:
            self._is_restarting = True
            processes.send(self._agent, signal.SIGKILL)

    async def stop(self) -> None:
        """Look after it no more; the agent lives on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled() and (error := self._task.exception()) is not None:
                log.error("the keeper of node %s failed", self._folder.name, exc_info=error)

    async def bury(self) -> None:
        """Wait for the end of the agent that was just killed."""
        if self._agent is not None:
            await processes.ended(self._agent)

    async def _run(self, is_new_settings: bool) -> None:
        loop = asyncio.get_running_loop()
        self._agent = await asyncio.to_thread(self._find)
        if self._agent is not None:
            processes.send(self._agent, signal.SIGCONT)  # should a deletion have begun and died
            if is_new_settings:
                self.restart()
        pause_s = RESTART_S_MIN
        while True:
            began_s = loop.time()
            if self._agent is None:
                self._agent = self._start()
            if self._agent is not None:
                await processes.ended(self._agent)
                self._agent = None
            if self._is_restarting:
                self._is_restarting = False
                continue
            if loop.time() - began_s > LIVED_LONG_S:
                pause_s = RESTART_S_MIN
            log.warning(
                "the agent of node %s ended, starting it again in %g s; it printed into %s",
                self._folder.name,
                pause_s,
                self._folder / "agent.log",
            )
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RESTART_S_MAX)

    def _find(self) -> Process | None:
        """Return the agent that an earlier controller started, if it lives."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads((self._folder / "agent.pid").read_text())
            agent = Process(int(kept["pid"]), int(kept["start"]))
            if processes.is_alive(agent):
                return agent
        # Killed between start and note: an agent is marked, and was started with these words.
        for process in processes.marked([AGENT_MARK], self._folder):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
                if words[-3:-1] == [os.fsencode(word) for word in self._command[-2:]]:
                    return process
        return None

    def _start(self) -> Process | None:
        env = {name: value for name, value in os.environ.items() if _ENVIRONMENT.fullmatch(name)}
        env[AGENT_MARK] = str(self._folder)
        try:
            log_path = self._folder / "agent.log"
            if log_path.exists() and log_path.stat().st_size > LOG_BYTES_MAX:
                log_path.replace(log_path.with_name("agent.log.1"))
            agent = processes.start(self._command, env, log_path)
            note = {"pid": agent.pid, "start": agent.start}
            _write_private(self._folder / "agent.pid", json.dumps(note))
        except OSError as err:
            log.warning("cannot start the agent of node %s: %s", self._folder.name, err)
            return None
        return agent


def _write_settings(folder: Path, controller_url: str, more: Mapping[str, int | str]) -> bool:
    """Write agent.toml; return whether it says something new."""
    path = folder / "agent.toml"
    settings: dict[str, Any] = {
        "node_id": folder.name,
        "controller_url": controller_url,
        "root": str(folder / "root"),
        "private_dir": str(folder / "private"),
        "join_token_file": str(folder / "join_token"),
        "log_file": str(folder / "agent.log"),
        **more,
    }
    with contextlib.suppress(OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        if tomllib.loads(path.read_text()) == settings:
            return False
    # A JSON string is a TOML string, and a whole number is one.
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
    _write_private(path, "".join(lines))
    return True


def _write_private(path: Path, text: str) -> None:
    """Replace a file at once, readable by nobody else."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
    fresh.replace(path)


def end_all(folder: Path) -> None:
    """End every process of the node, or of all nodes, in a folder. Blocks; TimeoutError."""
    processes.end_families((AGENT_MARK, TASK_MARK), folder.resolve())


def remove_tree(folder: Path) -> None:
    """Remove a tree whatever a task made of it. Blocks; raises OSError when something is left.

    rm and chmod rather than shutil: trees may be thousands of directories deep, and their paths
    longer than the system takes. Neither follows links.
    """
    remove = ["rm", "-rf", "--one-file-system", "--", str(folder)]
    done = subprocess.run(remove, check=False, capture_output=True)
    if done.returncode:  # directories without permissions, where we are not root
        subprocess.run(
            ["chmod", "-R", "u+rwX", "--", str(folder)], check=False, capture_output=True
        )
        done = subprocess.run(remove, check=False, capture_output=True)
    if done.returncode:
        raise OSError(errno.EIO, done.stderr.decode(errors="replace").strip()[:500], str(folder))
