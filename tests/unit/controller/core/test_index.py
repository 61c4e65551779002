"""The index: what it makes of committed changes."""

from __future__ import annotations

from dataclasses import replace

from shoal_controller.core.changes import (
    NEW,
    JobGone,
    JobPut,
    NodePut,
    PoolGone,
    PoolPut,
    Ready,
    Standing,
    TaskMoved,
    TasksAdded,
)
from shoal_controller.core.index import Index
from shoal_controller.core.pool import NodeFillType
from shoal_controller.core.task import TaskResult, TaskState
from tests.builders import a_job, a_node, a_pool


def a_packing_pool() -> PoolPut:
    pool = a_pool(id="P")
    return PoolPut(replace(pool, definition=replace(pool.definition, fill_type=NodeFillType.PACK)))


def test_a_deleted_pool_that_a_job_still_names_is_as_if_it_had_never_been() -> None:
    index = Index()
    index.apply(JobPut(a_job()), 0.0)
    before = index.pools["p"].id, index.pools["p"].fill_type
    index.apply(a_packing_pool(), 0.0)
    assert (index.pools["p"].id, index.pools["p"].fill_type) == ("P", NodeFillType.PACK)
    index.apply(PoolGone("P"), 0.0)
    assert (index.pools["p"].id, index.pools["p"].fill_type) == before
    assert list(index.pools["p"].jobs) == [1]


def test_a_pool_that_neither_exists_nor_is_named_leaves_nothing_behind() -> None:
    index = Index()
    index.apply(a_packing_pool(), 0.0)
    index.apply(JobPut(a_job()), 0.0)
    index.apply(PoolGone("P"), 0.0)
    index.apply(JobGone(1), 0.0)
    assert index.pools == {}


def test_a_pool_without_jobs_and_nodes_stays_while_it_exists() -> None:
    index = Index()
    index.apply(a_packing_pool(), 0.0)
    index.apply(JobPut(a_job()), 0.0)
    index.apply(JobGone(1), 0.0)
    assert list(index.pools) == ["p"]


def test_a_node_switches_only_when_its_first_task_starts_or_its_last_one_ends() -> None:
    index = Index()
    index.apply(PoolPut(a_pool()), 0)
    index.apply(NodePut(a_node(slots=2)), 0)
    index.apply(JobPut(a_job()), 0)
    index.apply(TasksAdded(1, [Ready(1, 1, 0, None), Ready(2, 1, 0, None)]), 0)
    node = index.nodes[1]
    placed, running = NEW._replace(is_placed=True), Standing(TaskState.RUNNING, None, True)
    done = Standing(TaskState.COMPLETED, TaskResult.SUCCESS, False)
    for task in (1, 2):
        index.apply(TaskMoved(task, 1, 1, 1, None, NEW, placed, node=1), 1)
    assert node.switched_s is None
    seen = []
    for at_s, task, before, after in (
        (2, 1, placed, running),
        (3, 2, placed, running),
        (4, 1, running, done),
        (5, 2, running, done),
    ):
        index.apply(TaskMoved(task, 1, 1, 1, None, before, after, node=1), at_s)
        index.check()
        seen.append((node.running_count, node.switched_s))
    assert seen == [(1, 2), (2, 2), (1, 2), (0, 5)]
