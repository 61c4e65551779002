"""shoal-controller init: a controller.toml to start from, and whom clients shall trust."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from shoal_controller import privateca
from shoal_controller.config import API_PORT, STORAGE_PORT, BadConfig, TlsSettings

_AUTHORITY: Final = "tls"


def write_folder(folder: Path, hosts: Sequence[str], now: datetime) -> list[Path]:
    """Write controller.toml, and with `hosts` a private authority; return what people need of it.

    hosts   names and addresses that other machines reach the controller by; none: only this one
            does, over plain http
    raises  BadConfig when there is a controller.toml, or a host is none
    """
    path, authority = folder / "controller.toml", folder / _AUTHORITY
    if hosts:
        try:
            TlsSettings(authority=authority, hosts=tuple(hosts))
        except ValueError as err:
            raise BadConfig(str(err)) from err
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(_settings(hosts))
        if not hosts:
            return [path]
        privateca.make_authority(authority, now)
    except FileExistsError as err:
        there = path if folder.is_dir() else folder
        raise BadConfig(f"{there} is there already") from err
    except OSError as err:
        raise BadConfig(f"{path} cannot be written: {err.strerror}") from err
    return [path, authority / "ca.pem"]


def _settings(hosts: Sequence[str]) -> str:
    if not hosts:
        return _TEMPLATE.format(
            bound="127.0.0.1",
            api_url='# url = "https://batch.example.org"',
            storage_url='# url = "https://blobs.example.org"',
            tls=_TLS_OFF,
        )
    name = f"[{hosts[0]}]" if ":" in hosts[0] else hosts[0]
    return _TEMPLATE.format(
        bound="0.0.0.0",
        api_url=f'url = "https://{name}:{API_PORT}"',
        storage_url=f'url = "https://{name}:{STORAGE_PORT}"',
        tls=_TLS_ON.format(hosts=json.dumps(list(hosts))),
    )


_TLS_OFF: Final = """\
# [tls]                         # a certificate of your own; or: authority = "tls", hosts = [...]
# certificate = "fullchain.pem"
# key = "privkey.pem\""""
_TLS_ON: Final = """\
[tls]                           # a private authority; clients and agents trust tls/ca.pem
authority = "tls"
hosts = {hosts}"""
_TEMPLATE: Final = f"""\
# A Shoal controller. Start it with: shoal-controller --config controller.toml
data = "data"                   # everything it keeps; from this file's folder

[listen]                        # the Batch API, and the address that agents dial
host = "{{bound}}"
port = {API_PORT}
{{api_url}}      # how clients reach it, when not at host:port

[storage]                       # the blob gateway
host = "{{bound}}"
port = {STORAGE_PORT}
{{storage_url}}

{{tls}}

[accounts.myaccount]            # keys are made on the first start: shoal account keys myaccount
# dedicated_core_count_max = 100         # what is set here is changed only here, not by command
# low_priority_core_count_max = 100
# pool_count_max = 100
# active_job_count_max = 300

# [rate_limit]                  # of each account; what comes beyond gets 503 and Retry-After
# requests_per_s = 50
# burst = 200

# [[issuers]]                   # an identity provider (OIDC) whose tokens are trusted
# issuer = "https://login.example.org/realms/lab"
# audience = "https://batch.core.windows.net/"
# keys_url = "https://login.example.org/realms/lab/protocol/openid-connect/certs"
# [[issuers.rules]]             # whose tokens may do what: reader, contributor or owner
# claim = ["realm_access", "roles"]
# value = "batch-users"
# account = "myaccount"
# role = "contributor"

[local]                         # nodes that are processes of this machine
end_with_controller = false     # true: they end when the controller is told to end
disk_reserved_percent = 10      # with less of the disk free than that, and than
disk_reserved_bytes_max = 1000000000   # so many bytes, they run no tasks (DiskFull)
"""
