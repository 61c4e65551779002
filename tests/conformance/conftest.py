"""The real application over a real store, on a clock the tests own; no agent behind it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession, web
from yarl import URL

from shoal_controller.api import versions
from shoal_controller.api.app import create_app, create_runner
from shoal_controller.api.auth import Controller
from shoal_controller.api.call import http_date
from shoal_controller.core.account import Account
from shoal_controller.core.application import Application, Package, PackageState
from shoal_controller.core.changes import NodePut
from shoal_controller.core.errors import Unavailable
from shoal_controller.core.node import Node, NodeState
from shoal_controller.core.task import Ended, Placed, advance
from shoal_controller.loops.pools import reconcile_pools
from shoal_controller.operations import runs
from shoal_controller.operations.context import Context
from shoal_controller.store import applications, nodes, tasks
from shoal_controller.store.database import Tx
from shoal_protocol.messages import Message, Reply, Request
from shoal_protocol.sharedkey import SignedParts, sign
from shoal_protocol.specs import ExitInfo

ACCOUNT = "testaccount"
KEY = b"the key of the tests, 32 bytes.."
SECOND_KEY = b"another key that signs as well.."
JSON_TYPE = "application/json; odata=minimalmetadata"
VERSIONS = tuple(versions.VERSIONS)


class StillClock:
    """A clock that tests move by hand; each reading is one microsecond later than the last."""

    def __init__(self) -> None:
        self.time = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        self.time += timedelta(microseconds=1)
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


class NoLinks:
    """Nodes that are never there: what is sent to them is kept, what is asked fails."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, Message]] = []
        self.replies: list[Reply] = []
        self.requests: list[Any] = []

    def send(self, node_serial: int, message: Message) -> None:
        self.sent.append((node_serial, message))

    async def request(self, node_serial: int, request: Request) -> Reply:
        self.requests.append(request)
        if not self.replies:
            raise Unavailable("The node's agent is away.")
        return self.replies.pop(0)

    def forget(self, node_serial: int) -> None:
        pass


class PaperFleet:
    """Nodes that are nothing but rows: made at once, gone at once."""

    def __init__(self) -> None:
        self.made = 0

    async def create(self, node: Node, join_token: str) -> Mapping[str, Any]:
        return {}

    async def stop(self, node: Node) -> None:
        pass

    async def delete(self, node: Node) -> None:
        pass

    def cores(self, vm_size: str) -> int:
        return 1

    def new_node_id(self, *, is_dedicated: bool) -> str:
        self.made += 1
        return f"tvmps_{self.made:064x}_{'d' if is_dedicated else 'p'}"

    def new_secret(self) -> str:
        return f"secret {self.made}"


@dataclass
class House:
    """A controller of one account, as far as the door needs one."""

    ctx: Context
    clock: StillClock
    links: NoLinks

    def account(self, name: str) -> Context | None:
        return self.ctx if name == ACCOUNT else None

    def contexts(self) -> Iterable[Context]:
        return (self.ctx,)


@dataclass
class Answer:
    """A response, read."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error."""
        return self.json["code"]

    @property
    def values(self) -> dict[str, str]:
        """The values of an error, by key."""
        return {item["key"]: item["value"] for item in self.json.get("values", [])}


@dataclass
class Caller:
    """Signs and sends requests as a client would."""

    base: str
    session: ClientSession
    clock: StillClock
    version: str = "2025-06-01"
    key: bytes = KEY
    account: str = ACCOUNT
    extra: dict[str, str] = field(default_factory=dict)

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
        date: datetime | None = None,
        is_signed: bool = True,
    ) -> Answer:
        """Send a request. `path` and `query` are percent-encoded already."""
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        if "api-version=" not in query:
            query = "&".join(filter(None, [query, f"api-version={self.version}"]))
        sent = {"ocp-date": http_date(date or self.clock.time)} | self.extra | dict(headers or {})
        if data is not None:
            sent.setdefault("Content-Type", JSON_TYPE)
            sent["Content-Length"] = str(len(data))
        lower = {name.lower(): value for name, value in sent.items()}
        if is_signed:
            parts = SignedParts(method, path, query, lower)
            sent["Authorization"] = sign(self.key, self.account, parts)
        url = URL(f"{self.base}{path}?{query}", encoded=True)
        async with self.session.request(
            method,
            url,
            data=data and io.BytesIO(data),
            headers=sent,
            skip_auto_headers=["Content-Type"],
        ) as response:
            return await _read(response)

    async def make(self, path: str, body: Any) -> None:
        """Create something that a test takes for granted."""
        answer = await self.post(path, body)
        assert answer.status == 201, answer.body

    async def get(self, path: str, query: str = "", **more: Any) -> Answer:
        return await self.send("GET", path, query=query, **more)

    async def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        return await self.send("POST", path, body, **more)

    async def follow(self, link: str) -> Answer:
        """Get a link as it was given."""
        url = URL(link, encoded=True)
        return await self.send("GET", url.raw_path, query=url.raw_query_string)

    async def pages(self, path: str, query: str) -> list[list[Any]]:
        """Return the items of every page of a list."""
        answer = await self.get(path, query)
        pages = [answer.json["value"]]
        while "odata.nextLink" in answer.json:
            answer = await self.follow(answer.json["odata.nextLink"])
            pages.append(answer.json["value"])
        return pages


