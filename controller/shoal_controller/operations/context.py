"""What an operation works with, and the one way to change state: `settle`.

The order is always: commit, then the index, then messages to nodes, then loops that have something
to do. Nobody hears of a change before it is on disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from shoal_controller.clock import Clock
from shoal_controller.core.account import Account
from shoal_controller.core.application import BlobFacts
from shoal_controller.core.changes import JobPut, NodePut, PoolPut, Standing, TaskMoved
from shoal_controller.core.index import Index
from shoal_controller.core.scheduler import Limits
from shoal_controller.core.task import TaskResult, TaskState
from shoal_controller.store import jobs, nodes, pools, tasks
from shoal_controller.store.database import Database, Tx
from shoal_protocol.messages import Message, Request

T = TypeVar("T")

SCHEDULING: Final = "scheduling"
POOLS: Final = "pools"
JOBS: Final = "jobs"
JOB_SCHEDULES: Final = "jobschedules"


class Links(Protocol):
    """Live connections to agents, by the serial of their node."""

    def send(self, node_serial: int, message: Message) -> None:
        """Queue a message; a reliable one waits for the agent if it is away."""
        ...

    async def request(self, node_serial: int, request: Request) -> Any:
        """Ask and wait for the reply of that kind; raise Unavailable when none comes."""
        ...

    def forget(self, node_serial: int) -> None:
        """The node is no more: close its link and drop what was queued for it."""
        ...


class Blobs(Protocol):
    """The account's own storage. What does not answer, or cannot be written, is Unavailable."""

    async def create_container(self, name: str) -> None:
        """Make a container; harmless when it is there."""
        ...

    async def find(self, container: str, blob: str) -> BlobFacts | None:
        """Return what is known of a blob, or None."""
        ...

    async def read(
        self, container: str, blob: str, tag: str, offset: int, length: int
    ) -> bytes | None:
        """Return bytes of that version of a blob, or None when it is no more."""
        ...

    async def delete(self, container: str, blob: str | None) -> None:
        """Remove a blob, or the whole container; harmless when it is gone."""
        ...

    def signed_url(
        self, container: str, blob: str, permissions: str, begin: datetime, end: datetime
    ) -> str:
        """Return a URL that lets its holder do what the letters say, between two times."""
        ...

    def new_token(self) -> str:
        """Return 32 hexadecimal digits that nothing else has, and nobody can guess."""
        ...


@dataclass(slots=True)
class Wakes:
    """One event per loop: set when it has something to do."""

    events: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])

    def event(self, name: str) -> asyncio.Event:
        return self.events.setdefault(name, asyncio.Event())

    def wake(self, name: str) -> None:
        self.event(name).set()


class Context:
    """One account at work: its store, its index and the ways out of it."""

    def __init__(
        self,
        account: Account,
        path: Path,
        clock: Clock,
        links: Links,
        *,
        public_url: str = "",
        limits: Limits | None = None,
        reserve_bytes: int = 0,
        blobs: Blobs | None = None,
        commit_inline: bool = False,
        store_type: type[Database] = Database,
    ) -> None:
        """Open the account's store and build its index.

        path        the SQLite file
        public_url  of this controller's API, without a trailing slash: what tasks are told
        reserve_bytes  of the disk, kept for ending and deleting; 0: none
        blobs       the account's storage; None: it has none, and so no applications
        store_type  the simulation brings one whose disk is slow, full and breaks down
        """
        self.account = account
        self.account_changing = asyncio.Lock()
        self.on_account: list[Callable[[Account], None]] = []
        self.folder = path.parent
        self.clock = clock
        self.links = links
        self.blobs = blobs
        self.public_url = public_url
        self.limits = limits or Limits()
        self.wakes = Wakes()
        self.index = Index(self.limits.window_tasks_max)
        self._began_at, self._began_s = clock.now(), clock.monotonic()
        self.store = store_type(
            path,
            self._committed,
            commit_inline=commit_inline,
            clock_s=clock.monotonic,
            reserve_bytes=reserve_bytes,
        )
        build_index(self.index, self.store, self._began_s)
        for loop in (SCHEDULING, POOLS, JOBS, JOB_SCHEDULES):
            self.wakes.wake(loop)

    async def settle(self, decide: Callable[[Tx], T], *, grows: bool = False) -> T:
        """Run `decide` in the next group commit and return what it returned once all has followed.

        grows   it adds something: refused on a full disk, which still takes what ends or deletes
        Raises what `decide` raised (nothing is kept then), or Unavailable when the disk refuses.
        `decide` may be run again from its begin: it changes nothing but through its Tx.
        """
        return await self.store.write(decide, grows=grows)

    def put_account(self, account: Account) -> None:
        """What is asked from now on is answered by these keys and quotas; they are on disk."""
        self.account = account
        for tell in self.on_account:
            tell(account)

    def wall_time(self, monotonic_s: float) -> datetime:
        """Return when that was by the wall clock, as it went when this process began."""
        return self._began_at + timedelta(seconds=monotonic_s - self._began_s)

    async def close(self) -> None:
        await self.store.close()

    def _committed(self, tx: Tx) -> None:
        now_s = self.clock.monotonic()
        for change in tx.changes:
            self.index.apply(change, now_s)
        for node_serial, message in tx.messages:
            self.links.send(node_serial, message)
        for loop in sorted(tx.wakes):  # not in the order of a set, which differs from run to run
            self.wakes.wake(loop)


def build_index(index: Index, store: Database, now_s: float) -> None:
    """Fill an empty index from the store, by the same `apply` that maintains it."""
    for row in store.read_now(pools.ALL):
        index.apply(PoolPut(pools.pool(row)), now_s)
    for row in store.read_now(nodes.ALL):
        index.apply(NodePut(nodes.node(row)), now_s)
    for row in store.read_now(jobs.ALL):
        index.apply(JobPut(jobs.job(row)), now_s)
    for row in store.read_now(tasks.COUNTS):
        _count(index, row["job_serial"], row["state"], row["result"], row["tasks"], row["slots"])
    for row in store.read_now(tasks.PLACED):
        standing = tasks.standing(row)
        node = index.node_by_id.get(row["node_id"].lower())
        index.apply(
            TaskMoved(
                row["serial"],
                row["job_serial"],
                row["slots"],
                row["attempt"],
                None,
                standing._replace(is_placed=False),
                standing,
                node=None if node is None else node.serial,
            ),
            now_s,
        )
    for node in index.nodes.values():
        node.switched_s = None  # it did not switch just now
    for job in index.jobs.values():
        job.has_more = True


def _count(
    index: Index, job_serial: int, state: str, result: str | None, count: int, slots: int
) -> None:
    job = index.jobs[job_serial]
    standing = Standing(TaskState(state), TaskResult(result) if result else None, False)
    job.tasks.add(standing, count)
    job.slots.add(standing, slots)
