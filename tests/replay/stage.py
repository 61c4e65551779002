"""An account of its own for each interaction, and a caller who sends as was recorded."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

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
    served,
)
from tests.replay.reasons import Substitution, substitution
from tests.replay.recorded import Document


class NotSetUp(Exception):
    """The situation cannot be had here; the text says why."""


class Again(Exception):
    """Shoal does not take a part of a request: all is to be done again with a substitution."""

    def __init__(self, found: Substitution) -> None:
        super().__init__(found.name)
        self.substitution = found


@dataclass
class Stage:
    """Where an interaction is replayed.

    substitutions  what Shoal does not take and was left out, or put in place of it
    """

    house: House
    caller: Caller
    version: str
    substitutions: Sequence[Substitution]

    @property
    def ctx(self) -> Context:
        return self.house.ctx

    async def make(self, path: str, document: Document) -> None:
        """Create what the interaction takes for granted."""
        await self.do("POST", path, document, 201)

    async def do(self, method: str, path: str, document: Document | None, status: int) -> Answer:
        """Send what leads to the situation, without what Shoal does not take."""
        answer = await self.send(method, path, document)
        if answer.status != status:
            told = f"{answer.code} {answer.values}" if answer.body else ""
            raise NotSetUp(f"{method} {path}: {answer.status} {told}")
        return answer

    async def send(self, method: str, path: str, document: Document | None, **more: Any) -> Answer:
        """Send a request as Shoal takes it; raise Again where that was not known."""
        document = deepcopy(document)
        for made in self.substitutions:
            made.apply(document)
        raw = None if document is None else json.dumps(document).encode()
        answer = await self.caller.send(method, path, raw=raw, **more)
        found = substitution(answer)
        if found is not None and found not in self.substitutions and found.apply(document):
            raise Again(found)
        return answer


class Theatre:
    """Serves one application, with a fresh account for each interaction."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._empty = folder / "empty.sqlite"
        self._account = Account(ACCOUNT, (KEY, SECOND_KEY), storage_keys=(b"3", b"4"), seal=b"5")

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Theatre]:
        """Serve until the context ends."""
        clock, links = StillClock(), NoLinks()
        self._house = House(self._open(self._empty, clock, links), clock, links)
        await self._house.ctx.close()
        async with served(self._house) as base, ClientSession(auto_decompress=False) as session:
            self._base, self._session = base, session
            yield self

    @contextlib.asynccontextmanager
    async def stage(
        self, version: str, substitutions: Sequence[Substitution]
    ) -> AsyncIterator[Stage]:
        """Give the application an empty account while the context lasts.

        substitutions  those that are known to be needed
        """
        folder = self._folder / "account"
        folder.mkdir()
        house = self._house
        shutil.copy(self._empty, folder / "account.sqlite")
        house.links = NoLinks()  # the clock stays: the door keeps the one it was made with
        house.ctx = self._open(folder / "account.sqlite", house.clock, house.links)
        try:
            caller = Caller(self._base, self._session, house.clock, version)
            yield Stage(house, caller, version, substitutions)
        finally:
            await house.ctx.close()
            shutil.rmtree(folder)

    def _open(self, path: Path, clock: StillClock, links: NoLinks) -> Context:
        return Context(self._account, path, clock, links, commit_inline=True)
