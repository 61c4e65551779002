"""The least a client can be: signed requests over kept connections; no SDK, no retries."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from shoal_protocol.sharedkey import SignedParts, sign

API_VERSION = "2025-06-01"
JSON = "application/json; odata=minimalmetadata"


class Failed(Exception):
    """The service answered with an error of this status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class RawClient:
    """One account's API, as the environment of `shoal dev -- CMD` names it."""

    def __init__(self, settings: Mapping[str, str] = os.environ) -> None:
        self._endpoint = settings["AZURE_BATCH_ENDPOINT"].rstrip("/")
        self._account = settings["AZURE_BATCH_ACCOUNT"]
        self._key = base64.b64decode(settings["AZURE_BATCH_ACCESS_KEY"])
        ca_file = settings.get("SHOAL_CA_FILE")
        trusted = ssl.create_default_context(cafile=ca_file) if ca_file else True
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def call(self, method: str, path: str, body: bytes | None = None, query: str = "") -> Any:
        """Return the JSON of an answer (None without a body); raise Failed for an error."""
        text = await self.read(method, path, body, query)
        return json.loads(text) if text else None

    async def read(
        self, method: str, path: str, body: bytes | None = None, query: str = ""
    ) -> bytes:
        """Return the body of an answer; raise Failed for an error. The query is encoded already."""
        if "api-version=" not in query:
            query = "&".join(filter(None, [query, f"api-version={API_VERSION}"]))
        headers = {"ocp-date": format_datetime(datetime.now(UTC), usegmt=True)}
        if body is not None:
            headers["Content-Type"] = JSON
            headers["Content-Length"] = str(len(body))
        elif method != "GET":
            headers["Content-Length"] = "0"
        signed = {name.lower(): value for name, value in headers.items()}
        parts = SignedParts(method, path, query, signed)
        headers["Authorization"] = sign(self._key, self._account, parts)
        url = URL(f"{self._endpoint}{path}?{query}", encoded=True)
        async with self._session.request(
            method, url, data=body, headers=headers, skip_auto_headers=("Content-Type",)
        ) as answer:
            text = await answer.read()
            if answer.status >= 400:
                raise Failed(f"{method} {path}: {answer.status} {text.decode()}", answer.status)
            return text

    async def follow(self, link: str) -> bytes:
        """Return what a link to a next page leads to, taken as it is."""
        url = URL(link, encoded=True)
        return await self.read("GET", url.raw_path, query=url.raw_query_string)

    async def make_pool(self, pool_id: str, nodes: int) -> None:
        """Make a pool of one-slot nodes and wait until all are idle."""
        image = (await self.call("GET", "/supportedimages"))["value"][0]
        pool = {
            "id": pool_id,
            "vmSize": "standard_d1_v2",
            "targetDedicatedNodes": nodes,
            "virtualMachineConfiguration": {
                "imageReference": image["imageReference"],
                "nodeAgentSKUId": image["nodeAgentSKUId"],
            },
        }
        await self.call("POST", "/pools", json.dumps(pool).encode())
        while True:
            found = (await self.call("GET", f"/pools/{pool_id}/nodes"))["value"]
            if [node["state"] for node in found] == ["idle"] * nodes:
                return
            await asyncio.sleep(0.1)

    async def make_job(self, job_id: str, pool_id: str) -> None:
        """Make a job."""
        job = {"id": job_id, "poolInfo": {"poolId": pool_id}}
        await self.call("POST", "/jobs", json.dumps(job).encode())

    async def add_no_ops(self, job_id: str, count: int, *, connections: int = 4) -> None:
        """Add so many tasks of /bin/true, a hundred a request, on several connections."""
        bodies = iter(
            [
                json.dumps(
                    {
                        "value": [
                            {"id": f"t{number}", "commandLine": "/bin/true", "userIdentity": ADMIN}
                            for number in range(first, min(first + 100, count))
                        ]
                    }
                ).encode()
                for first in range(0, count, 100)
            ]
        )

        async def send() -> None:
            for body in bodies:
                answer = await self.call("POST", f"/jobs/{job_id}/addtaskcollection", body)
                if any(item["status"].lower() != "success" for item in answer["value"]):
                    raise RuntimeError(f"a task was not added: {answer['value'][:1]}")

        await asyncio.gather(*(send() for _ in range(connections)))


# As the agent itself: the baselines do not change users either.
ADMIN = {"autoUser": {"scope": "pool", "elevationLevel": "admin"}}
