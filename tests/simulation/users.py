"""Users: they create, change and delete at any moment, and try again as a client would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from shoal_controller.core.conditions import Conditions
from shoal_controller.core.job import (
    AllTasksComplete,
    DisableOption,
    JobConstraints,
    JobDefinition,
    JobState,
    TaskFailureMode,
)
from shoal_controller.core.node import NodeAction, NodeState, SchedulingState
from shoal_controller.core.pool import (
    DeallocationOption,
    JobDefaultOrder,
    NodeFillType,
    PoolDefinition,
)
from shoal_controller.core.task import TaskConstraints, TaskDefinition
from shoal_controller.operations import jobs, nodes, pools, tasks
from shoal_controller.operations.tasks import NewTask
from shoal_protocol.specs import OutputFile, ResourceFile, StartTaskSpec
from tests.simulation.ledger import Belief
from tests.simulation.schedules import ScheduleStory
from tests.simulation.story import ALL, Story

if TYPE_CHECKING:
    from tests.simulation.world import World

RESIZE_TIMEOUT: Final = timedelta(minutes=5)


class Users:
    """All users of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        rng = world.rng
        self.pools = [
            PoolStory(world, f"pool{k}", rng.randint(1, 3)) for k in range(rng.randint(1, 2))
        ]
        slots_max = min(pool.slots for pool in self.pools)
        self.jobs = [
            JobStory(world, f"job{k}", [pool.id for pool in self.pools], slots_max)
            for k in range(rng.randint(1, 3))
        ]
        self.schedules = [ScheduleStory(world, "schedule", [pool.id for pool in self.pools])]

    def stories(self, until_s: float) -> Iterator[Coroutine[Any, Any, None]]:
        """Return what each user does until then."""
        for story in (*self.pools, *self.jobs, *self.schedules):
            yield story.run(until_s)

    async def make_peace(self, unrest: Callable[[], str], seconds_max: float) -> None:
        """Undo what keeps tasks from running, then wait until everything has ended.

        seconds_max   without any task that completes
        """
        world = self._world
        give_up_s = world.loop.time() + seconds_max
        round_s, completed = 0.0, 0
        while reason := unrest():
            if completed != world.ledger.completed_count:
                completed, give_up_s = world.ledger.completed_count, world.loop.time() + seconds_max
            if world.loop.time() > give_up_s:
                raise world.broken("liveness", reason)
            world.ledger.check_killed()
            if world.loop.time() >= round_s:
                round_s = world.loop.time() + 30.0
                for pool in self.pools:
                    await pool.make_peace()
                for owner in (*self.jobs, *self.schedules):
                    await owner.make_peace()
            await asyncio.sleep(1.0)

    async def tear_down(self, seconds_max: float) -> None:
        """Delete everything and wait until it is gone."""
        world = self._world
        for owner in (*self.jobs, *self.schedules):
            await owner.delete()
        for pool in self.pools:
            await pool.ask("delete pool", lambda c, p=pool.id: pools.delete_pool(c, p))
        give_up_s = world.loop.time() + seconds_max
        while True:
            left_jobs = await self.jobs[0].ask("list jobs", lambda c: jobs.list_jobs(c, ALL))
            left_pools = await self.jobs[0].ask("list pools", lambda c: pools.list_pools(c, ALL))
            left = [*left_jobs.value.items, *left_pools.value.items]
            left += [story.id for story in self.schedules if await story.is_there()]
            if not left:
                return
            if world.loop.time() > give_up_s:
                raise world.broken("liveness", f"{len(left)} things do not vanish")
            await asyncio.sleep(1.0)


