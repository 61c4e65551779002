"""What must hold after every step, and what must hold once everything has calmed down."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal_agent.core.slots import RunState
from shoal_controller.core.changes import Standing
from shoal_controller.core.index import Index
from shoal_controller.core.job import JobState
from shoal_controller.core.node import NodeState
from shoal_controller.core.pool import AllocationState
from shoal_controller.core.task import TaskResult, TaskState
from shoal_controller.core.views import Counts
from shoal_controller.operations.context import build_index
from tests.simulation import schedules
from tests.simulation.controller import SimContext
from tests.simulation.ledger import Belief, Broken

if TYPE_CHECKING:
    from tests.simulation.world import World

Row = sqlite3.Row


class Snapshot:
    """The committed state, read as another process would."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA query_only = 1")

    def read_now(self, sql: str, parameters: Any = ()) -> list[Row]:
        """As Database.read_now, so that an index can be built from it."""
        return self._connection.execute(sql, parameters).fetchall()

    def close(self) -> None:
        self._connection.close()


def after_commit(world: World, ctx: SimContext, snapshot: Snapshot) -> None:
    """Cheap checks, after every step that committed something."""
    try:
        ctx.index.check()
    except AssertionError as error:
        raise Broken("index.check", error) from error
    _counts(ctx.index, snapshot)
    _remembered(world, snapshot)
    schedules.check(snapshot.read_now(schedules.JOBS))
    _beliefs(world, snapshot)
    held = snapshot.read_now(
        "SELECT tasks.id, nodes.id FROM tasks JOIN nodes ON nodes.id = node_id"
        " WHERE is_placed AND nodes.state = 'unusable'"
    )
    if held:
        raise Broken("lost nodes", f"{len(held)} tasks wait for a node that was given up")
    for node in ctx.index.nodes.values():
        rows = snapshot.read_now(
            "SELECT total_tasks_succeeded FROM nodes WHERE serial = ?", (node.serial,)
        )
        told = world.ledger.successes_on[node.serial]
        if not rows or rows[0][0] != told:
            raise Broken("one result", f"{node.id[:12]} counts {rows and rows[0][0]}, not {told}")


def _counts(index: Index, snapshot: Snapshot) -> None:
    """Counters equal what a list would show."""
    tasks = {serial: (Counts(), Counts()) for serial in index.jobs}
    rows = snapshot.read_now(
        "SELECT job_serial, state, result, count(*), sum(slots) FROM tasks GROUP BY 1, 2, 3"
    )
    for serial, state, result, count, slots in rows:
        if serial not in tasks:
            raise Broken("tasks conserved", f"{count} tasks of job {serial}, which is gone")
        standing = Standing(TaskState(state), TaskResult(result) if result else None, False)
        tasks[serial][0].add(standing, count)
        tasks[serial][1].add(standing, slots)
    for serial, (count, slots) in tasks.items():
        job = index.jobs[serial]
        if (job.tasks, job.slots) != (count, slots):
            raise Broken("counts = list", f"job {job.id}: {job.tasks} is not {count}")


def _remembered(world: World, snapshot: Snapshot) -> None:
    """What was deleted is still counted: no task that succeeded and no node is forgotten."""
    (succeeded,) = snapshot.read_now(
        "SELECT (SELECT count(*) FROM tasks WHERE result = 'success') + succeeded FROM past_tasks"
    )[0]
    if succeeded != len(world.ledger.succeeded):
        raise Broken("lifetime", f"{succeeded} tasks, not {len(world.ledger.succeeded)}")
    rows = snapshot.read_now(
        "SELECT seq - (SELECT count(*) FROM nodes) - (SELECT count(*) FROM past_nodes)"
        " FROM sqlite_sequence WHERE name = 'nodes'"
    )
    if rows and rows[0][0]:
        raise Broken("lifetime", f"{rows[0][0]} nodes are neither there nor remembered")


