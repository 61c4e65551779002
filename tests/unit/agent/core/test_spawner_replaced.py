"""A spawner that takes a dead one's place knows nothing until the agent tells it."""

from __future__ import annotations

from collections.abc import Sequence

from shoal_agent.core.agent import AgentCore, Setting
from shoal_agent.core.instructions import Clock, Event, Instruction, SetCapacity, SpawnerUp
from shoal_agent.core.spawning import Snapshot
from shoal_protocol.messages import PROTOCOL_VERSION, Welcome
from shoal_protocol.specs import NodeConfig
from tests.builders import NOON

SETTING = Setting("/node", "machine", "C.UTF-8", lambda: "boot")
NOW = Clock(NOON, 1.0)


def a_spawner(life: str) -> SpawnerUp:
    return SpawnerUp(life, Snapshot(1, 0, {}))


def capacities(instructions: Sequence[Instruction]) -> list[int]:
    return [found.slots for found in instructions if isinstance(found, SetCapacity)]


def test_a_new_spawner_is_told_how_many_slots_the_node_has() -> None:
    core = AgentCore(SETTING, [], NOW)
    config = NodeConfig("account", "https://a/", "pool", "node", slots=3)
    happened: list[Event] = [
        a_spawner("first"),
        Welcome(PROTOCOL_VERSION, "controller", "", 0, config),
    ]
    assert capacities(core.handle(happened, NOW)) == [3]
    assert capacities(core.handle([a_spawner("second")], NOW)) == [3]
