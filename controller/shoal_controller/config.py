"""What a controller is told from outside: one frozen Config, from controller.toml.

Keys are no configuration: they are made on the first start and live with the account's state.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec

from shoal_controller.core.account import ACCOUNT_NAME, QUOTA_MAX, QUOTA_NAMES
from shoal_controller.core.scheduler import Limits

API_PORT: Final = 10443
STORAGE_PORT: Final = 10000
"""Where Azurite listens too, so that tools that look for a local storage find this one."""
_LIMITS: Final = Limits()
_WHERE: Final = re.compile(r"^(.*) - at `\$\.?(.*)`$", re.DOTALL)

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=0, le=QUOTA_MAX)]


class BadConfig(Exception):
    """The configuration cannot be used; the text names the file and the key."""


class Address(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a server listens. port 0: a free one.

    url  how clients reach it; empty: http://host:port
    """

    host: str = "127.0.0.1"
    port: Port = 0
    url: str = ""

    def __post_init__(self) -> None:
        if not self.host:
            raise ValueError("host is empty")
        if self.url:
            parts = urlsplit(self.url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"url {self.url!r} is not http://... or https://...")
            if parts.query or parts.fragment or self.url.endswith("/"):
                raise ValueError(f"url {self.url!r} ends with the host or a path, no '/'")


class AccountSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One account: the limits that are set here, and therefore changed only here."""

    dedicated_core_count_max: Count | None = None
    low_priority_core_count_max: Count | None = None
    pool_count_max: Count | None = None
    active_job_count_max: Count | None = None

    @property
    def fixed_quotas(self) -> dict[str, int]:
        """By their names in core.account.Quotas, those that are set."""
        found = {name: getattr(self, f"{name}_max") for name in QUOTA_NAMES}
        return {name: count for name, count in found.items() if count is not None}


class LocalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nodes that are processes of this machine.

    controller_url  where their agents dial; empty: the API's port on this machine
    end_with_controller  they end when the controller is told to end; otherwise they go on, and the
                         next start takes them up
    disk_reserved_percent    of their disk; with less of it free they are full and run no tasks;
                             0: until nothing is left
    disk_reserved_bytes_max  but never more than so many bytes, for the disk is not theirs alone;
                             0: as much as the percentage says
    """

    controller_url: str = ""
    end_with_controller: bool = False
    disk_reserved_percent: Annotated[int, msgspec.Meta(ge=0, le=90)] = 10
    disk_reserved_bytes_max: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 1_000_000_000


class SchedulingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much one round of the scheduler does; see core.scheduler.Limits."""

    placements_max: Annotated[int, msgspec.Meta(ge=1)] = _LIMITS.placements_max
    ahead_s_max: Annotated[float, msgspec.Meta(ge=0)] = _LIMITS.ahead_s_max
    ahead_count_max: Count = _LIMITS.ahead_count_max
    stall_s: Annotated[float, msgspec.Meta(gt=0)] = _LIMITS.stall_s

    @property
    def limits(self) -> Limits:
        return Limits(
            placements_max=self.placements_max,
            ahead_s_max=self.ahead_s_max,
            ahead_count_max=self.ahead_count_max,
            stall_s=self.stall_s,
        )


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All a controller is told.

    data      the folder that holds everything; one controller at a time
    accounts  those that are always there; others are made and deleted by command
    """

    data: Path
    accounts: dict[str, AccountSettings] = {}
    listen: Address = Address(port=API_PORT)
    storage: Address = Address(port=STORAGE_PORT)
    local: LocalSettings = LocalSettings()
    scheduling: SchedulingSettings = SchedulingSettings()

    def __post_init__(self) -> None:
        for name in self.accounts:
            if not ACCOUNT_NAME.fullmatch(name):
                raise ValueError(
                    f"accounts.{name[:40]}: an account name has 3 to 24 characters, each a"
                    " lower-case letter or a digit"
                )


def load(path: Path) -> Config:
    """Return the configuration in a file; raise BadConfig naming what is wrong.

    A relative `data` is meant from the file's folder.
    """
    try:
        found = tomllib.loads(path.read_text())
    except OSError as err:
        raise BadConfig(f"{path} cannot be read: {err.strerror}") from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise BadConfig(f"{path} is not TOML: {err}") from err
    try:
        config = msgspec.convert(found, Config, dec_hook=_path)
    except msgspec.ValidationError as err:
        located = _WHERE.match(str(err))
        what, where = (located[1], located[2]) if located else (str(err), "")
        raise BadConfig(f"{path}: {where + ': ' if where else ''}{what}") from err
    return msgspec.structs.replace(config, data=(path.parent / config.data).absolute())


def _path(shape: type, value: object) -> object:
    if shape is Path and type(value) is str and value:
        return Path(value)
    raise ValueError("must be the path of a folder")


TEMPLATE: Final = f"""\
# A Shoal controller. Start it with: shoal-controller --config controller.toml
data = "data"                   # everything it keeps; from this file's folder

[listen]                        # the Batch API, and the address that agents dial
host = "127.0.0.1"
port = {API_PORT}
# url = "https://batch.example.org"      # how clients reach it, when not at host:port

[storage]                       # the blob gateway
host = "127.0.0.1"
port = {STORAGE_PORT}
# url = "https://blobs.example.org"

[accounts.myaccount]            # keys are made on the first start: shoal account keys myaccount
# dedicated_core_count_max = 100         # what is set here is changed only here, not by command
# low_priority_core_count_max = 100
# pool_count_max = 100
# active_job_count_max = 300

[local]                         # nodes that are processes of this machine
end_with_controller = false     # true: they end when the controller is told to end
disk_reserved_percent = 10      # with less of the disk free than that, and than
disk_reserved_bytes_max = 1000000000   # so many bytes, they run no tasks (DiskFull)
"""
