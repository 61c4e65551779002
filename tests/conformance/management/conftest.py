"""The house of the other conformance tests, with a real storage, and callers of its management."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from yarl import URL

from shoal_controller.blobgateway import BlobStore, StorageAccount
from shoal_controller.blobgateway import create_app as create_storage_app
from shoal_controller.blobs import AccountBlobs
from shoal_controller.core.account import Account
from shoal_controller.operations.context import Context
from tests.conformance.conftest import (
    ACCOUNT,
    KEY,
    SECOND_KEY,
    Answer,
    Caller,
    House,
    NoLinks,
    StillClock,
)

STORAGE_KEY = b"the key of the storage of tests."
VERSION = "2025-06-01"
GROUP = "/subscriptions/sub-1/resourceGroups/My-Group"
ROOT = f"{GROUP}/providers/Microsoft.Batch/batchAccounts/{ACCOUNT}"


@dataclass
class StockedHouse(House):
    """A house with a storage behind the blob gateway."""

    store: BlobStore = field(kw_only=True)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[StockedHouse]:
    clock, links = StillClock(), NoLinks()
    store = await BlobStore.open(tmp_path / "blobs", clock)
    gateway = create_storage_app({ACCOUNT: StorageAccount((STORAGE_KEY,), store)}, clock)
    async with TestServer(gateway, host="127.0.0.1") as server:
        url = str(server.make_url("")).rstrip("/")
        ctx = Context(
            Account(ACCOUNT, (KEY, SECOND_KEY)),
            tmp_path / "account.sqlite",
            clock,
            links,
            public_url="http://batch.test:10443",
            blobs=AccountBlobs(ACCOUNT, store, url, lambda: STORAGE_KEY),
        )
        yield StockedHouse(ctx, clock, links, store=store)
        await ctx.close()
    await store.close()


@dataclass
class Manager:
    """Sends management requests, signed as the Batch service's are."""

    caller: Caller
    version: str = VERSION

    async def send(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """Send a request to a path below the account's, or to one that begins with a slash."""
        whole = path if path.startswith("/") else f"{ROOT}/{path}".rstrip("/")
        query = more.pop("query", "")
        if "api-version=" not in query:
            query = "&".join(filter(None, [query, f"api-version={self.version}"]))
        return await self.caller.send(method, whole, body, query=query, **more)

    async def get(self, path: str, query: str = "") -> Answer:
        return await self.send("GET", path, query=query)

    async def put(self, path: str, body: Any = None, **more: Any) -> Answer:
        return await self.send("PUT", path, body, **more)

    async def made(self, path: str, body: Any = None) -> Any:
        """Put something that a test takes for granted, and return it."""
        answer = await self.put(path, body)
        assert answer.status == 200, answer.body
        return answer.json

    async def upload(self, url: str, content: bytes) -> int:
        """Put content where a package's URL says, as storage clients do; return the status."""
        headers = {"x-ms-blob-type": "BlockBlob", "x-ms-version": "2021-08-06"}
        async with self.caller.session.put(
            URL(url, encoded=True), data=content, headers=headers
        ) as response:
            return response.status

    async def packaged(self, app: str, version: str, content: bytes | None = None) -> Any:
        """Create an application with an active package, and return the package."""
        await self.made(f"applications/{app}")
        package = await self.made(f"applications/{app}/versions/{version}")
        assert await self.upload(package["properties"]["storageUrl"], content or a_zip()) == 201
        answer = await self.activate(app, version)
        assert answer.status == 200, answer.body
        return answer.json

    async def activate(self, app: str, version: str, form: str = "zip") -> Answer:
        path = f"applications/{app}/versions/{version}/activate"
        return await self.send("POST", path, {"format": form})


@pytest.fixture
def manager(caller: Caller) -> Manager:
    return Manager(caller)


def a_zip(files: Mapping[str, bytes] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, content in (files or {"run.sh": b"#!/bin/sh\n"}).items():
            made.writestr(zipfile.ZipInfo(name), content)  # the same at any time
    return buffer.getvalue()


def error_of(answer: Answer) -> dict[str, Any]:
    """Return an error of the management interface, its details by code."""
    assert set(answer.json) == {"error"}, answer.body
    error = answer.json["error"]
    assert error.keys() <= {"code", "message", "target", "details"}
    assert "\nRequestId:" in error["message"]
    assert "\nTime:" in error["message"]
    details = {detail["code"]: detail["message"] for detail in error.get("details", [])}
    return {"status": answer.status, **error, "details": details}


async def content_of(session: ClientSession, url: str) -> tuple[int, bytes]:
    """Return what a URL leads to."""
    async with session.get(URL(url, encoded=True)) as response:
        return response.status, await response.read()
