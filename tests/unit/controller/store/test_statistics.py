"""Sums by SQL are the sums of what each record says, on random data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from shoal_controller.core.job import JobState
from shoal_controller.core.statistics import Usage, usage
from shoal_controller.core.task import Task, TaskConstraints, TaskDefinition, TaskResult, TaskState
from shoal_controller.store import jobs, nodes, statistics, tasks
from shoal_controller.store.columns import ticks
from shoal_controller.store.database import Database, Tx
from tests.builders import NOON, a_job, a_node, a_task

NOW = NOON + timedelta(days=2)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(tmp_path / "s.db", lambda tx: None, commit_inline=True)
    yield opened
    await opened.close()


def random_task(rng: Random, serial: int, job_serial: int) -> Task:
    """A task as it might stand; times may contradict each other, as clocks do."""

    def some_time() -> datetime | None:
        at = NOON + timedelta(microseconds=rng.randrange(-10, 200_000_000_000))
        return rng.choice((None, at, at))

    def some_span() -> timedelta:
        return timedelta(microseconds=rng.randrange(10_000_000))

    state = rng.choice((TaskState.ACTIVE, TaskState.RUNNING, TaskState.COMPLETED))
    result = rng.choice(list(TaskResult)) if state == TaskState.COMPLETED else None
    return a_task(
        serial=serial,
        job_serial=job_serial,
        id=f"t{serial}",
        definition=TaskDefinition("x", constraints=TaskConstraints(max_task_retry_count=0)),
        state=state,
        result=result,
        started_at=some_time(),
        ended_at=some_time(),
        retry_count=rng.randrange(3),
        user_cpu=some_span(),
        system_cpu=some_span(),
        wall_clock=some_span(),
    )


async def test_nodes_of_a_pool_count_from_its_creation_on_gone_ones_too(store: Database) -> None:
    hour = timedelta(hours=1)

    def fill(tx: Tx) -> None:
        for serial, begin in enumerate((-5, 0, 1), 1):
            node = a_node(id=f"n{serial}", pool_id="P", allocated_at=NOON + begin * hour)
            nodes.insert(tx, node)
        nodes.insert(tx, a_node(id="low", pool_id="p", is_dedicated=False, allocated_at=NOON))
        nodes.insert(tx, a_node(id="other", pool_id="q", vm_size="x", allocated_at=NOON))
        gone = nodes.by_id(tx, "n2")
        assert gone is not None
        statistics.add_past_node(tx, gone, NOON + 2 * hour)
        nodes.delete(tx, gone.serial)

    await store.write(fill)
    later = NOON + 4 * hour
    size = a_node().vm_size
    of_pool = await statistics.node_times_of_pool(store, "p", NOON, later)
    assert of_pool == {size: 2 * hour + 3 * hour}
    everything = await statistics.node_times_of_all(store, later)
    assert everything == {size: 14 * hour, "x": 4 * hour}
    assert await statistics.first_life(store) == NOON - 5 * hour


@pytest.mark.parametrize("seed", range(5))
async def test_sums_are_those_of_the_records(store: Database, seed: int) -> None:
    rng = Random(seed)
    sums: dict[int, Usage] = {}
    of_schedule: dict[int, Usage] = {}

    def fill(tx: Tx) -> None:
        serial = 0
        for number in range(1, 6):
            schedule = rng.choice((None, 7, 8))
            job = a_job(id=f"j{number}", state=JobState.ACTIVE, schedule_serial=schedule)
            assert jobs.insert(tx, job) == number
            for _ in range(rng.choice((0, 1, 40))):
                serial += 1
                task = random_task(rng, serial, number)
                tasks.insert(tx, number, task.id, task.definition, ticks(task.created_at))
                tasks.update(tx, task)
                used = usage(task, NOW)
                sums[number] = sums.get(number, Usage()) + used
                if schedule is not None:
                    of_schedule[schedule] = of_schedule.get(schedule, Usage()) + used

    await store.write(fill)
    assert await statistics.of_jobs(store, [1, 2, 3, 4, 5, 99], NOW) == sums
    assert await statistics.of_schedules(store, [7, 8], NOW) == of_schedule
    total = sum(sums.values(), Usage())
    assert (await statistics.of_all(store, NOW))[0] == total
    past = usage(random_task(rng, 1, 1), NOW)
    await store.write(lambda tx: statistics.add_past_task(tx, past, NOON - timedelta(days=1)))
    assert await statistics.of_all(store, NOW) == (total + past, NOON - timedelta(days=1))
