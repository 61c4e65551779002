"""What the agent asks its machine: address, cores, boot, locale. Reads only."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit


def machine_boot() -> str:
    """Return a name for the machine's present boot; monotonic clocks are comparable within one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def core_count() -> int:
    """Return how many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return os.cpu_count() or 1


def address_towards(url: str) -> str:
    """Return the address that this machine uses to reach `url`; nothing is sent for that."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        infos = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_DGRAM)
        family, kind, _, _, address = infos[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError:
        return "127.0.0.1"


def language() -> str:
    """Return the node's LANG for tasks."""
    return os.environ.get("LANG") or "C.UTF-8"
