"""shoal-controller: builds everything from Config and runs until told to end.

The only file that knows every room. Start: folder locked, ports taken, state loaded, then doors
opened. End: doors closed, commits finished, state closed; a start after kill -9 needs nothing more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from aiohttp import web

from shoal_controller import config as configuration
from shoal_controller.api.app import create_app
from shoal_controller.blobgateway import BlobStore, StorageAccount
from shoal_controller.blobgateway import create_app as create_storage_app
from shoal_controller.clock import Clock, SystemClock
from shoal_controller.config import AccountKeys, Address, BadConfig, Config
from shoal_controller.core.account import Account
from shoal_controller.fleet import Fleet
from shoal_controller.links.listener import Listener
from shoal_controller.links.registry import Registry
from shoal_controller.loops import driver, jobs, jobschedules, liveness, pools, scheduling
from shoal_controller.operations.context import Context
from shoal_controller.providers.local import LocalProvider
from shoal_controller.reception import Reception

log = logging.getLogger(__name__)

BACKLOG: Final = 1024
SHUTDOWN_S_MAX: Final = 5.0
"""Requests that are being answered when the end comes have so long."""
HEADER_BYTES_MAX: Final = 16 * 1024


class Controller:
    """A controller at work: where it listens, its accounts and their keys."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self.config = config
        self.clock = clock
        self.api_url = ""
        self.storage_url = ""
        self.accounts: dict[str, Context] = {}
        self.keys: dict[str, AccountKeys] = {}
        self.fleets: dict[str, Fleet] = {}

    def account(self, name: str) -> Context | None:
        """Return the account of that name, or None."""
        return self.accounts.get(name)


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncIterator[Controller]:
    """Run a controller for as long as the context lasts; raise BadConfig when it cannot start."""
    controller = Controller(config, SystemClock())
    registry = Registry(controller.clock)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_locked(config.data))
        api_socket = stack.enter_context(_listening("listen", config.listen))
        storage_socket = stack.enter_context(_listening("storage", config.storage))
        controller.api_url = config.listen.url or _url(api_socket)
        controller.storage_url = config.storage.url or _url(storage_socket)
        storage: dict[str, StorageAccount] = {}
        for name in config.accounts:
            storage[name] = await _open_account(stack, controller, registry, name)
        reception = Reception(
            controller.accounts, lambda name: controller.fleets[name].new_secret()
        )
        await _start_fleets(stack, controller, _url(api_socket))
        await _start_loops(stack, controller)
        storage_app = create_storage_app(storage, controller.clock)
        await _serve(stack, storage_app, storage_socket, auto_decompress=False)
        api_app = create_app(controller)
        api_app.middlewares.insert(0, Listener(registry, reception).middleware)
        api_app.on_shutdown.append(lambda _: registry.close())  # once nobody can come any more
        await _serve(stack, api_app, api_socket)
        log.info(
            "the Batch API is at %s, storage at %s", controller.api_url, controller.storage_url
        )
        yield controller
        log.info("ending")


async def _open_account(
    stack: contextlib.AsyncExitStack, controller: Controller, registry: Registry, name: str
) -> StorageAccount:
    folder = controller.config.data / "accounts" / name
    keys = controller.keys[name] = configuration.account_keys(folder)
    account = Account(name, keys.batch, controller.config.accounts[name].quotas)
    ctx = Context(
        account,
        folder / "state.sqlite",
        controller.clock,
        registry.of(name),
        public_url=controller.api_url,
        limits=controller.config.scheduling.limits,
    )
    stack.push_async_callback(ctx.close)
    controller.accounts[name] = ctx
    store = await BlobStore.open(folder / "blobs", controller.clock)
    stack.push_async_callback(store.close)
    return StorageAccount(keys.storage, store)


async def _start_fleets(
    stack: contextlib.AsyncExitStack, controller: Controller, own_url: str
) -> None:
    local = controller.config.local
    for name, ctx in controller.accounts.items():
        provider = LocalProvider(
            controller.config.data / "nodes" / name, local.controller_url or own_url
        )
        stack.push_async_callback(provider.close, end_nodes=local.end_with_controller)
        await provider.start()
        controller.fleets[name] = fleet = Fleet(name, provider)
        await fleet.delete_unknown(ctx.index.node_by_id)


