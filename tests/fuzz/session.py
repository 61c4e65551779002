"""A house, and hypothesis playing to it: one run is some hundred examples of one seed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests.fuzz.house import opened
from tests.fuzz.play import Player, Tally
from tests.fuzz.requests import Request, requests

REQUESTS_MAX: Final = 6
"""Of an example: enough to make something, change it and end it."""


@contextlib.contextmanager
def playing(folder: Path, tally: Tally) -> Iterator[Callable[[int | None, int], None]]:
    """Open a house below `folder`; yields what plays a seed, None: the same examples each time.

    It raises what was found, with the least example that shows it as a note.
    """
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        house = runner.run(stack.enter_async_context(opened(folder)))
        player = Player(house, tally)
        request = requests(house.arguments)
        # Long ones mostly: a fresh house is dear. The least one is still a single request.
        least = st.sampled_from((1, *[REQUESTS_MAX - 1] * 5))
        examples = least.flatmap(lambda n: st.lists(request, min_size=n, max_size=REQUESTS_MAX))

        def play(seed: int | None, count: int) -> None:
            @settings(
                max_examples=count,
                deadline=None,
                database=None,
                derandomize=seed is None,
                suppress_health_check=list(HealthCheck),
                phases=(Phase.generate, Phase.shrink),
                report_multiple_bugs=False,
            )
            @hypothesis.given(examples)
            def one(example: list[Request]) -> None:
                runner.run(player.play(example))

            (one if seed is None else hypothesis.seed(seed)(one))()

        try:
            yield play
        finally:
            runner.run(stack.aclose())
