"""A blob gateway for tests: in a thread of this process, or as a process that can be killed.

`python -m tests.conformance.blobgateway.server FOLDER` prints its port and serves until killed.
"""

import asyncio
import base64
import http.client
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError

from shoal_controller.blobgateway import BlobStore, StorageAccount, create_app, serve
from shoal_controller.blobgateway.conditions import format_http_date
from shoal_controller.blobgateway.sharedkey import SignedParts, authorization
from shoal_controller.blobgateway.web.call import parse_target

ACCOUNT = "dev"
KEY = b"the key of the account called dev"
OTHER_ACCOUNT = "other"
OTHER_KEY = b"the key of the account called other"
VERSION = "2021-12-02"


def code_of(caught: pytest.ExceptionInfo[HttpResponseError]) -> str:
    """Return the code of a refusal that azure-storage-blob raised."""
    return getattr(caught.value, "error_code", "")


class ShiftedClock:
    """The time of this machine, moved by `shift`: SDKs sign with the real time."""

    def __init__(self) -> None:
        self.shift = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.shift


@dataclass
class Reply:
    """What came back over a bare connection; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        return self.headers.get("x-ms-error-code")


def connection_string(port: int, account: str = ACCOUNT, key: bytes = KEY) -> str:
    return (
        f"DefaultEndpointsProtocol=http;AccountName={account};"
        f"AccountKey={base64.b64encode(key).decode()};"
        f"BlobEndpoint=http://127.0.0.1:{port}/{account};"
    )


def send(
    port: int,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Reply:
    """One request exactly as written: no path is normalised, nothing is signed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        encoded = {name: value.encode() for name, value in (headers or {}).items()}
        connection.request(method, path, body, encoded)
        response = connection.getresponse()
        told = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, told, response.read())
    finally:
        connection.close()


def signed(
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    *,
    account: str = ACCOUNT,
    key: bytes = KEY,
    date: datetime | None = None,
) -> dict[str, str]:
    """`headers` and what SharedKey adds to them."""
    lower = {name.lower(): value for name, value in (headers or {}).items()}
    lower.setdefault("x-ms-version", VERSION)
    lower["x-ms-date"] = format_http_date(date or datetime.now(UTC))
    if body is not None or method == "PUT":
        lower.setdefault("content-length", str(len(body or b"")))
    target = parse_target(path)
    parts = SignedParts(method, target.path, target.query, lower)
    return lower | {"authorization": authorization(account, key, parts)}


class RunningGateway:
    """A gateway with two accounts in a thread of its own, so that blocking clients can call it."""

    def __init__(self, folder: Path) -> None:
        self.clock = ShiftedClock()
        self.port = 0
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()))

    def __enter__(self) -> "RunningGateway":
        self._thread.start()
        assert self._ready.wait(20), "the gateway did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        self._loop.close()

    @property
    def connection_string(self) -> str:
        return connection_string(self.port)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """A request without credentials, unless the path has a SAS."""
        return send(self.port, method, path, headers, body)

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """A request signed with the key of account dev."""
        return send(self.port, method, path, signed(method, path, headers, body), body)

    async def _run(self) -> None:
        stores = {
            ACCOUNT: (KEY, await BlobStore.open(self._folder / ACCOUNT, self.clock)),
            OTHER_ACCOUNT: (OTHER_KEY, await BlobStore.open(self._folder / "two", self.clock)),
        }
        accounts = {name: StorageAccount((key,), store) for name, (key, store) in stores.items()}
        runner, self.port = await serve(create_app(accounts, self.clock), "127.0.0.1", 0)
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()
        for _, store in stores.values():
            await store.close()


async def main(folder: Path) -> None:
    clock = ShiftedClock()
    store = await BlobStore.open(folder, clock)
    app = create_app({ACCOUNT: StorageAccount((KEY,), store)}, clock)
    _, port = await serve(app, "127.0.0.1", 0)
    print(port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
