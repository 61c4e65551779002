"""Twenty worlds, and the proof that a seed is all it takes to see one again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from tests.simulation.ledger import Broken
from tests.simulation.virtual import Crash, Process, VirtualLoop
from tests.simulation.world import CHAOS_S, Failure, run_seed


@pytest.mark.parametrize("seed", range(20))
def test_everything_that_must_hold_holds_in_the_world_of(seed: int) -> None:
    outcome = run_seed(seed)
    assert outcome.seed == seed
    assert outcome.virtual_s > CHAOS_S


def test_a_seed_replays_exactly_in_another_process() -> None:
    """Another hash seed, so that the order of a set would show."""
    seed = 4
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed)]
    hashes = {
        subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert hashes == {f"{run_seed(seed)}\n"}


def test_a_failure_names_its_seed_and_step_and_how_to_see_it_again() -> None:
    with pytest.raises(Failure) as caught:
        run_seed(1, steps_max=500)
    text = str(caught.value)
    assert isinstance(caught.value.broken, Broken)
    assert text.startswith("seed 1, step 500: steps: stopped after 500 as asked\n")
    assert text.endswith("replay: python -m tests.simulation --seed 1 --verbose")
    assert "controller starts" in text


def test_nothing_of_a_dead_process_happens_any_more() -> None:
    loop = VirtualLoop()
    done: list[str] = []

    async def live() -> None:
        asyncio.get_running_loop().call_later(2.0, done.append, "timer")
        try:
            done.append("begun")
            await asyncio.sleep(1.0)
            done.append("awake")
        finally:
            done.append("finally")

    async def story() -> None:
        process = Process("p")
        process.spawn(live())
        await asyncio.sleep(0.5)
        process.kill()
        await asyncio.sleep(5.0)
        assert done == ["begun"]
        process.bury()

    loop.run_until_complete(story())
    loop.close()


def test_a_crash_stops_the_callback_that_it_happens_in() -> None:
    loop = VirtualLoop()
    loop.set_exception_handler(lambda _, __: None)
    done: list[str] = []

    async def story() -> None:
        process = Process("p")

        def act() -> None:
            done.append("before")
            process.kill()
            raise Crash

        async def live() -> None:
            act()
            done.append("after")

        process.spawn(live())
        await asyncio.sleep(1.0)
        assert done == ["before"]
        process.bury()

    loop.run_until_complete(story())
    loop.close()
