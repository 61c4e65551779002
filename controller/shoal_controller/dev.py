"""shoal dev: the whole service on this machine, for as long as it runs or as a command takes.

One process holds the Batch API, storage and the controller; nodes are agents of their own. What it
keeps is in one folder, so the next start goes on where this one ended, however it ended.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import fcntl
import json
import os
import shlex
import signal
import ssl
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from shoal_controller.config import (
    API_PORT,
    STORAGE_PORT,
    AccountSettings,
    Address,
    BadConfig,
    Config,
    LocalSettings,
    TlsSettings,
)
from shoal_controller.core.account import Account
from shoal_controller.main import ADMIN_SOCKET, Controller, collect_rarely, log_to_stderr, running
from shoal_controller.privatefile import write_private
from shoal_controller.providers.local import end_all, remove_tree
from shoal_controller.providers.users import remove_users

ACCOUNT: Final = "devaccount"
EPHEMERAL_PREFIX: Final = "shoal-dev-"
BUNDLE: Final = "bundle.pem"
SYSTEM_BUNDLE: Final = "/etc/ssl/certs/ca-certificates.crt"
COMMAND_END_S_MAX: Final = 10.0
"""A command that was told to end (SIGTERM, SIGHUP) is killed when it still runs then."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def serve(data: Path, options: argparse.Namespace, command: Sequence[str]) -> int:
    """Run everything; return the exit code: the command's, or 0 once a signal ended it."""
    settings = Config(
        data=data,
        accounts={ACCOUNT: AccountSettings()},
        listen=Address(port=options.port),
        storage=Address(port=options.storage_port),
        local=LocalSettings(end_with_controller=True),
        tls=TlsSettings(authority=data / "tls") if options.tls else None,
    )
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, number)
    async with running(settings) as controller:
        collect_rarely()
        if settings.tls is not None and settings.tls.trusted is not None:
            _write_bundle(settings.tls.trusted)
        with _connection_file(data, controller):
            if command:
                return await _run(command, environment(controller), signals)
            _say(greeting(controller, data, is_ephemeral=options.ephemeral))
            await signals.get()
            _say("\nending ...")
            return 0


def environment(controller: Controller) -> dict[str, str]:
    """Return the variables that the SDKs, `az` and azure-storage-blob take their settings from."""
    account = controller.tenancy.contexts[ACCOUNT].account
    storage_key = base64.b64encode(account.storage_keys[0]).decode()
    blob_endpoint = f"{controller.storage_url}/{ACCOUNT}"
    return {
        "AZURE_BATCH_ENDPOINT": controller.api_url,
        "AZURE_BATCH_ACCOUNT": ACCOUNT,
        "AZURE_BATCH_ACCESS_KEY": base64.b64encode(account.keys[0]).decode(),
        "AZURE_STORAGE_CONNECTION_STRING": (
            f"DefaultEndpointsProtocol={blob_endpoint.partition(':')[0]};"
            f"AccountName={ACCOUNT};AccountKey={storage_key};"
            f"BlobEndpoint={blob_endpoint};"
        ),
        "AZURE_STORAGE_BLOB_ENDPOINT": blob_endpoint,
        "SHOAL_ADMIN_SOCKET": str(controller.config.data / ADMIN_SOCKET),
        **_trust(controller),
    }


def _trust(controller: Controller) -> dict[str, str]:
    """Return what makes clients trust the private authority, each kind by its own variables."""
    tls = controller.config.tls
    ca_file = None if tls is None else tls.trusted
    if ca_file is None:
        return {}
    bundle = str(ca_file.with_name(BUNDLE))
    return {
        "SHOAL_CA_FILE": str(ca_file),
        "NODE_EXTRA_CA_CERTS": str(ca_file),
        # These two replace the system's certificates.
        "REQUESTS_CA_BUNDLE": bundle,
        "SSL_CERT_FILE": bundle,
    }


def _write_bundle(ca_file: Path) -> None:
    """Write the system's certificates and ours into one file."""
    system = ssl.get_default_verify_paths().cafile or SYSTEM_BUNDLE
    known = Path(system).read_bytes() if Path(system).exists() else b""
    ca_file.with_name(BUNDLE).write_bytes(known + ca_file.read_bytes())


def greeting(controller: Controller, data: Path, *, is_ephemeral: bool) -> str:
    """Return what a person is told at the start."""
    values = environment(controller)
    fate = "removed at the end" if is_ephemeral else "kept"
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())
    return (
        f"Shoal is running; Ctrl-C ends it. Its data is in {data} ({fate}).\n\n"
        f"  Batch endpoint  {values['AZURE_BATCH_ENDPOINT']}\n"
        f"  account         {ACCOUNT}\n"
        f"  key             {values['AZURE_BATCH_ACCESS_KEY']}\n"
        f"  blob storage    {values['AZURE_STORAGE_BLOB_ENDPOINT']}\n\n"
        "For azure-batch, azure-storage-blob and az, paste into a shell:\n\n"
        f"{exports}\n"
    )


# --- a command ------------------------------------------------------------------------------------


