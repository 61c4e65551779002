"""The loop over pools: one node's trouble is not another's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shoal_controller.core.node import Node
from shoal_controller.core.pool import PoolDefinition
from shoal_controller.loops.pools import reconcile_pools
from shoal_controller.operations import pools
from tests.unit.controller.operations.conftest import House


class Fleet:
    """Makes nodes at once; those whose pool is `poisoned` fail in a way nobody foresaw."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self._count = 0

    async def create(self, node: Node, join_token: str) -> Mapping[str, Any]:
        if node.pool_id == "poisoned":
            raise RecursionError("unforeseen")
        self.made.append(node.pool_id)
        return {"made": True}

    async def stop(self, node: Node) -> None:
        raise AssertionError("nothing is stopped here")

    async def delete(self, node: Node) -> None:
        raise AssertionError("nothing is deleted here")

    def cores(self, vm_size: str) -> int:
        return 1

    def new_node_id(self, *, is_dedicated: bool) -> str:
        self._count += 1
        return f"n{self._count}"

    def new_secret(self) -> str:
        return "secret"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    opened = House(tmp_path / "state.db")
    yield opened
    await opened.ctx.close()


async def test_a_node_that_fails_unforeseen_does_not_keep_others_from_being_made(
    house: House,
) -> None:
    fleet = Fleet()
    for pool_id in ("poisoned", "healthy"):
        await pools.create_pool(
            house.ctx,
            pool_id,
            PoolDefinition("standard_d1_v2"),
            target_dedicated=1,
            target_low_priority=0,
            resize_timeout=timedelta(minutes=15),
        )
    for _ in range(2):
        await reconcile_pools(house.ctx, fleet)
    assert fleet.made == ["healthy"]
