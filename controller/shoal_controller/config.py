"""What a controller is told from outside: one frozen Config, from controller.toml.

Keys are no configuration: they are made on the first start and live with the account's state.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec

from shoal_controller.core.access import Role
from shoal_controller.core.account import ACCOUNT_NAME, QUOTA_MAX, QUOTA_NAMES
from shoal_controller.core.claims import ALGORITHMS
from shoal_controller.core.scheduler import Limits

API_PORT: Final = 10443
STORAGE_PORT: Final = 10000
"""Where Azurite listens too, so that tools that look for a local storage find this one."""
_LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST: Final = re.compile(rf"(?=.{{1,253}}\Z)(\*\.)?{_LABEL}(\.{_LABEL})*")
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


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the API and storage are encrypted: by a certificate of one's own, or a private authority.

    certificate, key  PEM files; the certificate's chain follows it
    ca_file           what clients on this machine trust where the system does not know the signer
    authority         a folder: it is made where it is not, and signs for `hosts` by itself
    """

    certificate: Path | None = None
    key: Path | None = None
    ca_file: Path | None = None
    authority: Path | None = None
    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        if (self.certificate is None) == (self.authority is None):
            raise ValueError("exactly one of certificate and authority says what is shown")
        if self.authority is None and self.hosts:
            raise ValueError("hosts are what the authority signs for; a certificate has its own")
        if self.authority is not None and self.ca_file is not None:
            raise ValueError("ca_file goes with a certificate; an authority has its own")
        for host in self.hosts:
            if not _is_host(host):
                raise ValueError(f"host {host[:80]!r} is neither a name nor an address")

    @property
    def shown(self) -> Path:
        """The certificate that clients are shown."""
        if self.authority is not None:
            return self.authority / "server.pem"
        assert self.certificate is not None
        return self.certificate

    @property
    def shown_key(self) -> Path:
        """The key of the certificate that is shown."""
        if self.authority is not None:
            return self.authority / "server.key"
        assert self.key is not None
        return self.key

    @property
    def trusted(self) -> Path | None:
        """What clients have to trust; None: the system's certificates do."""
        return self.ca_file if self.authority is None else self.authority / "ca.pem"


class RateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many requests each account may send.

    requests_per_s  in the long run; 0: no limit
    burst           so many may come at once after a pause
    """

    requests_per_s: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] = 0
    burst: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 100


class RuleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose tokens may do what: see core.claims.Rule. A claim may be a path of names."""

    claim: str | list[str]
    value: str
    role: Role
    account: str = ""
    account_claim: str | list[str] = ""

    def __post_init__(self) -> None:
        if not self.claim or not self.value:
            raise ValueError("claim and value say whose tokens are meant; neither may be empty")
        if bool(self.account) == bool(self.account_claim):
            raise ValueError("exactly one of account and account_claim says which account it is")


class IssuerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An identity provider whose tokens are trusted.

    keys_url, keys_file  one of them: where its JWK set is
    ca_file              certificates to trust at keys_url, instead of the system's
    """

    issuer: str
    audience: str | list[str]
    keys_url: str = ""
    keys_file: Path | None = None
    ca_file: Path | None = None
    algorithms: tuple[str, ...] = ("RS256",)
    rules: list[RuleSettings] = []

    def __post_init__(self) -> None:
        if not self.issuer or not self.audience or "" in several(self.audience):
            raise ValueError("issuer and audience are what tokens have; neither may be empty")
        if bool(self.keys_url) == (self.keys_file is not None):
            raise ValueError("exactly one of keys_url and keys_file says where the keys are")
        if self.keys_url and not _is_private(self.keys_url):
            raise ValueError(f"keys_url {self.keys_url!r} is not https:// (nor on this machine)")
        unknown = set(self.algorithms) - ALGORITHMS
        if unknown or not self.algorithms:
            allowed = ", ".join(sorted(ALGORITHMS))
            raise ValueError(f"algorithms are of {allowed}; not {', '.join(sorted(unknown))}")
        if not self.rules:
            raise ValueError("rules is empty: nobody could do anything with its tokens")


def _is_host(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(text))
    return _HOST.fullmatch(text) is not None


def several(names: str | list[str]) -> tuple[str, ...]:
    """Return what may be written as one text or as a list of them; none for an empty text."""
    if isinstance(names, str):
        return (names,) if names else ()
    return tuple(names)


def is_loopback(host: str) -> bool:
    """Return whether what is sent to a host stays on this machine."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host.lower() == "localhost"


def _is_private(url: str) -> bool:
    """Return whether nobody on the way can change what is fetched from a URL."""
    parts = urlsplit(url)
    if parts.scheme == "http":
        return is_loopback(parts.hostname or "")
    return parts.scheme == "https" and bool(parts.hostname)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All a controller is told.

    data      the folder that holds everything; one controller at a time
    accounts  those that are always there; others are made and deleted by command
    issuers   whose tokens are trusted beside the account keys
    """

    data: Path
    accounts: dict[str, AccountSettings] = {}
    listen: Address = Address(port=API_PORT)
    storage: Address = Address(port=STORAGE_PORT)
    local: LocalSettings = LocalSettings()
    scheduling: SchedulingSettings = SchedulingSettings()
    tls: TlsSettings | None = None
    rate_limit: RateSettings = RateSettings()
    issuers: list[IssuerSettings] = []

    def __post_init__(self) -> None:
        for name in self.accounts:
            if not ACCOUNT_NAME.fullmatch(name):
                raise ValueError(
                    f"accounts.{name[:40]}: an account name has 3 to 24 characters, each a"
                    " lower-case letter or a digit"
                )
        names = [issuer.issuer for issuer in self.issuers]
        if len(names) > len(set(names)):
            raise ValueError("issuers: two of them have the same name")


def load(path: Path) -> Config:
    """Return the configuration in a file; raise BadConfig naming what is wrong.

    Relative paths are meant from the file's folder.
    """
    try:
        found = tomllib.loads(path.read_text())
    except OSError as err:
        raise BadConfig(f"{path} cannot be read: {err.strerror}") from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise BadConfig(f"{path} is not TOML: {err}") from err
    try:
        return msgspec.convert(found, Config, dec_hook=_from(path.parent))
    except msgspec.ValidationError as err:
        located = _WHERE.match(str(err))
        what, where = (located[1], located[2]) if located else (str(err), "")
        raise BadConfig(f"{path}: {where + ': ' if where else ''}{what}") from err


def _from(folder: Path) -> Callable[[type, object], object]:
    def read(shape: type, value: object) -> object:
        if shape is Path and type(value) is str and value:
            return (folder / value).absolute()
        raise ValueError("must be a path")

    return read
