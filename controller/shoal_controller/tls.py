"""The certificate that a controller shows: taken anew when its files change, nobody cut off."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Final

from shoal_controller import privateca
from shoal_controller.clock import Clock
from shoal_controller.config import BadConfig, TlsSettings

log = logging.getLogger(__name__)

WATCH_S: Final = 5.0
"""How soon a new certificate is noticed."""
ENSURE_S: Final = 3600.0
"""How often the private authority is asked whether its certificate still does."""

_Stamp = tuple[tuple[int, int, int], ...]


class ServerTls:
    """What the listeners of a controller show to who connects.

    context  for a server: each handshake is done with what was loaded last; connections that were
             made with an older certificate go on
    """

    def __init__(self, settings: TlsSettings, clock: Clock) -> None:
        """Load the certificate, or raise BadConfig; a private authority is made where none is."""
        self._settings = settings
        self._clock = clock
        self._ensure()
        self._ensured_s = clock.monotonic()
        self._stamp = self._files()
        try:
            self.context, self._current = self._load(), self._load()
            self._note_end()
        except (OSError, ValueError) as err:
            raise BadConfig(f"tls: {settings.shown}: {_reason(err)}") from err
        self.context.sni_callback = self._choose

    def refresh(self) -> bool:
        """Take new files if there are any; return whether that was so. Bad ones change nothing."""
        now_s = self._clock.monotonic()
        if now_s - self._ensured_s > ENSURE_S:
            self._ensured_s = now_s
            self._ensure()
        stamp = self._files()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._current = self._load()
            self._note_end()
        except (OSError, ValueError) as err:
            # Perhaps one of the two files is still to come; the old certificate stays until then.
            log.warning("tls: the new %s is not taken: %s", self._settings.shown, _reason(err))
            return False
        log.info("tls: %s is shown from now on", self._settings.shown)
        return True

    async def watch(self) -> None:
        """Look after the files for ever."""
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                await asyncio.to_thread(self.refresh)
            except (BadConfig, OSError, ValueError) as err:
                log.warning("tls: %s", err)

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        del name
        connection.context = self._current

    def _ensure(self) -> None:
        authority = self._settings.authority
        if authority is None:
            return
        now = self._clock.now()
        if not authority.exists():
            try:
                privateca.make_authority(authority, now)
            except OSError as err:
                raise BadConfig(f"tls.authority: {authority}: {err.strerror}") from err
            log.info("tls: made a private authority; clients trust %s", authority / "ca.pem")
        if privateca.ensure_server(authority, self._settings.hosts, now):
            log.info("tls: the private authority signed a new certificate")

    def _load(self) -> ssl.SSLContext:
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        # A key with a passphrase would be asked for at the terminal.
        made.load_cert_chain(self._settings.shown, self._settings.shown_key, password=_no_password)
        return made

    def _note_end(self) -> None:
        left = privateca.ends_at(self._settings.shown) - self._clock.now()
        if left < privateca.RENEWAL:
            log.warning("tls: %s ends in %d days", self._settings.shown, left.days)

    def _files(self) -> _Stamp:
        return tuple(_stamp(path) for path in (self._settings.shown, self._settings.shown_key))


def _no_password() -> bytes:
    return b""


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns


def _reason(err: Exception) -> str:
    if isinstance(err, ssl.SSLError):
        return f"certificate and key cannot be used together ({err.reason or err})"
    if isinstance(err, OSError):
        return f"{err.filename or 'a file'} cannot be read: {err.strerror}"
    return str(err)
