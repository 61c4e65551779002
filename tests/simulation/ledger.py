"""What truly happened, written down beside the system and compared with what it says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from shoal_controller.core.changes import TaskMoved
from shoal_controller.core.job import JobState
from shoal_controller.core.node import Node
from shoal_controller.core.task import TaskResult, TaskState

if TYPE_CHECKING:
    from tests.simulation.node import SimNode
    from tests.simulation.spawner import Script
    from tests.simulation.world import World


FULL_S_MAX: Final = 40.0
"""By then a node that nothing disturbs has told that its disk is full."""
KILLED_S_MAX: Final = 60.0
"""Silence is noticed, the agent dials again, the order is repeated, the processes are swept."""


class Broken(AssertionError):
    """An invariant does not hold. `invariant` is its short name."""

    def __init__(self, invariant: str, detail: object) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant


class Belief(StrEnum):
    """What a client knows of something it asked for."""

    YES = "yes"  # its creation was acknowledged
    MAYBE = "maybe"  # asked for, or asked to be deleted, without an answer
    NO = "no"  # never was, or its deletion was acknowledged


@dataclass(slots=True)
class Life:
    """One process of one run."""

    slots: int
    label: str
    is_over: bool = False
    exit_code: int | None = None
    is_killed: bool = False
    is_timed_out: bool = False


class Ledger:
    """Processes as they ran, tasks as they moved, and what clients were told."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.is_dirty = False
        self.lives: dict[str, Life] = {}
        self.starts: Counter[int] = Counter()
        self.succeeded: set[int] = set()
        self.results: set[tuple[int, int]] = set()
        self.successes_on: Counter[int] = Counter()
        self.completed_count = 0
        self.jobs: dict[str, Belief] = {}
        self.tasks: dict[str, dict[str, Belief]] = {}
        self.ended_jobs: set[str] = set()
        self.job_states: dict[int, JobState] = {}
        self.deleted: set[tuple[int, int]] = set()  # last node and serial of tasks that are gone
        self._nodes: dict[int, str] = {}
        self._superseded: dict[str, float] = {}  # when the controller decided a run's outcome

    # --- processes --------------------------------------------------------------------------------

    def process_started(self, node: SimNode, script: Script) -> None:
        """A process began on a node."""
        self._world.trace("process", script.key, "on", node.label)
        if script.key.startswith("start."):
            return
        if script.key in self.lives:
            raise self._world.broken("no run twice", f"{script.key} started again on {node.label}")
        self.lives[script.key] = Life(script.slots, node.label)
        serial, attempt = map(int, script.key.split("."))
        self.starts[serial] += 1
        earlier = self.lives.get(f"{serial}.{attempt - 1}")
        if self._world.is_gentle and earlier and (earlier.is_killed or not earlier.is_over):
            raise self._world.broken("no rerun", f"{script.key} starts, before it: {earlier}")
        used = sum(script.slots for script in _scripts(node))
        capacity = self._world.slots_of(node)
        if capacity is not None and used > capacity:
            raise self._world.broken("slots", f"{node.label} runs {used} slots of {capacity}")

    def process_ended(self, script: Script) -> None:
        """A process exited by itself, was killed, or ran out of time."""
        self._world.trace("exit", script.key, script.exit_code)
        life = self.lives.get(script.key)
        if life is not None:
            life.is_over, life.exit_code = True, script.exit_code
            life.is_killed, life.is_timed_out = script.is_killed, script.is_timed_out

    def process_died(self, key: str) -> None:
        """A process went down with its spawner or machine."""
        life = self.lives.get(key)
        if life is not None:
            life.is_over = True

    # --- commits ----------------------------------------------------------------------------------

    def task_moved(self, change: TaskMoved) -> None:
        """A task's move was committed."""
        before, after = change.before, change.after
        key = f"{change.serial}.{change.attempt}"
        shown = "gone" if after is None else f"{after.state}{'+' if after.is_placed else ''}"
        if before.is_placed and (after is None or not after.is_placed):
            self._superseded[key] = self._world.loop.time()
        self._world.trace("task", key, f"{before.state}{'+' if before.is_placed else ''}", shown)
        if after is None:
            if change.node is not None:
                self.deleted.add((change.node, change.serial))
            return
        if after.is_placed and not before.is_placed and change.node is not None:
            self._check_room(change.node, key)
        if change.serial in self.succeeded:
            raise self._world.broken("one result", f"{key} moves after its task succeeded")
        run = (change.serial, change.attempt)
        if change.run_s is not None or after.result == TaskResult.SUCCESS:
            if run in self.results:
                raise self._world.broken("one result", f"{key} has a second one")
            self.results.add(run)
            if not before.is_placed:
                raise self._world.broken("one result", f"{key} was not placed")
        self.completed_count += after.state == TaskState.COMPLETED
        if after.state == TaskState.COMPLETED and after.result == TaskResult.SUCCESS:
            life = self.lives.get(key)
            if life is None or not life.is_over or life.exit_code != 0:
                raise self._world.broken("true results", f"{key} succeeded, its process: {life}")
            self.succeeded.add(change.serial)
            if change.node is not None:
                self.successes_on[change.node] += 1

    def _check_room(self, node_serial: int, key: str) -> None:
        """Nothing is placed on a node whose disk has been full for so long."""
        world = self._world
        ctx = world.controller.ctx
        view = None if ctx is None else ctx.index.nodes.get(node_serial)
        node = None if view is None else world.nodes.get(view.id)
        if node is None or node.full_since_s is None or node.label in world.network.unreachable:
            return
        if world.loop.time() - node.full_since_s > FULL_S_MAX:
            raise world.broken("full disks", f"{key} is placed on {node.label}")

    def node_put(self, node: Node) -> None:
        """A node's record was committed."""
        shown = f"{node.state}{' closed' if node.scheduling_state == 'disabled' else ''}"
        shown += f" pending {node.pending}" if node.pending else ""
        if self._nodes.get(node.serial) != shown:
            self._nodes[node.serial] = shown
            self._world.trace("node", self._world.labels.get(node.id, node.serial), shown)

    def check_killed(self) -> None:
        """No process outlives the controller's decision about its run by much; when all is calm."""
        world = self._world
        for key, since_s in self._superseded.items():
            life = self.lives.get(key)
            if life is None or life.is_over or life.label in world.cut_at_the_end:
                continue
            if world.loop.time() - max(since_s, world.calm_s) > KILLED_S_MAX:
                raise world.broken("killed runs end", f"{key} still runs on {life.label}")

    def job_seen(self, serial: int, job_id: str, state: JobState) -> None:
        """A committed state of a job; ended jobs stay ended."""
        before = self.job_states.get(serial)
        self.job_states[serial] = state
        rank = {JobState.TERMINATING: 1, JobState.COMPLETED: 2, JobState.DELETING: 3}
        if before is not None and rank.get(state, 0) < rank.get(before, 0):
            raise self._world.broken(
                "terminal states", f"job {job_id} went from {before} to {state}"
            )
        if job_id in self.ended_jobs and state not in rank:
            raise self._world.broken(
                "acknowledged writes", f"job {job_id} was ended and is {state}"
            )


def _scripts(node: SimNode) -> list[Script]:
    return [] if node.spawner is None else list(node.spawner.scripts.values())
