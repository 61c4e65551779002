"""Which service, as whom: endpoint, account and key, gathered from where people keep them.

Order, first wins, each value on its own: options; variables; what a task is told of its service;
`.shoal/connection.json` here or in a folder above (`shoal dev` writes it);
`~/.config/shoal/config.toml`. A token and a key are one value: whichever comes first. Neither is
ever taken from the command line, where every user of the machine could read it.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from shoal_cli.faults import UsageFault

ENVIRONMENT: Final = {
    "endpoint": "AZURE_BATCH_ENDPOINT",
    "account": "AZURE_BATCH_ACCOUNT",
    "key": "AZURE_BATCH_ACCESS_KEY",
    "storage": "AZURE_STORAGE_CONNECTION_STRING",
    "token": "SHOAL_TOKEN",
    "ca_file": "SHOAL_CA_FILE",
    "admin_socket": "SHOAL_ADMIN_SOCKET",
}
_OF_TASK: Final = {
    "endpoint": "AZ_BATCH_ACCOUNT_URL",
    "account": "AZ_BATCH_ACCOUNT_NAME",
    "token": "AZ_BATCH_AUTHENTICATION_TOKEN",
}
CONNECTION_FILE: Final = Path(".shoal") / "connection.json"
_FILE_BYTES_MAX: Final = 65_536


@dataclass(frozen=True, slots=True)
class Settings:
    """Where requests go and how they are signed.

    endpoint  scheme, host and port, no trailing slash
    key       the account key with base64 undone; empty where a token takes its place
    storage   a storage connection string, where files to send go; empty if none is known
    sources   where each value came from, for error messages
    token     sent as it is, instead of a signature
    ca_file   the certificates that sign for the service, instead of the system's
    admin_socket  the controller's own door for its machine's administrator, instead of the endpoint
    """

    endpoint: str
    account: str
    key: bytes = field(repr=False)
    storage: str = field(default="", repr=False)
    sources: Mapping[str, str] = field(default_factory=dict)
    token: str = field(default="", repr=False)
    ca_file: str = ""
    admin_socket: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says about the connection; empty where it says nothing."""

    endpoint: str = ""
    account: str = ""
    key_file: str = ""
    socket: str = ""


def load(options: Options, environ: Mapping[str, str], folder: Path) -> Settings:
    """Gather the settings, or raise UsageFault that says what to set.

    folder  where the search for `.shoal/connection.json` begins; upwards to the root
    """
    values, sources = _gathered(options, environ, folder)
    names = ("endpoint",) if "token" in values else ("endpoint", "account", "key")
    missing = [name for name in names if name not in values]
    if missing:
        raise _missing(missing)
    endpoint = _endpoint(values["endpoint"], sources["endpoint"])
    if "token" in values and sources.get("account") == "the command line":
        raise UsageFault(
            f"--account does not go with a token (from {sources['token']}), which is of an account",
            mend="leave --account out, or give --key-file the account's key",
        )
    if "token" in values and not _is_private(endpoint):
        raise UsageFault(
            f"the token (from {sources['token']}) would travel to {endpoint} for all to read",
            mend="give an endpoint that begins with https://",
        )
    return Settings(
        endpoint=endpoint,
        account=values.get("account", ""),
        key=_key(values["key"], sources["key"]) if "key" in values else b"",
        storage=values.get("storage", ""),
        sources=sources,
        token=values.get("token", ""),
        ca_file=values.get("ca_file", ""),
    )


def load_admin(options: Options, environ: Mapping[str, str], folder: Path) -> Settings:
    """Gather the settings for managing accounts: by the controller's socket where one is known.

    Otherwise the same as `load`: an owner of an account may look after that one.
    """
    values, sources = _gathered(options, environ, folder)
    path = values.get("admin_socket")
    if path is None:
        return load(options, environ, folder)
    account = values.get("account", "")
    return Settings("http://localhost", account, b"", sources=sources, admin_socket=path)