async def _start_loops(stack: contextlib.AsyncExitStack, controller: Controller) -> None:
    tasks = await stack.enter_async_context(asyncio.TaskGroup())
    running: list[asyncio.Task[None]] = []
    for name, ctx in controller.accounts.items():
        of_pools = pools.loop(controller.fleets[name])
        running.extend(
            tasks.create_task(driver.run(ctx, loop), name=f"{loop.name} {name}")
            for loop in (scheduling.LOOP, jobs.LOOP, jobschedules.LOOP, liveness.LOOP, of_pools)
        )

    def end() -> None:
        for task in running:
            task.cancel()

    stack.callback(end)


async def _serve(
    stack: contextlib.AsyncExitStack,
    app: web.Application,
    listening: socket.socket,
    *,
    auto_decompress: bool = True,
) -> None:
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=auto_decompress,
        max_field_size=HEADER_BYTES_MAX,
        max_line_size=HEADER_BYTES_MAX,
        shutdown_timeout=SHUTDOWN_S_MAX,
    )
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    await web.SockSite(runner, listening, backlog=BACKLOG).start()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a data folder; raise BadConfig when another controller does."""
    try:
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as err:
        raise BadConfig(f"data: {folder} cannot be used: {err.strerror}") from err
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        yield
    except BlockingIOError as err:
        holder = os.pread(fd, 20, 0).decode() or "unknown"
        raise BadConfig(f"data: {folder} is in use by process {holder}") from err
    finally:
        os.close(fd)


@contextlib.contextmanager
def _listening(key: str, address: Address) -> Iterator[socket.socket]:
    """Take a port: connections queue until a server accepts them."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        listening = socket.create_server(
            (address.host, address.port), family=family, backlog=BACKLOG
        )
    except OSError as err:
        mend = "; another program has it" if err.errno == errno.EADDRINUSE else ""
        raise BadConfig(
            f"{key}: cannot listen on {address.host}:{address.port}: {err.strerror}{mend}"
        ) from err
    with listening:
        yield listening


def _url(listening: socket.socket) -> str:
    """Return where the socket is reached from this machine."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(str(host), str(host))
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def until_signal() -> signal.Signals:
    """Return the first SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[signal.Signals] = loop.create_future()

    def take(number: signal.Signals) -> None:
        if not came.done():
            came.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, take, number)
    return await came


async def _run(config: Config) -> None:
    signals = asyncio.create_task(until_signal())
    async with running(config):
        await signals


def log_to_stderr(level: str) -> None:
    """Log lines begin with time and place; secrets are never logged."""
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def main(arguments: list[str] | None = None) -> None:
    """shoal-controller --config FILE, or shoal-controller init DIR."""
    parser = argparse.ArgumentParser(prog="shoal-controller", description="Run a Shoal controller.")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a controller.toml")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning"])
    commands = parser.add_subparsers(dest="command", metavar="")
    init = commands.add_parser("init", help="write a controller.toml to start from")
    init.add_argument("folder", type=Path, metavar="DIR")
    options = parser.parse_args(arguments)
    log_to_stderr(options.log_level)
    try:
        if options.command == "init":
            print(_init(options.folder))
        elif options.config is None:
            parser.error("--config FILE is missing; `shoal-controller init DIR` writes one")
        else:
            asyncio.run(_run(configuration.load(options.config)))
    except BadConfig as err:
        sys.exit(f"shoal-controller: {err}")


def _init(folder: Path) -> Path:
    path = folder / "controller.toml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(configuration.TEMPLATE)
    except FileExistsError as err:
        raise BadConfig(f"{path} is there already") from err
    except OSError as err:
        raise BadConfig(f"{path} cannot be written: {err.strerror}") from err
    return path


if __name__ == "__main__":
    main()
