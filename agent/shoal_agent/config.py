"""What an agent is told at its start: one frozen Config, read from a TOML file."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

UserPolicy = Literal["auto", "create", "none"]
_NUMBERS: Final = frozenset({"transfers_max", "disk_reserved_percent", "disk_reserved_bytes_max"})
_NODE_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z")


class BadConfig(Exception):
    """The configuration cannot be used; the message says what and where."""


@dataclass(frozen=True, slots=True)
class Config:
    """One node's agent.

    node_id          the node's name in its pool
    controller_url   http(s)://host:port, without a path
    root             AZ_BATCH_NODE_ROOT_DIR; tasks see it
    private_dir      keys, journal and socket; outside of root, closed to everybody else (0700)
    join_token_file  the one-time token; not needed once the node has its key
    ca_file          certificates to trust instead of the system's, for https
    users            "create": tasks run as users of their own, made by this agent, which is root;
                     "none": as the agent's own user; "auto": create where it is possible
    transfers_max    downloads and uploads at a time
    ip_address       what the controller shows; "": the one used towards it
    disk_reserved_percent    of the root's disk; with less of it free the node is full and runs no
                             tasks; 0: until nothing is left
    disk_reserved_bytes_max  but never more than so many bytes; 0: as much as the percentage says
    log_file         where what the agent prints is kept, if in a file
    """

    node_id: str
    controller_url: str
    root: Path
    private_dir: Path
    join_token_file: Path | None = None
    ca_file: Path | None = None
    users: UserPolicy = "auto"
    transfers_max: int = 16
    ip_address: str = ""
    disk_reserved_percent: int = 10
    disk_reserved_bytes_max: int = 0
    log_file: Path | None = None

    @property
    def key_file(self) -> Path:
        """Where the node's key is kept."""
        return self.private_dir / "node.key"

    @property
    def journal_dir(self) -> Path:
        """Where the journal is kept."""
        return self.private_dir / "journal"


def load(path: Path) -> Config:
    """Read a configuration file, or raise BadConfig. Relative paths start at the file's folder."""
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise BadConfig(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise BadConfig(f"{path} is not TOML: {error}") from error
    return parse(values, path.parent.resolve())


def parse(values: dict[str, Any], folder: Path) -> Config:
    """Return the Config that a file's values mean, or raise BadConfig."""
    known = set(Config.__dataclass_fields__)
    if unknown := sorted(values.keys() - known):
        raise BadConfig(f"unknown setting '{unknown[0]}'; known are {', '.join(sorted(known))}")
    for name in ("node_id", "controller_url", "root", "private_dir"):
        if type(values.get(name)) is not str or not values[name]:
            raise BadConfig(f"setting '{name}' is missing")
    for name, value in values.items():
        wanted = int if name in _NUMBERS else str
        if type(value) is not wanted:
            raise BadConfig(f"setting '{name}' is not {'a number' if wanted is int else 'text'}")
    for name in ("root", "private_dir", "join_token_file", "ca_file", "log_file"):
        if name in values:
            values[name] = (folder / values[name]).resolve()
    config = Config(**values)
    if not _NODE_ID.match(config.node_id):
        raise BadConfig("setting 'node_id' is no node id")
    url = urlsplit(config.controller_url)
    if url.scheme not in ("http", "https") or not url.hostname or url.path not in ("", "/"):
        raise BadConfig("setting 'controller_url' is not http(s)://host:port")
    if config.users not in ("auto", "create", "none"):
        raise BadConfig("setting 'users' is one of auto, create, none")
    if config.private_dir.is_relative_to(config.root):
        raise BadConfig("'private_dir' lies inside 'root', where tasks could read it")
    if config.root.is_relative_to(config.private_dir):
        raise BadConfig("'root' lies inside 'private_dir', which is closed to tasks")
    if not 1 <= config.transfers_max <= 1024:
        raise BadConfig("setting 'transfers_max' is from 1 to 1024")
    if not 0 <= config.disk_reserved_percent <= 90:
        raise BadConfig("setting 'disk_reserved_percent' is from 0 to 90")
    if config.disk_reserved_bytes_max < 0:
        raise BadConfig("setting 'disk_reserved_bytes_max' is a count of bytes, or 0 for no limit")
    return config