class PoolStory(Story):
    """A pool's owner: sizes, reboots, opens and closes it, sometimes makes it anew."""

    def __init__(self, world: World, name: str, slots: int) -> None:
        super().__init__(world, name)
        self.slots = slots
        self._pause_s = self.rng.choice((8.0, 30.0, 90.0))  # nodes of the hasty live short lives

    async def run(self, until_s: float) -> None:
        await self._create()
        actions = {
            "resize": 3.0, "stop_resize": 0.5, "remove": 1.0, "toggle": 2.0, "reboot": 1.5,
            "recreate": 0.4, "patch": 0.5, "deallocate": 0.7, "start": 1.5,
        }  # fmt: skip
        if self.world.is_gentle:
            actions = {"grow": 2.0, "resize": 1.0, "remove": 1.0, "toggle": 2.0, "reboot": 1.0}
        while self.world.loop.time() < until_s:
            await asyncio.sleep(self.rng.expovariate(1 / self._pause_s))
            await self.act(actions)

    async def make_peace(self) -> None:
        """Have at least a node, all of them good and open."""
        await self._create()
        view = (await self.ask("get pool", lambda c: pools.get_pool(c, self.id))).value
        if view is None:
            return
        await self.ask("patch pool", lambda c: pools.patch_pool(c, self.id, {"start_task": None}))
        if view.current_dedicated == 0 or view.pool.target_dedicated == 0:
            await self._resize_to(1, self.option())
        for node in await self._nodes():
            node_id = node.node.id
            if node.node.scheduling_state == SchedulingState.DISABLED:
                await self.ask(
                    "enable scheduling",
                    lambda c, n=node_id: nodes.enable_scheduling(c, self.id, n),
                )
            if node.state in (NodeState.START_TASK_FAILED, NodeState.WAITING_FOR_START_TASK):
                await self._restart(node_id, NodeAction.REBOOT, DeallocationOption.REQUEUE)
            elif node.state == NodeState.DEALLOCATED:
                await self._restart(node_id, NodeAction.START, DeallocationOption.REQUEUE)

    async def _create(self) -> None:
        definition = PoolDefinition(
            "standard_d1_v2",
            slots_per_node=self.slots,
            fill_type=self.rng.choice(list(NodeFillType)),
            job_order=self.rng.choice(list(JobDefaultOrder)),
            start_task=self._start_task(),
        )
        dedicated, low = self.rng.randint(1, 3), self.rng.choice((0, 0, 1))
        while True:
            answer = await self.ask(
                "create pool",
                lambda c: pools.create_pool(
                    c,
                    self.id,
                    definition,
                    target_dedicated=dedicated,
                    target_low_priority=low,
                    resize_timeout=RESIZE_TIMEOUT,
                ),
            )
            if not answer.code:
                return
            view = (await self.ask("get pool", lambda c: pools.get_pool(c, self.id))).value
            if view is not None and view.pool.state == "active":
                return
            await asyncio.sleep(2.0)

    def _start_task(self) -> StartTaskSpec | None:
        rng = self.rng
        if rng.random() < 0.5:
            return None
        code = int(rng.random() < 0.1)
        return StartTaskSpec(
            f"work {rng.uniform(0.1, 3):.2f} {code}",
            retry_count_max=rng.choice((0, 2)),
            wait_for_success=rng.random() < 0.7,
        )

    async def _resize(self) -> None:
        await self._resize_to(self.rng.choice((0, 1, 2, 3, 4, 4)), self.option())

    async def _grow(self) -> None:
        view = (await self.ask("get pool", lambda c: pools.get_pool(c, self.id))).value
        if view is not None and view.pool.target_dedicated < 4:
            await self._resize_to(view.pool.target_dedicated + 1, self.option())

    async def _resize_to(self, count: int, option: DeallocationOption) -> None:
        await self.ask(
            f"resize to {count}, {option}",
            lambda c: pools.resize_pool(
                c, self.id, dedicated=count, low_priority=None, timeout=RESIZE_TIMEOUT,
                option=option,
            ),
        )  # fmt: skip

    async def _stop_resize(self) -> None:
        await self.ask("stop resize", lambda c: pools.stop_resize(c, self.id))

    async def _remove(self) -> None:
        found = await self._nodes()
        if found:
            chosen = [self.rng.choice(found).node.id]
            option = self.option()
            await self.ask(
                f"remove {self.world.labels.get(chosen[0])}, {option}",
                lambda c: pools.remove_nodes(
                    c, self.id, chosen, timeout=RESIZE_TIMEOUT, option=option
                ),
            )

    async def _toggle(self) -> None:
        found = await self._nodes()
        if not found:
            return
        node = self.rng.choice(found).node
        label = self.world.labels.get(node.id)
        if node.scheduling_state == SchedulingState.DISABLED:
            await self.ask(
                f"enable {label}", lambda c: nodes.enable_scheduling(c, self.id, node.id)
            )
        else:
            option = self.option()
            await self.ask(
                f"disable {label}, {option}",
                lambda c: nodes.disable_scheduling(c, self.id, node.id, option),
            )

    async def _reboot(self) -> None:
        found = await self._nodes()
        if found:
            action = self.rng.choice((NodeAction.REBOOT, NodeAction.REIMAGE))
            await self._restart(self.rng.choice(found).node.id, action, self.option())

    async def _deallocate(self) -> None:
        found = await self._nodes()
        if found:
            chosen = self.rng.choice(found).node.id
            await self._restart(chosen, NodeAction.DEALLOCATE, self.option())

    async def _start(self) -> None:
        for view in await self._nodes():
            if view.state == NodeState.DEALLOCATED:
                await self._restart(view.node.id, NodeAction.START, self.option())

    async def _restart(self, node_id: str, action: NodeAction, option: DeallocationOption) -> None:
        await self.ask(
            f"{action} {self.world.labels.get(node_id)}, {option}",
            lambda c: nodes.restart_node(c, self.id, node_id, action, option),
        )

    async def _recreate(self) -> None:
        await self.ask("delete pool", lambda c: pools.delete_pool(c, self.id))
        await self._create()

    async def _patch(self) -> None:
        changes = {"start_task": self._start_task()}
        await self.ask("patch pool", lambda c: pools.patch_pool(c, self.id, changes))

    async def _nodes(self) -> list[Any]:
        answer = await self.ask("list nodes", lambda c: nodes.list_nodes(c, self.id, ALL))
        return list(answer.value.items) if answer.value else []