def _gathered(
    options: Options, environ: Mapping[str, str], folder: Path
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the values that were found, and where each was."""
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    for source, found in _sources(options, environ, folder):
        taken = found.keys() - values.keys()
        if values.keys() & {"key", "token"}:
            taken -= {"key", "token"}
        elif found.get("token"):
            taken -= {"key"}
        if "endpoint" in values:  # what belongs to another service would not fit this one
            taken -= {"ca_file", "admin_socket"}
        for name in taken:
            if found[name]:
                values[name], sources[name] = found[name], source
        if values.keys() >= {"endpoint", "account", "storage"} and values.keys() & {"key", "token"}:
            break
    return values, sources


def _sources(
    options: Options, environ: Mapping[str, str], folder: Path
) -> Iterator[tuple[str, dict[str, str]]]:
    key = _text(Path(options.key_file), must_exist=True) if options.key_file else ""
    yield (
        "the command line",
        {
            "endpoint": options.endpoint,
            "account": options.account,
            "key": key or "",
            "admin_socket": options.socket,
        },
    )
    yield (
        "the environment",
        {name: environ.get(variable, "") for name, variable in ENVIRONMENT.items()},
    )
    if environ.get(_OF_TASK["token"]):
        yield (
            "the task's environment",
            {name: environ.get(variable, "") for name, variable in _OF_TASK.items()},
        )
    for parent in (folder, *folder.parents):
        path = parent / CONNECTION_FILE
        if _is_trusted(path) and (text := _text(path)) is not None:
            yield str(path), _from_json(path, text)
            break
    home = environ.get("HOME", "")
    base = environ.get("XDG_CONFIG_HOME", "") or (f"{home}/.config" if home else "")
    if base:
        path = Path(base) / "shoal" / "config.toml"
        if (text := _text(path)) is not None:
            yield str(path), _from_toml(path, text)


def _is_trusted(path: Path) -> bool:
    """Return whether a file found by searching upwards is the reader's own, or root's.

    In a shared folder such as /tmp anyone could plant one, and receive what we send.
    """
    try:
        return path.stat().st_uid in (os.getuid(), 0)
    except OSError:
        return False


def _text(path: Path, *, must_exist: bool = False) -> str | None:
    """Return a small text file without surrounding blanks, or None where there is none."""
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES_MAX + 1)
        if len(content) > _FILE_BYTES_MAX:
            raise UsageFault(
                f"{path} is larger than {_FILE_BYTES_MAX} bytes; it is not a file of settings"
            )
        return content.decode().strip()
    except (FileNotFoundError, NotADirectoryError) as err:
        if must_exist:
            raise UsageFault(
                f"{path} does not exist", mend="give --key-file the path of a file with the key"
            ) from err
        return None
    except OSError as err:
        raise UsageFault(f"cannot read {path}: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise UsageFault(f"{path} is not a text file") from err


def _from_json(path: Path, text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError as err:
        raise UsageFault(
            f"{path} is not valid JSON: {err}", mend="delete it; `shoal dev` writes it anew"
        ) from err
    return _strings(path, found)


def _from_toml(path: Path, text: str) -> dict[str, str]:
    import tomllib

    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise UsageFault(f"{path} is not valid TOML: {err}") from err
    strings = _strings(path, found)
    for name in ("key", "token"):
        if f"{name}_file" in strings and not strings.get(name):
            kept = Path(strings[f"{name}_file"]).expanduser()
            strings[name] = _text(path.parent / kept, must_exist=True) or ""
    for name in ("ca_file", "admin_socket"):
        if strings.get(name):
            strings[name] = str(path.parent / Path(strings[name]).expanduser())
    return strings


def _strings(path: Path, found: Any) -> dict[str, str]:
    if not isinstance(found, dict):
        raise UsageFault(f"{path} does not hold settings by name")
    for name in (*ENVIRONMENT, "key_file", "token_file"):
        if name in found and not isinstance(found[name], str):
            raise UsageFault(f"{path}: '{name}' is not a text")
    return {k: v for k, v in found.items() if isinstance(v, str)}


def _missing(names: list[str]) -> UsageFault:
    why = [f"the {name} of the service is not set" for name in names]
    variables = ", ".join(ENVIRONMENT[name] for name in names)
    return UsageFault(
        why,
        mend=f"start a service of your own with `shoal dev` and work in the same folder,\n"
        f"or set {variables} as `shoal dev` prints them,\n"
        "or give --endpoint, --account and --key-file,\n"
        "or write them to ~/.config/shoal/config.toml",
    )


def _endpoint(text: str, source: str) -> str:
    # The account's endpoint is often written as a bare host; every client then means https.
    whole = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(whole)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
        parts = urlsplit("")
    if not valid or parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise UsageFault(
            f"the endpoint '{text}' (from {source}) is not the address of a service",
            mend="write it as http://127.0.0.1:10100 or https://host",
        )
    return f"{parts.scheme}://{parts.netloc}"


def _is_private(endpoint: str) -> bool:
    """Return whether what is sent to an endpoint stays on this machine or is encrypted."""
    parts = urlsplit(endpoint)
    return parts.scheme == "https" or parts.hostname in ("127.0.0.1", "::1", "localhost")


def _key(text: str, source: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as err:
        raise UsageFault(
            f"the account key (from {source}) is not base64",
            mend="copy the whole key, with the '=' signs at its end",
        ) from err
