"""Which service, as whom: endpoint, account and key, gathered from where people keep them.

Order, first wins, each value on its own: options; AZURE_BATCH_* variables; `.shoal/connection.json`
here or in a folder above (`shoal dev` writes it); `~/.config/shoal/config.toml`. The key is never
taken from the command line, where every user of the machine could read it.
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
}
CONNECTION_FILE: Final = Path(".shoal") / "connection.json"
_FILE_BYTES_MAX: Final = 65_536


@dataclass(frozen=True, slots=True)
class Settings:
    """Where requests go and how they are signed.

    endpoint  scheme, host and port, no trailing slash
    key       the account key with base64 undone
    storage   a storage connection string, where files to send go; empty if none is known
    sources   where each value came from, for error messages
    """

    endpoint: str
    account: str
    key: bytes = field(repr=False)
    storage: str = field(default="", repr=False)
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says about the connection; empty where it says nothing."""

    endpoint: str = ""
    account: str = ""
    key_file: str = ""


def load(options: Options, environ: Mapping[str, str], folder: Path) -> Settings:
    """Gather the settings, or raise UsageFault that says what to set.

    folder  where the search for `.shoal/connection.json` begins; upwards to the root
    """
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    for source, found in _sources(options, environ, folder):
        for name, value in found.items():
            if value and name not in values:
                values[name] = value
                sources[name] = source
        if all(name in values for name in ENVIRONMENT):
            break
    missing = [name for name in ("endpoint", "account", "key") if name not in values]
    if missing:
        raise _missing(missing)
    return Settings(
        endpoint=_endpoint(values["endpoint"], sources["endpoint"]),
        account=values["account"],
        key=_key(values["key"], sources["key"]),
        storage=values.get("storage", ""),
        sources=sources,
    )


def _sources(
    options: Options, environ: Mapping[str, str], folder: Path
) -> Iterator[tuple[str, dict[str, str]]]:
    key = _text(Path(options.key_file), must_exist=True) if options.key_file else ""
    yield (
        "the command line",
        {"endpoint": options.endpoint, "account": options.account, "key": key or ""},
    )
    yield (
        "the environment",
        {name: environ.get(variable, "") for name, variable in ENVIRONMENT.items()},
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
    if "key_file" in strings and not strings.get("key"):
        key_path = Path(strings["key_file"]).expanduser()
        strings["key"] = _text(path.parent / key_path, must_exist=True) or ""
    return strings


def _strings(path: Path, found: Any) -> dict[str, str]:
    if not isinstance(found, dict):
        raise UsageFault(f"{path} does not hold settings by name")
    for name in ("endpoint", "account", "key", "key_file"):
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


def _key(text: str, source: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as err:
        raise UsageFault(
            f"the account key (from {source}) is not base64",
            mend="copy the whole key, with the '=' signs at its end",
        ) from err