async def _run(
    command: Sequence[str], variables: dict[str, str], signals: asyncio.Queue[signal.Signals]
) -> int:
    """Run a command with `variables`, pass signals on to it, return its exit code as a shell would.

    With the terminal in its hands it stays in our process group, where Ctrl-C reaches it by itself;
    otherwise it has a group of its own, and what it left there is killed when it ends.
    """
    has_terminal = _has_terminal()
    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            env=os.environ | variables,
            process_group=None if has_terminal else 0,
        )
    except OSError as err:
        print(f"shoal dev: cannot run {command[0]}: {err.strerror}", file=sys.stderr)
        return 127 if isinstance(err, FileNotFoundError) else 126
    passing = asyncio.create_task(_pass_on(child, signals, has_terminal=has_terminal))
    try:
        code = await child.wait()
    finally:
        passing.cancel()
        await asyncio.wait([passing])
        if not has_terminal:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
    return 128 - code if code < 0 else code


async def _pass_on(
    child: asyncio.subprocess.Process,
    signals: asyncio.Queue[signal.Signals],
    *,
    has_terminal: bool,
) -> None:
    """Pass signals on to the command alone: what they mean to its children is its to decide."""
    deadline: asyncio.TimerHandle | None = None
    try:
        while True:
            number = await signals.get()
            if not (has_terminal and number == signal.SIGINT):
                _send(child, number)
            # An interrupt need not mean the end: a shell or a prompt goes on after it.
            if number != signal.SIGINT and deadline is None:
                deadline = asyncio.get_running_loop().call_later(
                    COMMAND_END_S_MAX, _send, child, signal.SIGKILL
                )
    finally:
        if deadline is not None:
            deadline.cancel()


def _send(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(number)


def _has_terminal() -> bool:
    """Whether we are in the foreground of a terminal."""
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(fd)


# --- the folder -----------------------------------------------------------------------------------


@contextlib.contextmanager
def _connection_file(data: Path, controller: Controller) -> Iterator[None]:
    """Tell the CLI where we are while we are there, with the keys that count now."""
    path = data / "connection.json"

    def write(_: Account) -> None:
        values = environment(controller)
        connection = {
            "endpoint": values["AZURE_BATCH_ENDPOINT"],
            "account": values["AZURE_BATCH_ACCOUNT"],
            "key": values["AZURE_BATCH_ACCESS_KEY"],
            "storage": values["AZURE_STORAGE_CONNECTION_STRING"],
            "admin_socket": values["SHOAL_ADMIN_SOCKET"],
            "ca_file": values.get("SHOAL_CA_FILE", ""),
        }
        write_private(path, json.dumps(connection, indent=2) + "\n")

    ctx = controller.tenancy.contexts[ACCOUNT]
    write(ctx.account)
    ctx.on_account.append(write)
    try:
        yield
    finally:
        ctx.on_account.remove(write)
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _ephemeral_folder() -> Iterator[Path]:
    """Make a folder that is gone at the end, with those of killed runs before it."""
    for left in Path(tempfile.gettempdir()).glob(EPHEMERAL_PREFIX + "*"):
        with contextlib.suppress(OSError, TimeoutError):
            if _is_abandoned(left):
                _clear(left)
    folder = Path(tempfile.mkdtemp(prefix=EPHEMERAL_PREFIX))
    folder.chmod(0o711)  # tasks may run as other users; they reach what they know the name of
    try:
        yield folder
    finally:
        try:
            _clear(folder)
        except (OSError, TimeoutError) as err:  # the exit code is CMD's, whatever is left behind
            print(f"shoal dev: could not remove {folder}: {err}", file=sys.stderr)


def _is_abandoned(folder: Path) -> bool:
    info = folder.lstat()
    if folder.is_symlink() or not folder.is_dir() or info.st_uid != os.getuid():
        return False
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: it is in use
    finally:
        os.close(fd)
    return True


def _clear(folder: Path) -> None:
    end_all(folder)
    remove_users(folder.resolve())
    remove_tree(folder)


def _say(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(text, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """shoal dev [options] [-- CMD ARGS...]."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    cut = given.index("--") if "--" in given else len(given)
    given, command = given[:cut], given[cut + 1 :]
    options = _parser().parse_args(given)
    log_to_stderr(options.log_level)
    try:
        with contextlib.ExitStack() as stack:
            if options.ephemeral:
                data = stack.enter_context(_ephemeral_folder())
            else:
                data = options.data.resolve()
            code = asyncio.run(serve(data, options, command))
    except BadConfig as err:
        hint = "; --port 0 and --storage-port 0 take free ones" if "listen on" in str(err) else ""
        sys.exit(f"shoal dev: {err}{hint}")
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="shoal dev",
        usage="shoal dev [options] [-- CMD ARGS...]",
        description="Run the whole service on this machine: API, storage and nodes. With a "
        "command, run that against it, end everything and exit with the command's code.",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--data", type=Path, metavar="DIR", default=Path(".shoal"), help="default: %(default)s"
    )
    where.add_argument("--ephemeral", action="store_true", help="keep nothing: a temporary folder")
    ports = (("--port", API_PORT, "the Batch API"), ("--storage-port", STORAGE_PORT, "storage"))
    for option, port, what in ports:
        parser.add_argument(
            option,
            type=_port,
            metavar="N",
            default=port,
            help=f"port of {what}; 0: a free one; default: %(default)s",
        )
    parser.add_argument("--tls", action="store_true", help="https, by a private authority")
    parser.add_argument("--log-level", default="warning", choices=["debug", "info", "warning"])
    return parser


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to 65535 is")
    return int(text)


if __name__ == "__main__":
    main()