async def _read(response: ClientResponse) -> Answer:
    body = await response.read()
    return Answer(response.status, response.reason or "", response.headers, body)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock, links = StillClock(), NoLinks()
    account = Account(ACCOUNT, (KEY, SECOND_KEY), storage_keys=(b"3", b"4"), seal=b"5")
    ctx = Context(account, tmp_path / "account.sqlite", clock, links)
    yield House(ctx, clock, links)
    await ctx.close()


@pytest.fixture
async def caller(house: House) -> AsyncIterator[Caller]:
    async with served(house) as base, ClientSession(auto_decompress=False) as session:
        yield Caller(base, session, house.clock)


@contextlib.asynccontextmanager
async def served(house: Controller, **more: Any) -> AsyncIterator[str]:
    """Serve a house as a controller does; yields scheme, host and port. `more`: see create_app."""
    runner = create_runner(create_app(house, **more))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


MACHINE: dict[str, Any] = {
    "imageReference": {
        "publisher": "Canonical",
        "offer": "0001-com-ubuntu-server-jammy",
        "sku": "22_04-lts",
    },
    "nodeAgentSKUId": "batch.node.ubuntu 22.04",
}


def pool_body(pool_id: str = "p1", **more: Any) -> dict[str, Any]:
    """Return the least that makes a pool."""
    return {
        "id": pool_id,
        "vmSize": "STANDARD_D2_V2",
        "virtualMachineConfiguration": MACHINE,
    } | more


def job_body(job_id: str = "j1", **more: Any) -> dict[str, Any]:
    """Return the least that makes a job."""
    return {"id": job_id, "poolInfo": {"poolId": "p1"}} | more


def task_body(task_id: str = "t1", **more: Any) -> dict[str, Any]:
    """Return the least that makes a task."""
    return {"id": task_id, "commandLine": "/bin/true"} | more


CERTIFICATE = b"\x30\x03\x02\x01\x05"
"""The least that has the outer form of a DER certificate."""


def certificate_name(data: bytes = CERTIFICATE) -> dict[str, Any]:
    """Return what pools refer to a certificate by."""
    thumbprint = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    return {"thumbprint": thumbprint, "thumbprintAlgorithm": "sha1"}


def certificate_path(data: bytes = CERTIFICATE) -> str:
    """Return the key of a certificate as it stands in paths."""
    name = certificate_name(data)
    return f"thumbprintAlgorithm=sha1,thumbprint={name['thumbprint']}"


def certificate_body(data: bytes = CERTIFICATE, **more: Any) -> dict[str, Any]:
    """Return what adds a certificate without a private key."""
    body = {"data": encoded(data), "certificateFormat": "cer"}
    return certificate_name(data) | body | more


def encoded(secret: bytes) -> str:
    """Return a key as clients are given it."""
    return base64.b64encode(secret).decode()


async def with_node(house: House, pool_id: str = "p1") -> str:
    """Give a pool, whose target is 1, its node; return the node's id. It is idle."""
    fleet = PaperFleet()
    while not (rows := await house.ctx.store.read("SELECT * FROM nodes")):
        await reconcile_pools(house.ctx, fleet)
    node = replace(nodes.node(rows[0]), state=NodeState.IDLE)

    def decide(tx: Tx) -> None:
        nodes.update(tx, node)
        tx.changes.append(NodePut(node))

    await house.ctx.settle(decide)
    await reconcile_pools(house.ctx, fleet)  # the pool is steady now
    return node.id


async def with_run(
    house: House, task_id: str = "t1", job_id: str = "j1", used_s: float = 0.0
) -> None:
    """Let a task have run, successfully, on the node of p1: for so long, computing all the time."""
    node_id = await with_node(house)
    job_rows = await house.ctx.store.read("SELECT serial FROM jobs WHERE id = ?", (job_id,))
    now = house.clock.now()

    def decide(tx: Tx) -> None:
        task = tasks.get(tx, job_rows[0]["serial"], task_id)
        assert task is not None
        placed = advance(task, Placed(node_id, "p1"), now)
        over = ExitInfo(now + timedelta(seconds=used_s), now, 0, None, used_s, used_s / 2)
        ended = advance(placed, Ended(over, 0), now)
        tasks.update(tx, ended)
        node_serial = runs.node_serial(house.ctx, node_id)
        tx.changes.append(runs.moved(house.ctx, task, placed)._replace(node=node_serial))
        tx.changes.append(runs.moved(house.ctx, placed, ended))

    await house.ctx.settle(decide)


async def with_application(house: House, application_id: str = "a1") -> None:
    """Let there be an application with one package that pools and tasks may refer to."""
    now = house.clock.now()

    def decide(tx: Tx) -> None:
        serial = applications.insert(tx, Application(0, application_id, "app-a1", now, now))
        package = Package(0, serial, "1.0", "1.0.zip", now, now, PackageState.ACTIVE, "zip", now)
        applications.insert_package(tx, package)

    await house.ctx.settle(decide)
