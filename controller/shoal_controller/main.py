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
import gc
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Final

from aiohttp import web

from shoal_controller import config as configuration
from shoal_controller.api.admin import create_admin_app
from shoal_controller.api.app import create_app, create_runner
from shoal_controller.api.issuers import Issuer, Issuers
from shoal_controller.api.rate import Rates
from shoal_controller.blobgateway import create_app as create_storage_app
from shoal_controller.blobgateway import create_runner as create_storage_runner
from shoal_controller.clock import Clock, SystemClock
from shoal_controller.config import Address, BadConfig, Config, is_loopback, several
from shoal_controller.core.claims import Rule
from shoal_controller.init import write_folder
from shoal_controller.links.listener import Listener
from shoal_controller.links.registry import Registry
from shoal_controller.operations.context import Context
from shoal_controller.reception import Reception
from shoal_controller.tenancy import Tenancy
from shoal_controller.tls import ServerTls

log = logging.getLogger(__name__)

ADMIN_SOCKET: Final = "admin.sock"
BACKLOG: Final = 1024


class Controller:
    """A controller at work: where it listens, and its accounts."""

    def __init__(
        self, config: Config, clock: Clock, tenancy: Tenancy, api_url: str, storage_url: str
    ) -> None:
        self.config = config
        self.clock = clock
        self.tenancy = tenancy
        self.api_url = api_url
        self.storage_url = storage_url

    def account(self, name: str) -> Context | None:
        """Return the account of that name, or None."""
        return self.tenancy.contexts.get(name)

    def contexts(self) -> Iterable[Context]:
        """Return all accounts."""
        return list(self.tenancy.contexts.values())


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncIterator[Controller]:
    """Run a controller for as long as the context lasts; raise BadConfig when it cannot start."""
    clock = SystemClock()
    registry = Registry(clock)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_locked(config.data))
        api_socket = stack.enter_context(_listening("listen", config.listen))
        storage_socket = stack.enter_context(_listening("storage", config.storage))
        tls = _tls(stack, config, clock)
        scheme = "http" if tls is None else "https"
        api_url = config.listen.url or _url(scheme, api_socket)
        storage_url = config.storage.url or _url(scheme, storage_socket)
        agents_url = _url_of_agents(config, api_socket)
        tenancy = Tenancy(config, clock, registry, api_url, storage_url, agents_url)
        controller = Controller(config, clock, tenancy, api_url, storage_url)
        await stack.enter_async_context(tenancy.running())
        storage_app = create_storage_app(tenancy.storage, clock)
        await _serve(stack, create_storage_runner(storage_app), storage_socket, tls)
        limit = config.rate_limit
        api_app = create_app(
            controller,
            issuers=Issuers(_issuers(config), clock),
            rates=Rates(clock, limit.requests_per_s, limit.burst),
        )
        reception = Reception(tenancy.contexts, tenancy.secret_of)
        api_app.middlewares.insert(0, Listener(registry, reception).middleware)
        api_app.on_shutdown.append(lambda _: registry.close())  # once nobody can come any more
        await _serve(stack, create_runner(api_app), api_socket, tls)
        admin_app = create_admin_app(tenancy, clock, api_url)
        admin_socket = stack.enter_context(_listening_privately(config.data / ADMIN_SOCKET))
        await _serve(stack, web.AppRunner(admin_app, access_log=None), admin_socket)
        log.info("the Batch API is at %s, storage at %s", api_url, storage_url)
        yield controller
        log.info("ending")


async def _serve(
    stack: contextlib.AsyncExitStack,
    runner: web.AppRunner,
    listening: socket.socket,
    tls: ssl.SSLContext | None = None,
) -> None:
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    await web.SockSite(runner, listening, backlog=BACKLOG, ssl_context=tls).start()


def _tls(stack: contextlib.AsyncExitStack, config: Config, clock: Clock) -> ssl.SSLContext | None:
    """Return what encrypts the listeners, looked after as long as the stack; None: plain http."""
    if config.tls is None:
        for key, address in (("listen", config.listen), ("storage", config.storage)):
            if not is_loopback(address.host) and not address.url.startswith("https:"):
                log.warning(
                    "%s: keys and data travel to and from %s for all to read; see [tls]",
                    key,
                    address.host,
                )
        return None
    tls = ServerTls(config.tls, clock)
    watching = asyncio.create_task(tls.watch(), name="tls")
    stack.callback(watching.cancel)
    return tls.context


