"""What goes wrong, how often, and when: chosen from the seed, some of it in each world."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.world import World

CHANCES: Final = {
    "request_lost": 0.03,
    "answer_lost": 0.03,
    "disk_full": 0.003,
    "provider_fails": 0.1,
    "controller": 0.0015,  # dies at a crash point
    "agent": 0.002,
}
"""The chance of each, every time it could happen."""
FRAMES: Final = {"loss": 0.02, "repeat": 0.05, "split": 0.2, "merge": 0.1}
EVENTS: Final = {
    "controller_crash": 1.0,
    "agent_crash": 3.0,
    "reset": 2.0,
    "short_cut": 1.0,
    "long_cut": 1.0,
    "spawner_crash": 0.7,
    "spawner_hangup": 1.0,
    "power_cycle": 0.5,
    "full_disk": 1.0,
}
"""How often each, against the others."""
HARSH: Final = frozenset({"long_cut", "spawner_crash", "power_cycle", "full_disk"})
"""What makes runs be lost; a gentle world has none of it, and no run is ever repeated there."""
INTERVAL_S: Final = 4.0


class Faults:
    """The troubles of one world."""

    def __init__(self, world: World, rng: Random, *, is_gentle: bool) -> None:
        self._world = world
        self._rng = rng
        self.is_active = True
        # Not all at once: a fault that always comes with another hides what it does alone.
        has_any = rng.random() < 0.9
        self.chances = {k: v for k, v in CHANCES.items() if has_any and rng.random() < 0.6}
        self.events = {
            kind: weight
            for kind, weight in EVENTS.items()
            if has_any and rng.random() < 0.6 and not (is_gentle and kind in HARSH)
        }
        for kind, chance in FRAMES.items():
            setattr(world.network, kind, chance if has_any and rng.random() < 0.5 else 0.0)
        self._armed: list[tuple[int, str]] = []

    def happens(self, kind: str) -> bool:
        """Whether this time it goes wrong."""
        chance = self.chances.get(kind, 0.0)
        return self.is_active and chance > 0.0 and self._rng.random() < chance

    async def rage(self, until_s: float) -> None:
        """Let things go wrong until then."""
        world, rng = self._world, self._rng
        while self.events:
            await asyncio.sleep(rng.expovariate(1 / INTERVAL_S))
            if world.loop.time() > until_s:
                return
            (kind,) = rng.choices(list(self.events), list(self.events.values()))
            if kind.endswith("_crash"):
                # In so many steps, wherever those are: in the middle of something, often.
                self._armed.append((world.loop.step_count + rng.randrange(200), kind))
            else:
                self._strike(kind)

    def stop(self) -> None:
        """No more faults; what is cut off will be reachable again in its time."""
        network = self._world.network
        self.is_active = False
        self._armed.clear()
        network.loss = network.repeat = network.split = network.merge = 0.0

    def after_step(self) -> None:
        """Strike what was armed for this step."""
        if self._armed and self._armed[0][0] <= self._world.loop.step_count:
            _, kind = self._armed.pop(0)
            self._strike(kind)

    def _strike(self, kind: str) -> None:
        world, rng = self._world, self._rng
        if kind == "controller_crash":
            world.controller.kill("at a step")
            return
        nodes = list(world.nodes.values())
        if not nodes:
            return
        busy = [node for node in nodes if node.spawner and node.spawner.scripts]
        node = rng.choice(busy if busy and rng.random() < 0.7 else nodes)
        match kind:
            case "agent_crash":
                node.kill_agent()
            case "spawner_crash":
                node.kill_spawner()
            case "spawner_hangup":
                node.hang_up()
            case "full_disk":
                node.fill_disk(rng.uniform(10, 250))
            case "power_cycle":
                node.power_cycle()
            case "reset":
                world.trace("reset", node.label)
                node.disturbed()
                world.network.reset(node.label)
            case _:
                seconds = rng.uniform(200, 600) if kind == "long_cut" else rng.uniform(1, 40)
                if node.label not in world.network.unreachable:
                    world.trace("cut", node.label, round(seconds))
                    world.network.unreachable.add(node.label)
                    world.loop.later(seconds, self._reach, node)

    def _reach(self, node: SimNode) -> None:
        self._world.network.unreachable.discard(node.label)
        node.disturbed()