def _beliefs(world: World, snapshot: Snapshot) -> None:
    """What was acknowledged is there; what was not asked for is not."""
    ledger = world.ledger
    stored: dict[str, dict[str, TaskState]] = {}
    for serial, job_id, state in snapshot.read_now("SELECT serial, id, state FROM jobs"):
        stored[job_id] = {}
        ledger.job_seen(serial, job_id, JobState(state))
        if state != JobState.DELETING:
            continue
        del stored[job_id]  # its tasks are on their way out
        if ledger.jobs.get(job_id) == Belief.YES:
            raise Broken("acknowledged writes", f"job {job_id} is deleted without a request")
    rows = snapshot.read_now(
        "SELECT jobs.id, tasks.id, tasks.state FROM tasks JOIN jobs ON jobs.serial = job_serial"
    )
    for job_id, task_id, state in rows:
        if job_id in stored:
            stored[job_id][task_id] = state
    for job_id, belief in ledger.jobs.items():
        if belief == Belief.YES and job_id not in stored:
            raise Broken("acknowledged writes", f"job {job_id} is not there")
        if belief == Belief.NO and job_id in stored:
            raise Broken("acknowledged writes", f"job {job_id} is still there")
        if belief != Belief.YES:
            continue
        known = ledger.tasks[job_id]
        for task_id, task_belief in known.items():
            if task_belief == Belief.YES and task_id not in stored[job_id]:
                raise Broken("tasks conserved", f"{job_id}/{task_id} is not there")
        for task_id in stored[job_id]:
            if known.get(task_id, Belief.NO) == Belief.NO:
                raise Broken("tasks conserved", f"{job_id}/{task_id} came from nowhere")


def index_equals_store(ctx: SimContext, snapshot: Snapshot) -> None:
    """The index is what a restart would build."""
    rebuilt = Index(ctx.index.window_tasks_max)
    store: Any = snapshot
    build_index(rebuilt, store, 0.0)
    for name, one, other in zip(
        ("pools", "nodes", "jobs"), _shape(ctx.index), _shape(rebuilt), strict=True
    ):
        if one != other:
            differing = [(key, one.get(key), other.get(key)) for key in one.keys() | other.keys()]
            differing = [row for row in differing if row[1] != row[2]]
            raise Broken("index = store", f"{name}: {differing[:3]}")
    for job in ctx.index.jobs.values():
        rows = snapshot.read_now(
            "SELECT serial, slots, attempt, affinity_id FROM tasks"
            " WHERE job_serial = ? AND state = 'active' AND is_placed = 0",
            (job.serial,),
        )
        waiting = {row["serial"]: tuple(row) for row in rows}
        held = {**job.window, **job.again}
        for serial, ready in held.items():
            if waiting.get(serial) != tuple(ready):
                raise Broken("index = store", f"window of {job.id}: {ready} {waiting.get(serial)}")
        missing = [s for s in waiting.keys() - held.keys() if s <= job.window_end]
        if missing or (not job.has_more and len(held) != len(waiting)):
            raise Broken("index = store", f"window of {job.id} lacks {missing or waiting}")


def _shape(index: Index) -> Iterator[dict[Any, Any]]:
    yield {
        key: (
            pool.id,
            pool.fill_type,
            pool.job_order,
            pool.exists,
            sorted(pool.nodes),
            sorted(pool.jobs),
        )
        for key, pool in index.pools.items()
    }
    yield {
        node.serial: (
            node.id, node.pool_key, node.slots, node.takes_tasks, node.state, node.is_dedicated,
            node.used - sum(node.dying.values()),
            sorted((r.serial, r.attempt, r.job_serial, r.slots, r.is_started)
                   for r in node.runs.values()),
        )
        for node in index.nodes.values()
    }  # fmt: skip
    yield {
        job.serial: (
            job.id, job.pool_key, job.priority, job.state, job.max_parallel_tasks,
            job.ends_with_tasks, job.tasks, job.slots, job.placed_count, job.deadline,
        )
        for job in index.jobs.values()
    }  # fmt: skip


