"""Which waiting task goes where."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from shoal_controller.core.changes import (
    NEW,
    JobPut,
    NodePut,
    PoolPut,
    Ready,
    Standing,
    TaskMoved,
    TasksAdded,
)
from shoal_controller.core.index import Index
from shoal_controller.core.job import JobDefinition, JobState
from shoal_controller.core.node import NodeState, SchedulingState
from shoal_controller.core.pool import DeallocationOption, JobDefaultOrder, NodeFillType
from shoal_controller.core.scheduler import Limits, Plan, plan
from shoal_controller.core.task import TaskResult, TaskState
from shoal_protocol.specs import RunId
from tests.builders import a_job, a_node, a_pool

PLACED = NEW._replace(is_placed=True)
RUNNING = Standing(TaskState.RUNNING, None, True)
SUCCEEDED = Standing(TaskState.COMPLETED, TaskResult.SUCCESS, False)


def an_index(
    *slots: int,
    fill: NodeFillType = NodeFillType.SPREAD,
    order: JobDefaultOrder = JobDefaultOrder.NONE,
) -> Index:
    """A pool with connected nodes of so many slots each; node serials count from 1."""
    index = Index()
    definition = replace(a_pool().definition, fill_type=fill, job_order=order)
    index.apply(PoolPut(a_pool(definition=definition)), 0)
    for serial, count in enumerate(slots, 1):
        index.apply(NodePut(a_node(serial=serial, id=f"n{serial}", slots=count)), 0)
        index.nodes[serial].is_connected = True
    return index


def add_job(index: Index, serial: int, tasks: int, *, slots: int = 1, **definition: int) -> None:
    """A job whose tasks have the serials 100 * serial + 1, ..."""
    job = a_job(serial=serial, id=f"j{serial}", definition=JobDefinition("p", **definition))
    index.apply(JobPut(job), 0)
    ready = [Ready(100 * serial + number, slots, 0, None) for number in range(1, tasks + 1)]
    index.apply(TasksAdded(serial, ready), 0)


def carry_out(index: Index, made: Plan) -> list[tuple[int, int]]:
    """Apply a plan; return (task, node) pairs."""
    for placement in made.placements:
        task = placement.task
        index.apply(
            TaskMoved(
                task.serial,
                placement.job.serial,
                task.slots,
                task.attempt + 1,
                task.affinity_id,
                NEW,
                PLACED,
                node=placement.node.serial,
            ),
            0,
        )
    index.check()
    return [(placement.task.serial, placement.node.serial) for placement in made.placements]


def end(index: Index, job: int, task: int, node: int, run_s: float) -> None:
    change = TaskMoved(task, job, 1, 1, None, PLACED, SUCCEEDED, node=node, run_s=run_s)
    index.apply(change, 0)


def test_spread_fills_all_nodes_evenly() -> None:
    index = an_index(2, 2)
    add_job(index, 1, 3)
    assert carry_out(index, plan(index, 0, Limits())) == [(101, 1), (102, 2), (103, 1)]


def test_pack_fills_a_node_before_the_next() -> None:
    index = an_index(2, 2, fill=NodeFillType.PACK)
    add_job(index, 1, 3)
    assert carry_out(index, plan(index, 0, Limits())) == [(101, 1), (102, 1), (103, 2)]


def test_no_more_is_placed_than_there_are_slots_while_nothing_is_known_of_the_runs() -> None:
    index = an_index(1, 1)
    add_job(index, 1, 10)
    assert len(carry_out(index, plan(index, 0, Limits()))) == 2
    assert plan(index, 0, Limits()).placements == []


def test_short_tasks_are_placed_ahead_of_their_turn() -> None:
    index = an_index(1)
    add_job(index, 1, 99)
    carry_out(index, plan(index, 0, Limits()))
    end(index, 1, 101, 1, run_s=0.01)
    assert len(carry_out(index, plan(index, 0, Limits(ahead_s_max=0.1)))) == 10


def test_long_tasks_are_not_placed_ahead() -> None:
    index = an_index(1)
    add_job(index, 1, 99)
    carry_out(index, plan(index, 0, Limits()))
    end(index, 1, 101, 1, run_s=5)
    assert len(carry_out(index, plan(index, 0, Limits()))) == 1


def test_what_is_queued_on_a_stalled_node_is_recalled_once_another_is_free() -> None:
    index = an_index(1)
    add_job(index, 1, 5)
    carry_out(index, plan(index, 0, Limits()))
    end(index, 1, 101, 1, run_s=0.01)
    carry_out(index, plan(index, 0, Limits()))
    index.apply(TaskMoved(102, 1, 1, 1, None, PLACED, RUNNING, node=1), 0)
    assert plan(index, 9, Limits()).recalls == []
    index.apply(NodePut(a_node(serial=2, id="n2")), 0)
    index.nodes[2].is_connected = True
    assert [recall.run.serial for recall in plan(index, 9, Limits()).recalls] == [103, 104, 105]
    assert plan(index, 0.1, Limits()).recalls == []


def test_jobs_of_equal_priority_take_turns_unless_older_ones_go_first() -> None:
    for order, expected in (
        (JobDefaultOrder.NONE, [101, 201, 102, 202]),
        (JobDefaultOrder.CREATION_TIME, [101, 102, 103, 201]),
    ):
        index = an_index(4, order=order)
        add_job(index, 2, 3)
        add_job(index, 1, 3)
        add_job(index, 3, 1, priority=-1)
        placed = carry_out(index, plan(index, 0, Limits()))
        assert [task for task, _ in placed] == expected


def test_a_higher_priority_goes_first() -> None:
    index = an_index(1)
    add_job(index, 1, 1)
    add_job(index, 2, 1, priority=5)
    assert carry_out(index, plan(index, 0, Limits())) == [(201, 1)]


def test_jobs_of_equal_priority_take_turns() -> None:
    index = an_index(4)
    add_job(index, 1, 9)
    add_job(index, 2, 9)
    assert carry_out(index, plan(index, 0, Limits())) == [(101, 1), (201, 1), (102, 1), (202, 1)]


def test_the_job_served_last_comes_last_in_the_next_plan() -> None:
    index = an_index(1)
    add_job(index, 1, 9)
    add_job(index, 2, 9)
    assert carry_out(index, plan(index, 0, Limits())) == [(101, 1)]
    end(index, 1, 101, 1, run_s=60)
    assert carry_out(index, plan(index, 0, Limits())) == [(201, 1)]


def test_a_task_that_does_not_fit_lets_smaller_ones_pass() -> None:
    index = an_index(2, 1)
    add_job(index, 1, 1, slots=2)
    add_job(index, 2, 3)
    index.nodes[1].takes_tasks = False
    assert carry_out(index, plan(index, 0, Limits())) == [(201, 2)]


def test_max_parallel_tasks_holds_tasks_back() -> None:
    index = an_index(8)
    add_job(index, 1, 9, max_parallel_tasks=3)
    assert len(carry_out(index, plan(index, 0, Limits()))) == 3
    assert plan(index, 0, Limits()).placements == []


def test_a_preferred_node_is_taken_while_it_has_room() -> None:
    index = an_index(1, 1)
    index.apply(JobPut(a_job()), 0)
    wishes = [Ready(number, 1, 0, "TVM:n2") for number in (11, 12)]
    index.apply(TasksAdded(1, wishes), 0)
    assert carry_out(index, plan(index, 0, Limits())) == [(11, 2), (12, 1)]


def test_a_node_that_is_away_or_closed_gets_nothing() -> None:
    index = an_index(1, 1)
    add_job(index, 1, 2)
    index.nodes[1].is_connected = False
    index.apply(NodePut(a_node(serial=2, id="n2", state=NodeState.LEAVING_POOL)), 0)
    assert plan(index, 0, Limits()).placements == []


def test_a_disabled_job_gets_nothing() -> None:
    index = an_index(1)
    add_job(index, 1, 1)
    index.apply(JobPut(a_job(serial=1, id="j1", state=JobState.DISABLED)), 0)
    assert plan(index, 0, Limits()).placements == []


@given(
    nodes=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    jobs=st.lists(st.tuples(st.integers(0, 12), st.integers(1, 4), st.integers(0, 2)), max_size=5),
    pack=st.booleans(),
)
def test_slots_are_never_exceeded_and_no_fitting_task_is_left(
    nodes: list[int], jobs: list[tuple[int, int, int]], pack: bool
) -> None:
    index = an_index(*nodes, fill=NodeFillType.PACK if pack else NodeFillType.SPREAD)
    for serial, (tasks, slots, priority) in enumerate(jobs, 1):
        add_job(index, serial, tasks, slots=slots, priority=priority)
    pairs = carry_out(index, plan(index, 0, Limits()))
    assert len({task for task, _ in pairs}) == len(pairs)
    free = [node.slots - node.used for node in index.nodes.values()]
    assert min(free) >= 0
    waiting = [ready.slots for job in index.jobs.values() for ready in job.window.values()]
    assert not waiting or min(waiting) > max(free)


def queued_ahead(index: Index) -> None:
    """Node 1 has one slot: it runs task 102 of job 1 and holds 103 and 104."""
    add_job(index, 1, 4)
    carry_out(index, plan(index, 0, Limits()))
    end(index, 1, 101, 1, run_s=0.01)
    carry_out(index, plan(index, 0, Limits()))
    index.apply(TaskMoved(102, 1, 1, 1, None, PLACED, RUNNING, node=1), 0)


def recalled(index: Index) -> list[int]:
    return [recall.run.serial for recall in plan(index, 0.1, Limits()).recalls]


def test_what_a_closed_node_has_not_begun_is_recalled_once() -> None:
    index = an_index(1)
    queued_ahead(index)
    assert recalled(index) == []
    for change in (
        {"scheduling_state": SchedulingState.DISABLED},
        {"state": NodeState.LEAVING_POOL},
        {"pending": DeallocationOption.TASK_COMPLETION},
    ):
        index.apply(NodePut(a_node(serial=1, id="n1", **change)), 0)
        assert recalled(index) == [103, 104]
    index.nodes[1].is_connected = False
    assert recalled(index) == []
    index.nodes[1].is_connected = True
    index.recalled(1, RunId(103, 1))
    assert recalled(index) == [104]
    index.recalls_forgotten(1)
    assert recalled(index) == [103, 104]


def test_what_is_queued_of_a_job_that_is_being_disabled_is_recalled() -> None:
    index = an_index(1, 1)
    index.nodes[2].takes_tasks = False
    queued_ahead(index)
    add_job(index, 2, 2)
    index.apply(TaskMoved(201, 2, 1, 1, None, NEW, PLACED, node=1), 0)
    index.apply(JobPut(a_job(serial=2, id="j2", state=JobState.DISABLING)), 0)
    assert recalled(index) == [201]
