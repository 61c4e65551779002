"""Join tokens: good once, and what is wrong with another is said."""

from __future__ import annotations

import pytest

from shoal_controller.core.errors import Refused
from shoal_controller.operations.joining import find_node_by_key, hash_secret, join_node
from shoal_controller.reception import Reception
from shoal_controller.store import nodes
from shoal_controller.store.database import Tx
from tests.builders import a_node
from tests.unit.controller.operations.conftest import House


async def _new_node(house: House) -> None:
    def insert(tx: Tx) -> None:
        nodes.insert(tx, a_node(join_token_hash=hash_secret("a:token")))

    await house.ctx.settle(insert)


async def test_a_token_is_good_until_the_first_link_with_its_key(house: House) -> None:
    await _new_node(house)
    assert await join_node(house.ctx, "n1", "a:token", "a:key") == "a:key"
    assert await join_node(house.ctx, "n1", "a:token", "a:other") == "a:other"
    await house.hello(await find_node_by_key(house.ctx, "a:other"))
    with pytest.raises(Refused, match="the join token of node 'n1' was used already"):
        await join_node(house.ctx, "n1", "a:token", "a:third")


@pytest.mark.parametrize(
    ("node_id", "token", "reason"),
    [
        ("n1", "a:wrong", "the join token is not that of node 'n1'"),
        ("n1", "a:", "the join token is not that of node 'n1'"),
        ("n2", "a:token", "no node 'n2' is known here"),
        ("n\n" * 500, "a:token", "is known here"),
        ("n1", "b:token", "the join token is that of no account here"),
        ("n1", "", "the join token is that of no account here"),
    ],
)
async def test_a_refused_join_speaks_of_the_token_and_of_how_to_get_another(
    house: House, node_id: str, token: str, reason: str
) -> None:
    await _new_node(house)
    reception = Reception({"a": house.ctx}, lambda account: f"{account}:key")
    with pytest.raises(Refused) as caught:
        await reception.join(node_id, token)
    refused = caught.value
    assert (refused.status, refused.code) == (403, "AuthenticationFailed")
    assert refused.message.startswith("The agent cannot join: ")
    assert reason in refused.message
    assert refused.message.endswith("the one that takes its place has a new token.")
    assert refused.message.isprintable()
    assert len(refused.message) < 500
    assert "Authorization" not in refused.message


@pytest.mark.parametrize("key", ["a:wrong", "b:key", ""])
async def test_an_unknown_key_is_told_as_one(house: House, key: str) -> None:
    reception = Reception({"a": house.ctx}, lambda account: f"{account}:key")
    with pytest.raises(Refused, match="The key of the agent is that of no node here"):
        await reception.authenticate(key)
