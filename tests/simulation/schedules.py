"""The owner of a job schedule, and what must hold of the jobs that schedules make."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shoal_controller.core.conditions import ANY
from shoal_controller.core.job import AllTasksComplete, JobDefinition
from shoal_controller.core.jobschedule import JobScheduleDefinition, JobScheduleState
from shoal_controller.core.recurrence import Timing
from shoal_controller.operations import jobs, jobschedules
from tests.simulation.ledger import Broken
from tests.simulation.story import Story

if TYPE_CHECKING:
    from tests.simulation.world import World

JOBS = (
    "SELECT jobs.id, jobs.state, job_schedules.id AS schedule, job_count FROM jobs"
    " LEFT JOIN job_schedules ON job_schedules.serial = schedule_serial"
    " WHERE schedule_serial IS NOT NULL"
)


class ScheduleStory(Story):
    """Makes a schedule, changes, disables, ends and deletes it, and ends its jobs."""

    def __init__(self, world: World, name: str, pool_ids: list[str]) -> None:
        super().__init__(world, name)
        self._pool_ids = pool_ids

    async def run(self, until_s: float) -> None:
        actions = {
            "create": 3.0, "end_job": 2.0, "disable": 1.0, "enable": 1.5, "patch": 1.0,
            "terminate": 0.3, "remove": 0.3,
        }  # fmt: skip
        while self.world.loop.time() < until_s:
            await asyncio.sleep(self.rng.expovariate(1 / 4.0))
            await self.act(actions)

    async def make_peace(self) -> None:
        """Let no new jobs come."""
        await self._disable()

    async def delete(self) -> None:
        await self._remove()

    async def is_there(self) -> bool:
        return (await self._get()) is not None

    def _definition(self) -> JobScheduleDefinition:
        rng = self.rng
        specification = JobDefinition(
            rng.choice(self._pool_ids), on_all_tasks_complete=rng.choice(list(AllTasksComplete))
        )
        interval = timedelta(seconds=rng.choice((2, 5, 20)))
        return JobScheduleDefinition(
            specification,
            Timing(
                start_window=rng.choice((None, timedelta(seconds=1))),
                interval=rng.choice((None, interval, interval)),
            ),
        )

    async def _create(self) -> None:
        wanted = self._definition()
        await self.ask(
            "create schedule", lambda c: jobschedules.create_job_schedule(c, self.id, wanted)
        )

    async def _patch(self) -> None:
        wanted = self._definition()
        changes = {"timing": wanted.timing, "specification": wanted.specification}
        await self.ask(
            "patch schedule", lambda c: jobschedules.change_job_schedule(c, self.id, changes, ANY)
        )

    async def _disable(self) -> None:
        await self.ask(
            "disable schedule", lambda c: jobschedules.disable_job_schedule(c, self.id, ANY)
        )

    async def _enable(self) -> None:
        await self.ask(
            "enable schedule", lambda c: jobschedules.enable_job_schedule(c, self.id, ANY)
        )

    async def _terminate(self) -> None:
        await self.ask(
            "terminate schedule", lambda c: jobschedules.terminate_job_schedule(c, self.id, ANY)
        )

    async def _remove(self) -> None:
        await self.ask(
            "delete schedule", lambda c: jobschedules.delete_job_schedule(c, self.id, ANY)
        )

    async def _end_job(self) -> None:
        view = await self._get()
        job_id = None if view is None else view.schedule.recent_job_id
        if job_id is not None:
            await self.ask(f"terminate {job_id}", lambda c: jobs.terminate_job(c, job_id))

    async def _get(self) -> jobschedules.JobScheduleView | None:
        found = await self.ask("get schedule", lambda c: jobschedules.get_job_schedule(c, self.id))
        return found.value


def check(jobs_of_schedules: Iterable[sqlite3.Row]) -> None:
    """Raise Broken unless each schedule has one live job at most, of the numbers it gave out.

    jobs_of_schedules  the rows of JOBS
    """
    live: set[str] = set()
    for row in jobs_of_schedules:
        schedule, number = row["schedule"], row["id"].rpartition("-")[2]
        if schedule is None:
            raise Broken("schedules", f"{row['id']} has lost its schedule")
        if int(number) > row["job_count"]:
            raise Broken("schedules", f"{row['id']} is not among {row['job_count']} jobs")
        if row["state"] not in ("completed", "deleting"):
            if schedule in live:
                raise Broken("schedules", f"{schedule} has two live jobs")
            live.add(schedule)


def unrest(states: Iterable[Any]) -> str:
    """Return which schedule is still on its way, or nothing; rows of id and state."""
    for schedule_id, state in states:
        if state in (JobScheduleState.TERMINATING, JobScheduleState.DELETING):
            return f"job schedule {schedule_id} is {state}"
    return ""
