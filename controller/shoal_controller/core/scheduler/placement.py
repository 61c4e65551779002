"""Which node takes a task: those with free slots first, then, for short tasks, ahead of their turn.

A task of a job whose runs took milliseconds lately may be placed on a node that is busy, as long as
the work that the node holds stays below `ahead_s_max`: the node then goes from one to the next
without asking. Such a task is still `active`; if its node stalls while another is free, or is to
take no more tasks, it is recalled. docs/decisions/0002 says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Final

from shoal_controller.core.changes import Ready
from shoal_controller.core.index import WINDOW_TASKS_MAX, Index
from shoal_controller.core.job import JobState
from shoal_controller.core.pool import NodeFillType
from shoal_controller.core.scheduler.order import groups, ready
from shoal_controller.core.views import JobView, NodeView, PoolView
from shoal_protocol.specs import RunId

_MISFITS_MAX: Final = 100
"""So many tasks of a job that fit nowhere are passed over in one plan before the job is left."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one plan does.

    placements_max             of one plan
    ahead_s_max, ahead_count_max  work, per slot, that a busy node may hold ahead of its turn
    stall_s                    a node without progress for so long gives back what it has not begun
    window_tasks_max           so many waiting tasks of a job are held in memory
    """

    placements_max: int = 500
    ahead_s_max: float = 0.1
    ahead_count_max: int = 200
    stall_s: float = 0.25
    window_tasks_max: int = WINDOW_TASKS_MAX


@dataclass(frozen=True, slots=True)
class Placement:
    """A waiting task starts, or queues, on a node."""

    job: JobView
    task: Ready
    node: NodeView


@dataclass(frozen=True, slots=True)
class Recall:
    """A queued run should be given back by its node."""

    node: NodeView
    run: RunId


@dataclass(slots=True)
class Plan:
    """What to do now, in order."""

    placements: list[Placement] = field(default_factory=list[Placement])
    recalls: list[Recall] = field(default_factory=list[Recall])


class _Room:
    """A node's room, as this plan uses it up."""

    __slots__ = ("count", "load_s", "node", "used")

    def __init__(self, node: NodeView) -> None:
        self.node = node
        self.used = node.used
        self.load_s = node.load_s
        self.count = len(node.runs)


class _Rooms:
    """The open nodes of a pool. Heap entries may be stale; they are corrected when they surface."""

    def __init__(self, nodes: list[NodeView], fill_type: NodeFillType, limits: Limits) -> None:
        rooms = [_Room(node) for node in nodes]
        self._sign = -1 if fill_type == NodeFillType.PACK else 1
        self._limits = limits
        self._by_affinity = {f"TVM:{room.node.id}": room for room in rooms}
        self._free = [
            (self._sign * room.used, room.node.serial, room)
            for room in rooms
            if room.used < room.node.slots
        ]
        self._busy = [(room.load_s / room.node.slots, room.node.serial, room) for room in rooms]
        heapify(self._free)
        heapify(self._busy)

    def take(self, job: JobView, task: Ready) -> NodeView | None:
        """Return the node for `task`, its room used up, or None."""
        room = self._preferred(task) or self._free_room(task.slots) or self._ahead_room(job, task)
        if room is None:
            return None
        room.used += task.slots
        room.load_s += job.mean_run_s or 0.0
        room.count += 1
        return room.node

    @property
    def has_free(self) -> bool:
        """Whether some slot is free."""
        while self._free and self._free[0][2].used >= self._free[0][2].node.slots:
            heappop(self._free)
        return bool(self._free)

    def _preferred(self, task: Ready) -> _Room | None:
        if task.affinity_id is None:
            return None
        room = self._by_affinity.get(task.affinity_id)
        return room if room and room.used + task.slots <= room.node.slots else None

    def _free_room(self, slots: int) -> _Room | None:
        passed: list[tuple[int, int, _Room]] = []
        found: _Room | None = None
        while self._free:
            key, serial, room = heappop(self._free)
            if key != self._sign * room.used:
                if room.used < room.node.slots:
                    heappush(self._free, (self._sign * room.used, serial, room))
                continue
            passed.append((key, serial, room))
            if room.used + slots <= room.node.slots:
                found = room
                break
        for entry in passed:  # the chosen one's entry is stale now, and corrected when it surfaces
            heappush(self._free, entry)
        return found

    def _ahead_room(self, job: JobView, task: Ready) -> _Room | None:
        if job.mean_run_s is None:
            return None
        while self._busy:
            key, serial, room = self._busy[0]
            per_slot_s = room.load_s / room.node.slots
            if key != per_slot_s:
                heappop(self._busy)
                heappush(self._busy, (per_slot_s, serial, room))
                continue
            fits = (
                per_slot_s + job.mean_run_s <= self._limits.ahead_s_max
                and room.count < self._limits.ahead_count_max * room.node.slots
                and task.slots <= room.node.slots
            )
            return room if fits else None
        return None


def plan(index: Index, now_s: float, limits: Limits) -> Plan:
    """Choose which waiting tasks go where; touch nothing.

    index    as of the last commit; read, never changed
    now_s    monotonic
    returns  placements in start order, at most limits.placements_max, and recalls of what should
             not start where it waits; no node is given more than its slots except short tasks
             ahead of their turn
    raises   nothing: a task that fits nowhere is absent
    source   REST reference, taskSchedulingPolicy.nodeFillType; semantics 2.9 and 4.6
    """
    made = Plan()
    for pool in index.pools.values():
        connected = [node for node in pool.nodes.values() if node.is_connected]
        nodes = [node for node in connected if node.takes_tasks]
        if nodes:
            left = limits.placements_max - len(made.placements)
            made.placements += _placements(pool, _Rooms(nodes, pool.fill_type, limits), left)
        made.recalls += _recalls(pool, connected, now_s, limits)
    return made


def _placements(pool: PoolView, rooms: _Rooms, left: int) -> list[Placement]:
    made: list[Placement] = []
    for group in groups(pool):
        turns = [(job, ready(job)) for job in group]
        while turns and len(made) < left:
            turns = [
                (job, waiting)
                for job, waiting in turns
                if len(made) < left and _place_next(job, waiting, rooms, made)
            ]
    return made


def _place_next(
    job: JobView, waiting: Iterator[Ready], rooms: _Rooms, made: list[Placement]
) -> bool:
    """Place the job's next task that fits; return False when the job has no further turn."""
    for misfits, task in enumerate(waiting):
        node = rooms.take(job, task)
        if node is not None:
            made.append(Placement(job, task, node))
            return True
        if not rooms.has_free or misfits >= _MISFITS_MAX:
            return False  # what needs fewer slots may pass a task that does not fit, within reason
    return False


def _recalls(pool: PoolView, nodes: list[NodeView], now_s: float, limits: Limits) -> list[Recall]:
    """Return what nodes should give back unless they have begun it, which only they know.

    That is what waits on a node that is closed, leaves or reboots, what waits anywhere of a job
    that is being disabled, and what is stuck on one node while another has a free slot.
    """
    disabling = {job.serial for job in pool.jobs.values() if job.state == JobState.DISABLING}
    has_free = any(node.used < node.slots for node in nodes if node.takes_tasks)
    recalls: list[Recall] = []
    for node in nodes:
        is_stuck = has_free and node.used > node.slots and now_s - node.progress_s > limits.stall_s
        is_all = is_stuck or not node.takes_tasks
        if is_all or disabling:
            recalls += [
                Recall(node, run.run)
                for run in node.runs.values()
                if not run.is_started and not run.is_recalled
                if is_all or run.job_serial in disabling
            ]
    return recalls
