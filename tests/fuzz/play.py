"""Plays requests to a house and checks what comes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from shoal_controller.api.management import routes as management
from shoal_controller.api.routes import ROUTES
from shoal_controller.api.routing import Route
from shoal_controller.api.versions import VERSIONS
from tests.fuzz.house import FuzzHouse
from tests.fuzz.requests import LINKS, Request
from tests.fuzz.rules import Wrong, code_of
from tests.fuzz.wire import Broken, NoAnswer, Reply, Wire

_LISTS: Final = (
    *("/pools", "/jobs", "/jobs/{jobId}/tasks", "/jobschedules", "/pools/{poolId}/nodes"),
    *("/applications", "/certificates", "/jobschedules/{jobScheduleId}/jobs", "/nodecounts"),
)
_PAGES_MAX: Final = 4
_NAMES: Final = tuple(VERSIONS)


@dataclass(slots=True)
class Tally:
    """What was asked and what came of it."""

    examples: int = 0
    requests: int = 0
    reads: int = 0
    statuses: Counter[int] = field(default_factory=Counter[int])
    codes: Counter[str] = field(default_factory=Counter[str])
    accepted: Counter[str] = field(default_factory=Counter[str])
    routes: Counter[str] = field(default_factory=Counter[str])


@dataclass(slots=True)
class Player:
    """Sends requests to one house; raises Wrong for what must not be."""

    house: FuzzHouse
    tally: Tally = field(default_factory=Tally)

    async def play(self, requests: Sequence[Request]) -> None:
        """Let requests come one after the other to a house as it was seeded."""
        await self.house.restore()
        self.house.faults.clear()
        self.tally.examples += 1
        wire = Wire(self.house.port)
        try:
            accepted = False
            for turn, request in enumerate(requests):
                reply = await self._one(wire, request)
                if reply is not None:
                    accepted = True
                    places = _places(request, reply.headers.get("location", ""))
                    await self._read_back(wire, places, turn)
                    await self._find(wire, reply)
            if accepted:
                await self.house.work()
                await self.house.restart()
                await self._read_all(wire, len(requests))
            if self.house.faults:
                raise Wrong("\n".join(self.house.faults))
        finally:
            wire.close()

    async def _one(self, wire: Wire, request: Request) -> Reply | None:
        """Send a request and check its answer; return it if the request changed anything."""
        before = self.house.state()
        sent = request.wire(self.house.ctx.account.keys, self.house.clock.time)
        self.tally.requests += 1
        try:
            reply = await wire.send(
                sent,
                is_head=request.method == "HEAD",
                is_cut_off=not request.is_whole,
            )
        except NoAnswer:
            if request.is_whole:
                raise Wrong(f"no answer to {request}") from None
            wire.close()
            self.tally.codes["(no answer)"] += 1
            return None
        except Broken as error:
            raise Wrong(f"{error}: {request}") from None
        self._check(request, reply)
        self.tally.routes[request.route.name] += 1
        is_read = request.method in ("GET", "HEAD")
        changed = self.house.state() != before
        if changed and (is_read or reply.status >= 300):
            raise Wrong(f"{reply.status} changed something: {reply.body[:500]!r}")
        if reply.status < 300 and not is_read:
            self.tally.accepted[request.route.name] += 1
        return reply if changed else None

    def _check(self, request: Request, reply: Reply) -> None:
        try:
            code = code_of(request, reply)
        except Wrong as wrong:
            told = "\n".join((str(wrong), *self.house.faults))
            raise Wrong(f"{told}\n{reply.status} {reply.body[:1500]!r}") from None
        self.tally.statuses[reply.status] += 1
        self.tally.codes[code or "(none)"] += 1

    async def _read_back(self, wire: Wire, places: Sequence[str], turn: int) -> None:
        """What was accepted can be read in the newest, the oldest and one more version."""
        for version in (_NAMES[0], _NAMES[-1], _NAMES[turn % len(_NAMES)]):
            for path in places:
                await self._get(wire, path, f"api-version={version}")

    async def _find(self, wire: Wire, reply: Reply) -> None:
        """What was created is where the answer says."""
        location = reply.headers.get("location", "")
        path = "/" + location.partition("://")[2].partition("/")[2]
        if reply.status != 201 or path == _NO_LOCATION:
            return
        version = _OF_CERTIFICATES if path.startswith("/certificates") else _NAMES[0]
        found = await self._get(wire, path, f"api-version={version}")
        if found.status != 200:
            raise Wrong(f"{location} was created and is not there: {found.status}")

    async def _read_all(self, wire: Wire, turn: int) -> None:
        """All that there is can be read, page by page, after the loops were there."""
        version = _NAMES[(self.tally.examples + turn) % len(_NAMES)]
        for path in _LISTS:
            query = f"api-version={version}&maxresults=1"
            for _ in range(_PAGES_MAX):
                reply = await self._get(wire, path.format_map(self.house.arguments), query)
                link = b'"odata.nextLink":"'
                if link not in reply.body:
                    break
                query = reply.body.partition(link)[2].partition(b'"')[0].decode().partition("?")[2]

    async def _get(self, wire: Wire, path: str, query: str) -> Reply:
        request = Request(_READ, "GET", path, query)
        sent = request.wire(self.house.ctx.account.keys, self.house.clock.time)
        self.tally.reads += 1
        try:
            reply = await wire.send(sent, is_head=False)
            self._check(request, reply)
        except (Wrong, NoAnswer, Broken) as error:
            raise Wrong(f"reading {path}?{query}: {error}") from None
        return reply


_NO_LOCATION: Final = "/jobs/job-1"
"""What the service tells of every job that is created."""
_OF_CERTIFICATES: Final = "2024-07-01.20.0"
_READ: Final = Route("read_back", "GET", "/", handler=ROUTES[0].handler)


def _places(request: Request, location: str) -> list[str]:
    """Return the paths under which to look at what a request changed: the entity and its lists."""
    if request.route in LINKS or request.route in management.ROUTES:
        return []
    segments = request.path.removeprefix("/").split("/")
    if segments[0] == "shoal":
        return [request.path.rpartition("/")[0]]
    entity = segments[:1] if "(" in segments[0] else segments[: len(segments) // 2 * 2]
    places = ["/" + "/".join(entity[:size]) for size in range(len(entity), 0, -1)]
    places.append("/" + segments[0].partition("(")[0])
    if location:
        places.append("/" + location.split("/", 3)[3])
    return places
