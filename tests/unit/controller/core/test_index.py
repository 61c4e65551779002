"""The index: what it makes of committed changes."""

from __future__ import annotations

from dataclasses import replace

from shoal_controller.core.changes import JobGone, JobPut, PoolGone, PoolPut
from shoal_controller.core.index import Index
from shoal_controller.core.pool import NodeFillType
from tests.builders import a_job, a_pool


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