class JobStory(Story):
    """A job's owner: adds tasks and does everything to them that can be done."""

    def __init__(self, world: World, name: str, pool_ids: list[str], slots_max: int) -> None:
        super().__init__(world, name)
        self._pool_ids = pool_ids
        self._slots_max = slots_max
        self._serial = 0

    @property
    def _known(self) -> dict[str, Belief]:
        return self.world.ledger.tasks[self.id]

    async def run(self, until_s: float) -> None:
        await self._create()
        actions = {
            "add": 6.0, "terminate_task": 1.0, "delete_task": 1.0, "update_task": 0.5,
            "look": 1.0, "patch": 0.5, "end": 0.2, "recreate": 0.4,
        }  # fmt: skip
        actions |= {"disable": 1.0, "enable": 1.5}
        if not self.world.is_gentle:
            actions |= {"reactivate": 1.0}
        while self.world.loop.time() < until_s:
            await asyncio.sleep(self.rng.expovariate(1 / 3.0))
            await self.act(actions)

    async def make_peace(self) -> None:
        """Let a disabled job go on."""
        job = (await self.ask("get job", lambda c: jobs.get_job(c, self.id))).value
        if job is not None and job.state == JobState.DISABLED:
            await self._enable()

    async def delete(self) -> None:
        """Delete the job; return when that is certain."""
        ledger = self.world.ledger
        before = ledger.jobs.get(self.id, Belief.NO)
        if before == Belief.NO:
            return
        ledger.jobs[self.id] = Belief.MAYBE
        ledger.ended_jobs.discard(self.id)
        await self.ask("delete job", lambda c: jobs.delete_job(c, self.id))
        ledger.jobs[self.id] = Belief.NO  # carried out, under way, or done before

    async def _create(self) -> None:
        rng, ledger = self.rng, self.world.ledger
        definition = JobDefinition(
            rng.choice(self._pool_ids),
            priority=rng.choice((0, 0, 100)),
            max_parallel_tasks=rng.choice((-1, -1, -1, 2)),
            constraints=JobConstraints(
                timedelta(seconds=rng.uniform(30, 200)) if rng.random() < 0.1 else None,
                rng.choice((0, 0, 2)),
            ),
            on_all_tasks_complete=rng.choices(list(AllTasksComplete), (4, 1))[0],
            on_task_failure=rng.choices(list(TaskFailureMode), (6, 1))[0],
        )
        ledger.jobs[self.id] = Belief.MAYBE
        ledger.tasks[self.id] = {}
        while True:
            answer = await self.ask("create job", lambda c: jobs.create_job(c, self.id, definition))
            if not answer.code:
                break
            job = (await self.ask("get job", lambda c: jobs.get_job(c, self.id))).value
            if job is not None and job.state != JobState.DELETING:
                break  # an earlier try that had no answer
            await asyncio.sleep(1.0)
        ledger.jobs[self.id] = Belief.YES

    async def _add(self) -> None:
        rng = self.rng
        gone = [task_id for task_id, belief in self._known.items() if belief == Belief.NO]
        new: list[NewTask] = []
        for _ in range(rng.choice((1, 1, 3, 8, 20))):
            self._serial += 1
            task_id = f"t{self._serial}"
            if gone and rng.random() < 0.2:
                task_id = gone.pop()
            new.append(NewTask(task_id, self._task()))
        known = self._known
        for item in new:
            known[item.id] = Belief.MAYBE
        answer = await self.ask(f"add {len(new)} tasks", lambda c: tasks.add_tasks(c, self.id, new))
        if answer.code:
            if not answer.is_unsure:
                for item in new:
                    known[item.id] = Belief.NO
            if rng.random() < 0.5:
                await self._recreate()  # it has ended
            return
        for item, refused in zip(new, answer.value.refused, strict=True):
            if refused is not None and not answer.is_unsure:
                raise self.world.broken("tasks conserved", f"{item.id} exists: {refused}")
            known[item.id] = Belief.YES

    def _task(self) -> TaskDefinition:
        rng = self.rng
        lengths = (0.01, 0.03, rng.uniform(0.2, 3), rng.uniform(1, 8), rng.uniform(5, 50), 250.0)
        (seconds,) = rng.choices(lengths, (2, 2, 2, 2, 2, 0.1))
        code = rng.choice((0, 0, 0, 0, 0, 0, 1))
        limit = timedelta(seconds=seconds / 2) if rng.random() < 0.05 else None
        files = ()
        if rng.random() < 0.3:
            name = "missing" if rng.random() < 0.1 else "file"
            files = (ResourceFile(http_url=f"http://x/{name}", file_path="f"),)
        outputs = (OutputFile("*.txt", "http://x/c"),) if rng.random() < 0.2 else ()
        return TaskDefinition(
            f"work {seconds:.3f} {code}" if rng.random() > 0.03 else "nothing",
            constraints=TaskConstraints(limit, max_task_retry_count=rng.choice((None, 0, 1))),
            required_slots=rng.randint(1, self._slots_max),
            resource_files=files,
            output_files=outputs,
        )

    def _some(self) -> str | None:
        known = [task_id for task_id, belief in self._known.items() if belief != Belief.NO]
        return self.rng.choice(known) if known else None

    async def _terminate_task(self) -> None:
        task_id = self._some()
        if task_id:
            await self.ask(
                f"terminate {task_id}", lambda c: tasks.terminate_task(c, self.id, task_id)
            )

    async def _delete_task(self) -> None:
        task_id = self._some()
        if task_id is None:
            return
        known, before = self._known, self._known[task_id]
        known[task_id] = Belief.MAYBE
        answer = await self.ask(
            f"delete {task_id}", lambda c: tasks.delete_task(c, self.id, task_id)
        )
        if answer.code in ("", "TaskNotFound", "JobNotFound"):
            known[task_id] = Belief.NO
        elif not answer.is_unsure:
            known[task_id] = before

    async def _update_task(self) -> None:
        task_id = self._some()
        if task_id:
            constraints = TaskConstraints(timedelta(seconds=self.rng.uniform(0.1, 60)))
            await self.ask(
                f"update {task_id}",
                lambda c: tasks.update_task(c, self.id, task_id, constraints, Conditions()),
            )

    async def _reactivate(self) -> None:
        task_id = self._some()
        if task_id:
            await self.ask(
                f"reactivate {task_id}", lambda c: tasks.reactivate_task(c, self.id, task_id)
            )

    async def _look(self) -> None:
        counts = await self.ask("count tasks", lambda c: jobs.count_tasks(c, self.id))
        listed = await self.ask("list tasks", lambda c: tasks.list_tasks(c, self.id, ALL))
        if counts.code or listed.code:
            raise self.world.broken("acknowledged writes", f"{self.id}: {counts}, {listed}")

    async def _patch(self) -> None:
        rng = self.rng
        job = (await self.ask("get job", lambda c: jobs.get_job(c, self.id))).value
        changes: dict[str, Any] = {"priority": rng.choice((-5, 0, 7))}
        if job is not None and job.state == JobState.DISABLED:
            changes["pool_id"] = rng.choice(self._pool_ids)
        await self.ask(f"patch job {changes}", lambda c: jobs.patch_job(c, self.id, changes))

    async def _disable(self) -> None:
        gentle = self.world.is_gentle
        option = self.rng.choice([DisableOption.WAIT] if gentle else list(DisableOption))
        await self.ask(f"disable, {option}", lambda c: jobs.disable_job(c, self.id, option))

    async def _enable(self) -> None:
        await self.ask("enable", lambda c: jobs.enable_job(c, self.id))

    async def _end(self) -> None:
        answer = await self.ask("terminate job", lambda c: jobs.terminate_job(c, self.id))
        if answer.code in ("", "JobBeingTerminated", "JobCompleted"):
            self.world.ledger.ended_jobs.add(self.id)

    async def _recreate(self) -> None:
        await self.delete()
        await self._create()