# --- when all is calm -----------------------------------------------------------------------------


def unrest(world: World, ctx: SimContext, snapshot: Snapshot) -> str:
    """Return what is not settled yet, or nothing: each must come to its end without help."""
    on_its_way = schedules.unrest(snapshot.read_now("SELECT id, state FROM job_schedules"))
    if on_its_way:
        return on_its_way
    for row in snapshot.read_now("SELECT id, state FROM jobs"):
        if row["state"] in (JobState.DISABLING, JobState.TERMINATING, JobState.DELETING):
            return f"job {row['id']} is {row['state']}"
    for row in snapshot.read_now("SELECT id, state, allocation_state FROM pools"):
        if row["state"] != "active" or row["allocation_state"] != AllocationState.STEADY:
            return f"pool {row['id']} is {row['state']}, {row['allocation_state']}"
    for row in snapshot.read_now("SELECT id, state, pending FROM nodes"):
        if row["state"] != NodeState.IDLE or row["pending"]:
            return f"node {world.labels[row['id']]} is {row['state']}, pending {row['pending']}"
    rows = snapshot.read_now(
        "SELECT jobs.id AS job_id, tasks.* FROM tasks JOIN jobs ON jobs.serial = job_serial"
        " WHERE tasks.state != 'completed' AND (jobs.state = 'active' OR tasks.is_placed)"
    )
    for row in rows:
        return f"task {row['job_id']}/{row['id']} {row['serial']}.{row['attempt']} {row['state']}"
    for view in ctx.index.nodes.values():
        if view.used or view.dying or view.runs or not view.is_connected:
            return f"node {world.labels[view.id]} uses {view.used} slots, dying {view.dying}"
    for node in world.nodes.values():
        if node.agent is None or node.agent.runner is None or node.agent.held:
            return f"agent of {node.label} holds {node.agent and node.agent.held}"
        view = ctx.index.node_by_id.get(node.node_id)
        for serial in node.agent.kept if view is not None else ():
            if (view.serial, serial) in world.ledger.deleted:
                return f"{node.label} keeps files of task {serial}, which was deleted"
        spawner = node.spawner
        if spawner is not None:
            for run in spawner.keeper.runs.values():
                if run.state != RunState.FINISHED or not run.key.startswith("start."):
                    return f"spawner of {node.label} holds {run.key}, {run.state}"
            if spawner.keeper.held_count:
                return f"spawner of {node.label} holds {spawner.keeper.held_count} slots"
        if node.agent.runner.link.unacked_messages:
            return f"{node.label} repeats {node.agent.runner.link.unacked_messages[0]}"
    assert world.controller.registry is not None
    for link in world.controller.registry:
        if link.end.unacked_messages:
            return f"controller repeats {link.end.unacked_messages[0]}"
    return ""


def final(world: World, ctx: SimContext, snapshot: Snapshot) -> None:
    """Everything has ended: the records tell what truly happened."""
    index_equals_store(ctx, snapshot)
    ids = {row["id"] for row in snapshot.read_now("SELECT id FROM nodes")}
    if ids != world.nodes.keys():
        raise Broken("no orphans", "nodes without a record, or records without a node")
    for row in snapshot.read_now("SELECT * FROM tasks WHERE state = 'completed'"):
        life = world.ledger.lives.get(f"{row['serial']}.{row['attempt']}")
        if row["exit_code"] is not None and (life is None or life.exit_code != row["exit_code"]):
            raise Broken("true results", f"{row['serial']}.{row['attempt']}: {life}")
        runs = world.ledger.starts[row["serial"]]
        if world.is_gentle and runs > 1 + row["retry_count"]:
            raise Broken("no rerun", f"task {row['serial']} ran {runs} times")
    for key, life in world.ledger.lives.items():
        if not life.is_over:
            raise Broken("no orphans", f"process {key} still runs on {life.label}")
