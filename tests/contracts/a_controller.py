"""A whole controller in this process, and who may open its socket."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from shoal_controller.config import AccountSettings, Address, Config, LocalSettings, TlsSettings
from shoal_controller.main import ADMIN_SOCKET, Controller, running
from tests.raw_client import Failed, RawClient


@contextlib.asynccontextmanager
async def started(
    data: Path, *names: str, tls: TlsSettings | None = None, issuers: Any = (), **settings: Any
) -> AsyncIterator[Site]:
    """Run a controller whose configuration names these accounts, each with these settings."""
    config = Config(
        data=data,
        accounts={name: AccountSettings(**settings) for name in names},
        listen=Address(),
        storage=Address(),
        local=LocalSettings(end_with_controller=True),
        tls=tls,
        issuers=list(issuers),
    )
    folder = os.open(data.parent, os.O_PATH)
    path = f"/proc/self/fd/{folder}/{data.name}/{ADMIN_SOCKET}"
    try:
        async with (
            running(config) as controller,
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session,
        ):
            yield Site(controller, session)
    finally:
        os.close(folder)


class Site:
    """A controller, and who may open its socket."""

    def __init__(self, controller: Controller, session: aiohttp.ClientSession) -> None:
        self.controller = controller
        tls = controller.config.tls
        self.ca_file = "" if tls is None or tls.trusted is None else str(tls.trusted)
        self._session = session

    async def ask(self, method: str, path: str = "", body: Any = None) -> tuple[int, Any]:
        """Return the status and the document of an answer of the socket."""
        url = f"http://localhost/shoal/v1/accounts{path}"
        async with self._session.request(method, url, json=body) as answer:
            text = await answer.read()
            return answer.status, await answer.json() if text else None

    async def keys(self, name: str) -> dict[str, Any]:
        status, keys = await self.ask("POST", f"/{name}/listkeys")
        assert status == 200
        return keys

    def client(self, name: str, key: str) -> RawClient:
        """Return a client that trusts what the controller shows."""
        return RawClient(
            {
                "AZURE_BATCH_ENDPOINT": self.controller.api_url,
                "AZURE_BATCH_ACCOUNT": name,
                "AZURE_BATCH_ACCESS_KEY": key,
                "SHOAL_CA_FILE": self.ca_file,
            }
        )

    async def status(self, name: str, key: str) -> int:
        async with self.client(name, key) as client:
            try:
                await client.call("GET", "/jobs")
            except Failed as failed:
                return failed.status
            return 200
