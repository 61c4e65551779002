"""A user of the simulation: what it asks is asked again until there is an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final

from shoal_controller.core.errors import Refused, Unavailable
from shoal_controller.core.listing import ListQuery
from shoal_controller.core.pool import DeallocationOption
from shoal_controller.operations.context import Context
from tests.simulation.controller import ConnectionLost

if TYPE_CHECKING:
    from tests.simulation.world import World

ALL: Final = ListQuery()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a user got.

    code       "" when the request was carried out, else why it was refused
    is_unsure  an earlier try had no answer: it may have been carried out
    """

    value: Any
    code: str
    is_unsure: bool


class Story:
    """One user, who does one thing after another."""

    def __init__(self, world: World, name: str) -> None:
        self.id = name
        self.world = world
        self.rng: Random = world.rng

    async def ask(self, what: str, operation: Callable[[Context], Awaitable[Any]]) -> Answer:
        """Ask until there is an answer."""
        is_unsure = False
        while True:
            try:
                value = await self.world.controller.call(operation)
            except ConnectionLost:
                is_unsure = True
                await self.world.pause(1.0)
            except Unavailable:
                await self.world.pause(1.0)
            except Refused as refused:
                self.world.trace("user", self.id, what, refused.code)
                return Answer(None, refused.code, is_unsure)
            else:
                self.world.trace("user", self.id, what)
                return Answer(value, "", is_unsure)

    async def act(self, actions: dict[str, float]) -> None:
        """Do one of these, chosen by weight: each is a method's name."""
        (name,) = self.rng.choices(list(actions), list(actions.values()))
        await getattr(self, f"_{name}")()

    def option(self) -> DeallocationOption:
        return self.rng.choice(
            [
                DeallocationOption.REQUEUE,
                DeallocationOption.TERMINATE,
                DeallocationOption.TASK_COMPLETION,
            ]
        )
