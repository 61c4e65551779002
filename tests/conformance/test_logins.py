"""Users of nodes, remote logins and remote desktops: checked, then refused with a reason."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.conftest import Caller, House, pool_body, with_node


@pytest.fixture
async def node(house: House, caller: Caller) -> str:
    """The path of an idle node."""
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    return f"/pools/p1/nodes/{await with_node(house)}"


@pytest.mark.parametrize(
    ("body", "code", "name"),
    [
        ({}, "MissingRequiredProperty", "name"),
        ({"name": "a b"}, "InvalidPropertyValue", "name"),
        ({"name": "x" * 21}, "InvalidPropertyValue", "name"),
        ({"name": "-rf"}, "InvalidPropertyValue", "name"),
        ({"name": "a", "isAdmin": "perhaps"}, "InvalidPropertyValue", "isAdmin"),
        ({"name": "a", "expiryTime": "soon"}, "InvalidPropertyValue", "expiryTime"),
        ({"name": "a", "password": 7}, "InvalidPropertyValue", "password"),
        ({"name": "a", "shell": "/bin/sh"}, "UnsupportedProperty", "shell"),
    ],
)
async def test_a_user_that_is_none_is_refused_with_the_property(
    caller: Caller, node: str, body: dict[str, Any], code: str, name: str
) -> None:
    answer = await caller.post(f"{node}/users", body)
    assert (answer.status, answer.code, answer.values["PropertyName"]) == (400, code, name)


async def test_an_update_names_no_user(caller: Caller, node: str) -> None:
    answer = await caller.send("PUT", f"{node}/users/someone", {"name": "someone"})
    assert (answer.status, answer.code) == (400, "UnsupportedProperty")
    for method, body in (("PUT", {}), ("DELETE", None)):
        answer = await caller.send(method, f"{node}/users/a%2Fb", body)
        assert (answer.status, answer.code) == (400, "InvalidPropertyValue")


async def test_users_are_for_nodes_that_are_ready(caller: Caller, node: str) -> None:
    await caller.post(f"{node}/reboot")
    answer = await caller.post(f"{node}/users", {"name": "someone"})
    assert (answer.status, answer.code) == (409, "NodeBeingRebooted")


@pytest.mark.parametrize("part", ["users/a", "remoteloginsettings", "extensions", "extensions/a"])
async def test_a_node_that_is_not_there_is_said_to_be_absent(caller: Caller, part: str) -> None:
    await caller.make("/pools", pool_body())
    method = "DELETE" if part.startswith("users") else "GET"
    for path, code in (("p1/nodes/n", "NodeNotFound"), ("p2/nodes/n", "PoolNotFound")):
        answer = await caller.send(method, f"/pools/{path}/{part}")
        assert (answer.status, answer.code) == (404, code)


async def test_a_node_has_no_extensions(caller: Caller, node: str) -> None:
    assert (await caller.get(f"{node}/extensions")).json["value"] == []
    answer = await caller.get(f"{node}/extensions/a")
    assert (answer.status, answer.code) == (404, "ResourceNotFound")
