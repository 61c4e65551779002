"""shoal-agent: builds everything from its configuration and runs until a signal.

SIGTERM ends the agent alone: tasks and their spawner go on, and the next agent takes them over.
`--stop` ends the whole node: the agent if one runs, the spawner, and every task.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import gc
import importlib.metadata
import logging
import os
import signal
import ssl
import sys
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp

from shoal_agent import disk as disks
from shoal_agent import host
from shoal_agent.config import BadConfig, Config, load
from shoal_agent.connection import Connection
from shoal_agent.core.agent import AgentCore, Setting
from shoal_agent.core.disk import reserved_bytes
from shoal_agent.core.instructions import Found
from shoal_agent.core.paths import NodePaths
from shoal_agent.fileserver import FileServer
from shoal_agent.join import CannotJoin, node_key
from shoal_agent.journal import Journal, JournalBroken
from shoal_agent.logs import LogUploader
from shoal_agent.runner import Runner, read_clock
from shoal_agent.spawnerclient import SpawnerClient, SpawnerUnreachable
from shoal_agent.stepping import Steps
from shoal_agent.tree import make_tree, task_directories, wipe_tree
from shoal_agent.users import Users, UsersFailed
from shoal_protocol.link import LinkEnd
from shoal_protocol.messages import PROTOCOL_VERSION, Hello, LogsRequest, Request

logger = logging.getLogger(__name__)

# What ends the agent with one line instead of a traceback.
_SAID: Final = (BadConfig, CannotJoin, JournalBroken, UsersFailed, SpawnerUnreachable)
STOP_TERM_S: Final = 10.0
"""An agent that is asked to end has so long before it is killed."""


class AlreadyRunning(OSError):
    """Another agent serves this node."""


def main() -> None:
    """shoal-agent --config agent.toml [--stop]"""
    parser = argparse.ArgumentParser(prog="shoal-agent", description="The agent of one node.")
    parser.add_argument("--config", required=True, type=Path, help="the node's agent.toml")
    parser.add_argument(
        "--stop", action="store_true", help="end the node: its agent, its spawner and all tasks"
    )
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning"])
    arguments = parser.parse_args()
    logging.basicConfig(
        level=arguments.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        config = load(arguments.config)
        asyncio.run(stop_node(config) if arguments.stop else run(config))
    except (*_SAID, OSError) as error:
        sys.exit(f"shoal-agent: {error}")


async def run(config: Config) -> None:
    """Be the agent of a node until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    _make_private(config)
    with _locked(config):
        async with contextlib.AsyncExitStack() as stack:
            session = await stack.enter_async_context(_session(_trusted(config.ca_file)))
            transfers = session
            if config.ca_file is not None:
                # Files come from anywhere: what signs for the controller does so beside the
                # system's certificates, not instead of them.
                both = _trusted(config.ca_file, also_system=True)
                transfers = await stack.enter_async_context(_session(both))
            runner, connect = await _build(config, session, transfers)
            stack.push_async_callback(runner.close)
            linking = asyncio.create_task(connect())
            stopping = asyncio.create_task(stopped.wait())
            await asyncio.wait({linking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in (linking, stopping):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await linking  # whatever ended it is raised here


async def stop_node(config: Config) -> None:
    """End the node's agent, its spawner and all tasks; return when no process is left.

    The users that were made for tasks are removed, too.
    """
    _make_private(config)
    give_up_s = time.monotonic() + STOP_TERM_S
    number = signal.SIGTERM
    while True:
        try:
            with _locked(config):
                client = SpawnerClient(config.private_dir, config.root, lambda _: None)
                # Where none lives, a new one kills what a dead one may have left, and ends too.
                await client.connect()
                await client.stop()
                if os.geteuid() == 0:
                    with contextlib.suppress(UsersFailed):
                        users = Users(config.users, config.root, config.node_id)
                        await asyncio.to_thread(users.remove_all)
                return
        except AlreadyRunning:
            with contextlib.suppress(ProcessLookupError, ValueError, FileNotFoundError):
                os.kill(int(_lock_file(config).read_text()), number)
            if time.monotonic() > give_up_s:
                number = signal.SIGKILL
            await asyncio.sleep(0.05)


async def _build(
    config: Config, session: aiohttp.ClientSession, transfers: aiohttp.ClientSession
) -> tuple[Runner, Callable[[], Coroutine[None, None, None]]]:
    """Return the runner, at work already, and what keeps the link open.

    session    to the controller
    transfers  to wherever files come from and go to
    """
    machine = host.machine_boot()
    root = str(config.root)
    paths = NodePaths(root)
    users = Users(config.users, config.root, config.node_id)
    await asyncio.to_thread(make_tree, paths, users.is_making)
    journal = Journal(config.journal_dir, config.private_dir / "journal.reserve")
    records = await asyncio.to_thread(journal.open)
    disk = await asyncio.to_thread(disks.measure, config.root)
    reserved = reserved_bytes(
        disk.size_bytes if disk is not None else 0,
        config.disk_reserved_percent,
        config.disk_reserved_bytes_max,
    )
    ca_file = "" if config.ca_file is None else str(config.ca_file)
    setting = Setting(root, machine, host.language(), lambda: uuid.uuid4().hex, reserved, ca_file)
    core = AgentCore(setting, records, read_clock())
    del records
    link = LinkEnd(uuid.uuid4().hex)
    runner = Runner(core, journal, link, machine)
    runner.spawner = SpawnerClient(
        config.private_dir, config.root, runner.spawner_events, runner.spawner_lost
    )
    runner.steps = Steps(
        users, transfers, config.root, Path(paths.removed), config.transfers_max, runner.step_ended
    )
    runner.make_tree = lambda: make_tree(paths, users.is_making)
    runner.wipe_tree = lambda: wipe_tree(paths)
    files = FileServer(root, runner.reply)
    logs = LogUploader(config.log_file, session, runner.reply)

    def serve(request: Request) -> None:
        if isinstance(request, LogsRequest):
            logs.serve(request)
        else:
            files.serve(request)

    runner.on_request = serve
    runner.post([Found(tuple(await asyncio.to_thread(task_directories, paths)))])
    if disk is not None:
        runner.post([disk])  # before the first report: it tells of the disk too
    runner.watch_disk(lambda: asyncio.to_thread(disks.measure, config.root))
    runner.bring_up_spawner()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    address = config.ip_address or host.address_towards(config.controller_url)
    cores = host.core_count()
    version = importlib.metadata.version("shoal")

    def hello() -> Hello:
        return Hello(
            protocol_version=PROTOCOL_VERSION,
            node_id=config.node_id,
            boot_id=core.node.boot_id,
            booted_at=core.node.booted_at or datetime.now(UTC),
            agent_version=version,
            incarnation=link.incarnation,
            peer_incarnation=link.peer_incarnation,
            received_seq=link.received_seq,
            ip_address=address,
            core_count=cores,
            runs=core.held_runs,
        )

    async def connect() -> None:
        key = await node_key(config, session)
        await runner.is_up.wait()
        await Connection(session, config.controller_url, key, runner, hello).run()

    return runner, connect


def _trusted(ca_file: Path | None, *, also_system: bool = False) -> ssl.SSLContext | bool:
    """Return what a session trusts; True: the system's certificates. Raises BadConfig."""
    if ca_file is None:
        return True
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # an SSLError is one
        raise BadConfig(f"setting 'ca_file': {ca_file} cannot be used: {error}") from error
    if also_system:
        context.load_default_certs()
    return context


def _session(trusted: ssl.SSLContext | bool) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0, ssl=trusted)
    # Contents are stored as they are, and nothing is remembered from one server for another.
    return aiohttp.ClientSession(
        connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
    )


def _make_private(config: Config) -> None:
    for path in (config.private_dir, config.journal_dir):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)


def _lock_file(config: Config) -> Path:
    return config.private_dir / "agent.lock"


@contextlib.contextmanager
def _locked(config: Config) -> Iterator[None]:
    fd = os.open(_lock_file(config), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(f"another agent serves {config.node_id}") from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(fd)


if __name__ == "__main__":
    main()
