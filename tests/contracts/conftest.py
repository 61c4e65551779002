"""Fixtures of the contract suites."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shoal_controller.providers.local import end_all
from shoal_protocol.specs import NodeConfig
from tests.contracts.agent_node import AgentNode

CONFIG = NodeConfig("acc", "https://acc.example/", "pool", "tvmps_1_d", slots=2)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """The data folder of a whole controller; no process of its nodes outlives the test."""
    yield tmp_path / "data"
    end_all(tmp_path)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[AgentNode]:
    """A ready node with two slots and without a start task."""
    node = AgentNode(tmp_path, CONFIG)
    await node.begin()
    try:
        await node.controller.ready()
        yield node
    finally:
        await node.end()