def _url_of_agents(config: Config, listening: socket.socket) -> str:
    """Return where agents of this machine dial.

    A certificate of one's own hardly names 127.0.0.1; what clients use then, it does name.
    """
    if config.tls is None:
        return _url("http", listening)
    has_own = config.tls.certificate is not None
    return config.listen.url if has_own and config.listen.url else _url("https", listening)


def _issuers(config: Config) -> list[Issuer]:
    for settings in config.issuers:
        # Found out with the first token, it would look like a fault of whoever sent that.
        if settings.keys_file is not None and not settings.keys_file.is_file():
            raise BadConfig(f"issuers: keys_file: there is no file {settings.keys_file}")
    return [
        Issuer(
            settings.issuer,
            several(settings.audience),
            settings.keys_file or settings.keys_url,
            frozenset(settings.algorithms),
            tuple(
                Rule(
                    several(rule.claim),
                    rule.value,
                    rule.role,
                    rule.account,
                    several(rule.account_claim),
                )
                for rule in settings.rules
            ),
            settings.ca_file,
        )
        for settings in config.issuers
    ]


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
        _note_pid(fd)
        yield
    except BlockingIOError as err:
        holder = os.pread(fd, 20, 0).decode() or "unknown"
        raise BadConfig(f"data: {folder} is in use by process {holder}") from err
    finally:
        os.close(fd)


def _note_pid(fd: int) -> None:
    """Tell people who holds a lock; a full disk is no reason not to start."""
    note = str(os.getpid()).encode()
    with contextlib.suppress(OSError):
        os.pwrite(fd, note, 0)
        os.ftruncate(fd, len(note))


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


@contextlib.contextmanager
def _listening_privately(path: Path) -> Iterator[socket.socket]:
    """Listen at a path that only our own user and root can open, for as long as the context."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        try:
            folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
            try:
                path.unlink(missing_ok=True)  # of a controller that was killed: we hold the lock
                # Through the folder's descriptor: whole paths may be longer than sockets take.
                listening.bind(f"/proc/self/fd/{folder}/{path.name}")
            finally:
                os.close(folder)
            path.chmod(0o600)
            listening.listen()
        except OSError as err:
            raise BadConfig(f"data: cannot listen at {path}: {err.strerror}") from err
        try:
            yield listening
        finally:
            path.unlink(missing_ok=True)


def _url(scheme: str, listening: socket.socket) -> str:
    """Return where the socket is reached from this machine."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(str(host), str(host))
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


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
        collect_rarely()
        await signals


def collect_rarely() -> None:
    """Leave what was made at the start out of garbage collections, and have fewer of them.

    Hardly anything here refers to itself, and a collection that visits all tasks of a big account
    would hold the loop up.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def log_to_stderr(level: str) -> None:
    """Log lines begin with time and place; secrets are never logged."""
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def main(arguments: list[str] | None = None) -> None:
    """shoal-controller --config FILE, or shoal-controller init [--host NAME]... DIR."""
    parser = argparse.ArgumentParser(prog="shoal-controller", description="Run a Shoal controller.")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a controller.toml")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning"])
    commands = parser.add_subparsers(dest="command", metavar="")
    init = commands.add_parser("init", help="write a controller.toml to start from")
    init.add_argument("folder", type=Path, metavar="DIR")
    init.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name or address that other machines reach the controller by: makes a private "
        "certificate authority that signs for it; may be repeated",
    )
    options = parser.parse_args(arguments)
    log_to_stderr(options.log_level)
    try:
        if options.command == "init":
            print(*write_folder(options.folder, options.host, SystemClock().now()), sep="\n")
        elif options.config is None:
            parser.error("--config FILE is missing; `shoal-controller init DIR` writes one")
        else:
            asyncio.run(_run(configuration.load(options.config)))
    except BadConfig as err:
        sys.exit(f"shoal-controller: {err}")


if __name__ == "__main__":
    main()
