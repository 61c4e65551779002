"""A seeded account behind its real door, put back to its beginning as often as it is asked for."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import sqlite3
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import ClientSession, web

from shoal_controller.api.app import create_app, create_runner
from shoal_controller.blobgateway import BlobStore
from shoal_controller.blobs import AccountBlobs
from shoal_controller.core.account import Account
from shoal_controller.links.listener import Listener
from shoal_controller.links.registry import Registry
from shoal_controller.loops import applications, driver, jobs, jobschedules, pools, scheduling
from shoal_controller.operations.context import Context
from shoal_controller.reception import Reception
from shoal_protocol.messages import (
    FileAction,
    FileEntry,
    FileReply,
    LogsReply,
    LogsRequest,
    Message,
    Reply,
    Request,
)
from tests.conformance.conftest import (
    ACCOUNT,
    KEY,
    SECOND_KEY,
    Caller,
    House,
    NoLinks,
    PaperFleet,
    StillClock,
    certificate_body,
    certificate_path,
    job_body,
    pool_body,
    task_body,
    with_application,
    with_node,
    with_run,
)

SCHEDULE: Final = {
    "id": "s1",
    "schedule": {"recurrenceInterval": "P1D"},
    "jobSpecification": {"poolInfo": {"poolId": "p1"}},
}
ROUNDS: Final = 3
"""So often the loops go over what was accepted: some of them take up what others left."""


class KindLinks(NoLinks):
    """Agents that have one file wherever they are asked, and do all they are told."""

    def send(self, node_serial: int, message: Message) -> None:
        pass

    async def request(self, node_serial: int, request: Request) -> Reply:
        if isinstance(request, LogsRequest):
            return LogsReply(request.request_id, file_count=1)
        if request.action == FileAction.READ:
            data = b"hello"[request.offset :][: request.length]
            return FileReply(request.request_id, data=data)
        entry = FileEntry("stdout.txt", False, 5, datetime(2026, 5, 1, tzinfo=UTC), 0o100644)
        return FileReply(request.request_id, entries=(entry,))


@dataclass
class FuzzHouse(House):
    """A House whose account begins anew with each `restore`.

    arguments   what the seeded entities are called, by the names of the routes' arguments
    """

    folder: Path
    blobs: AccountBlobs
    port: int = 0
    arguments: dict[str, str] = field(default_factory=dict[str, str])
    faults: list[str] = field(default_factory=list[str])
    _lives: int = 0
    _state: bytes = b""
    _version: int = -1
    _watcher: sqlite3.Connection | None = None

    @property
    def mapping(self) -> Mapping[str, Context]:
        return {ACCOUNT: self.ctx}

    async def restore(self) -> None:
        """Put the account back to how it was seeded."""
        await self.leave()
        self._lives += 1
        place = self.folder / f"life{self._lives}"
        place.mkdir()
        shutil.copy(self.folder / "seed.sqlite", place / "account.sqlite")
        self.clock.time = datetime(2026, 5, 1, 13, tzinfo=UTC)
        await self._open(place)

    async def restart(self) -> None:
        """Open the account again as it stands, as a controller does that was ended."""
        place = self.ctx.folder
        await self.leave(keep=True)
        await self._open(place)
        self.ctx.index.check()

    async def leave(self, *, keep: bool = False) -> None:
        """Close what is open."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        await self.ctx.close()
        if not keep:
            shutil.rmtree(self.ctx.folder)

    async def _open(self, place: Path) -> None:
        self.ctx = _context(place, self.clock, self.links, self.blobs)
        self._watcher = sqlite3.connect(place / "account.sqlite", isolation_level=None)
        self._watcher.execute("PRAGMA query_only = 1")
        self._version, self._state = -1, b""

    def state(self) -> bytes:
        """Return a digest of everything that is stored; dear only after something was."""
        assert self._watcher is not None
        (version,) = self._watcher.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            digest = hashlib.blake2b()
            for line in self._watcher.iterdump():
                digest.update(line.encode("utf-8", "surrogatepass"))
            self._version, self._state = version, digest.digest()
        return self._state

    async def work(self) -> None:
        """Let the controller's loops go over the account."""
        fleet = PaperFleet()
        fleet.made = 1000 * self._lives  # ids that no node had before
        rounds = (
            jobschedules.LOOP,
            jobs.LOOP,
            pools.loop(fleet),
            scheduling.LOOP,
            applications.LOOP,
        )
        driver._failures.clear()
        for _ in range(ROUNDS):
            for loop in rounds:
                await loop.round(self.ctx)
        self.ctx.index.check()


def _context(place: Path, clock: StillClock, links: NoLinks, blobs: AccountBlobs) -> Context:
    account = Account(ACCOUNT, (KEY, SECOND_KEY), storage_keys=(b"3", b"4"), seal=b"5")
    return Context(account, place / "account.sqlite", clock, links, blobs=blobs, commit_inline=True)


class _Log(logging.Handler):
    """Keeps what a controller writes of its own faults."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._faults = faults
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._faults.append(self.format(record))


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[FuzzHouse]:
    """Serve a seeded house on a port of its own, its data below `folder`."""
    clock, links = StillClock(), KindLinks()
    store = await BlobStore.open(folder / "blobs", clock)
    blobs = AccountBlobs(ACCOUNT, store, "http://blobs.test:1", lambda: b"a key of storage")
    place = folder / "life0"
    place.mkdir()
    house = FuzzHouse(_context(place, clock, links, blobs), clock, links, folder, blobs)
    app = create_app(house)
    reception = Reception(_Names(house), lambda _: "a secret")
    app.middlewares.insert(0, Listener(Registry(clock), reception).middleware)
    runner, handler = create_runner(app), _Log(house.faults)
    await runner.setup()
    logging.getLogger().addHandler(handler)
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        house.port = urlsplit(base).port or 0
        async with ClientSession() as session:
            house.arguments = await _seed(house, Caller(base, session, clock))
        await house.leave(keep=True)
        shutil.copy(place / "account.sqlite", folder / "seed.sqlite")
        yield house
        await house.leave()
    finally:
        logging.getLogger().removeHandler(handler)
        await runner.cleanup()
        await store.close()


class _Names(dict[str, Context]):
    """The one account of a house, which changes."""

    def __init__(self, house: FuzzHouse) -> None:
        super().__init__()
        self._house = house

    def get(self, name: str, default: Context | None = None) -> Context | None:  # type: ignore[override]
        return self._house.account(name) or default


async def _seed(house: FuzzHouse, caller: Caller) -> dict[str, str]:
    """Make one of everything that routes speak of; return what they are called."""
    older = Caller(caller.base, caller.session, caller.clock, version="2024-07-01.20.0")
    await older.make("/certificates", certificate_body())
    await caller.make("/pools", pool_body("p1", targetDedicatedNodes=1))
    await caller.make("/jobs", job_body("j1", priority=5))
    await caller.make("/jobs/j1/tasks", task_body("t1"))
    await caller.make("/jobs/j1/tasks", task_body("t2", requiredSlots=1))
    await caller.make("/jobschedules", SCHEDULE)
    await with_run(house)
    await with_application(house)
    return {
        "applicationId": "a1",
        "poolId": "p1",
        "nodeId": await with_node(house),
        "jobId": "j1",
        "taskId": "t1",
        "filePath": "stdout.txt",
        "jobScheduleId": "s1",
        "thumbprint": certificate_path(),
        "userName": "someone",
        "extensionName": "x",
        "subscriptionId": "sub",
        "resourceGroupName": "group",
        "accountName": ACCOUNT,
        "applicationName": "a1",
        "versionName": "1.0",
    }
