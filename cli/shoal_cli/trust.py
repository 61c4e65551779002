"""Whom a connection trusts: the system's certificates, or those that the settings name."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import aiohttp

from shoal_cli.faults import UsageFault
from shoal_cli.settings import Settings


def connector(settings: Settings, *, also_system: bool = False) -> aiohttp.BaseConnector:
    """Return what opens connections to the service; raise UsageFault for a useless ca_file.

    also_system  for storage, which may be somebody else's: the system's certificates do as well
    """
    if settings.admin_socket:
        return aiohttp.UnixConnector(_short(Path(settings.admin_socket)))
    if not settings.ca_file:
        return aiohttp.TCPConnector()
    try:
        trusted = ssl.create_default_context(cafile=settings.ca_file)
        if also_system:
            trusted.load_default_certs()
    except (OSError, ssl.SSLError) as err:
        source = settings.sources.get("ca_file", "the settings")
        reason = getattr(err, "strerror", None) or err
        raise UsageFault(
            f"cannot trust the certificates in {settings.ca_file} (from {source}): {reason}"
        ) from err
    return aiohttp.TCPConnector(ssl=trusted)


def _short(path: Path) -> str:
    """Return a name of a socket that is short enough for the system, through its folder."""
    try:
        folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)  # for as long as we live
    except OSError:
        return str(path)  # connecting will tell what is wrong with it
    return f"/proc/self/fd/{folder}/{path.name}"
