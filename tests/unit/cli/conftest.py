"""A scripted service and the command line in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from shoal_cli.main import run
from tests.unit.cli.service import Service, serving


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """A service whose answers the test writes."""
    async with serving(Service()) as started:
        yield started


@pytest.fixture
def shoal(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Awaitable[int]]:
    """The command line, asked in an empty folder with the service in its environment."""
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)

    async def call(*arguments: str) -> int:
        # A thread of its own: the command line starts an event loop, as it does in life.
        return await asyncio.to_thread(run, arguments)

    return call
