"""The slot keeper's promises, by example and by random histories."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shoal_agent.core.slots import Run, RunState, SlotKeeper

Keeper = SlotKeeper[str, str]


def granted(keeper: Keeper) -> list[str]:
    """Grant all that may be granted; return the keys in order."""
    keys = []
    while (run := keeper.grant()) is not None:
        keys.append(run.key)
    return keys


def test_nothing_but_slotless_runs_starts_before_there_is_a_capacity() -> None:
    keeper = Keeper()
    keeper.enqueue("a", 1, "x")
    keeper.enqueue("start", 0, "x")
    assert granted(keeper) == ["start"]
    keeper.capacity = 1
    assert granted(keeper) == ["a"]


def test_a_small_run_does_not_overtake_a_big_one() -> None:
    keeper = Keeper(4)
    for key, slots in (("a", 3), ("big", 2), ("small", 1)):
        keeper.enqueue(key, slots, "x")
    assert granted(keeper) == ["a"]
    keeper.started(keeper.runs["a"])
    keeper.finished(keeper.runs["a"], "end")
    assert granted(keeper) == ["big", "small"]


def test_a_run_that_asks_for_more_than_the_node_has_takes_all_of_it() -> None:
    keeper = Keeper(2)
    keeper.enqueue("a", 1, "x")
    keeper.enqueue("giant", 9, "x")
    assert granted(keeper) == ["a"]
    keeper.finished(keeper.runs["a"], "failed")
    assert granted(keeper) == ["giant"]
    assert keeper.held_count == 2


def test_a_held_run_keeps_its_slots_until_it_is_released() -> None:
    keeper = Keeper(1)
    keeper.enqueue("a", 1, "x")
    keeper.enqueue("b", 1, "x")
    assert granted(keeper) == ["a"]
    keeper.finished(keeper.runs["a"], "end", hold=True)
    keeper.ack(["a"])
    assert granted(keeper) == []
    keeper.release("a")
    assert granted(keeper) == ["b"]
    assert "a" not in keeper.runs


def test_a_repeated_enqueue_or_launch_changes_nothing() -> None:
    keeper = Keeper(1)
    assert keeper.enqueue("a", 1, None) is not None
    assert keeper.enqueue("a", 1, "other") is None
    assert granted(keeper) == ["a"]
    assert keeper.launch("a", "x") is keeper.runs["a"]
    assert keeper.launch("a", "y") is None
    assert keeper.runs["a"].launch == "x"


def test_a_launch_that_comes_before_the_grant_is_kept_for_it() -> None:
    keeper = Keeper()
    keeper.enqueue("a", 1, None)
    assert keeper.launch("a", "x") is None
    keeper.capacity = 1
    run = keeper.grant()
    assert run is not None
    assert run.launch == "x"


def test_only_a_run_without_a_process_can_be_dropped() -> None:
    keeper = Keeper(1)
    for key in ("a", "b"):
        keeper.enqueue(key, 1, None)
    granted(keeper)
    assert keeper.drop("b", "dropped")
    assert keeper.drop("a", "dropped")
    assert not keeper.drop("a", "dropped")
    assert keeper.held_count == 0
    keeper.enqueue("c", 1, "x")
    run = keeper.grant()
    assert run is not None
    keeper.started(run)
    assert not keeper.drop("c", "dropped")


def test_an_acknowledgement_of_an_unfinished_run_is_passed_over() -> None:
    keeper = Keeper()
    keeper.enqueue("a", 1, None)
    keeper.ack(["a", "nobody"])
    assert keeper.runs["a"].state is RunState.QUEUED


@given(st.lists(st.integers(1, 4), max_size=30), st.integers(1, 4))
def test_all_runs_start_in_the_order_they_came(slots: list[int], capacity: int) -> None:
    keeper = Keeper(capacity)
    for number, wanted in enumerate(slots):
        keeper.enqueue(str(number), wanted, "x")
    order: list[str] = []
    while keeper.queued_count:
        now = granted(keeper)
        assert now, "an empty node takes any run"
        order += now
        for key in now:
            keeper.finished(keeper.runs[key], "end")
    assert order == [str(number) for number in range(len(slots))]


class AnyHistory(RuleBasedStateMachine):
    """Whatever an agent says and however processes end, the books stay right."""

    def __init__(self) -> None:
        super().__init__()
        self.keeper = Keeper(3)
        self.ends: dict[str, int] = {}
        self.next_number = 0

    def _known(self, number: int) -> Run[str, str] | None:
        runs = list(self.keeper.runs.values())
        return runs[number % len(runs)] if runs else None

    def _end(self, key: str) -> None:
        self.ends[key] = self.ends.get(key, 0) + 1

    @rule(slots=st.integers(0, 5), has_launch=st.booleans())
    def enqueue(self, slots: int, has_launch: bool) -> None:
        self.next_number += 1
        self.keeper.enqueue(str(self.next_number), slots, "x" if has_launch else None)

    @rule(capacity=st.integers(0, 5))
    def resize(self, capacity: int) -> None:
        self.keeper.capacity = capacity

    @rule()
    def grant(self) -> None:
        before = self.keeper.held_count
        run = self.keeper.grant()
        if run is not None:
            assert self.keeper.held_count <= max(before, self.keeper.capacity)
            if run.launch is not None:
                self.keeper.started(run)

    @rule(number=st.integers(0, 50))
    def launch(self, number: int) -> None:
        run = self._known(number)
        if run is not None and self.keeper.launch(run.key, "x") is not None:
            self.keeper.started(run)

    @rule(number=st.integers(0, 50), hold=st.booleans())
    def finish(self, number: int, hold: bool) -> None:
        run = self._known(number)
        if run is not None and run.state is RunState.RUNNING:
            self.keeper.finished(run, "end", hold)
            self._end(run.key)

    @rule(number=st.integers(0, 50))
    def drop(self, number: int) -> None:
        run = self._known(number)
        if run is not None and self.keeper.drop(run.key, "dropped"):
            self._end(run.key)

    @precondition(lambda self: self.keeper.runs)
    @rule(number=st.integers(0, 50))
    def release_and_ack(self, number: int) -> None:
        run = self._known(number)
        assert run is not None
        self.keeper.release(run.key)
        self.keeper.ack([run.key])

    @invariant()
    def books_are_right(self) -> None:
        self.keeper.check()
        assert all(count == 1 for count in self.ends.values())
        finished = {k for k, run in self.keeper.runs.items() if run.state is RunState.FINISHED}
        assert finished <= self.ends.keys()
        assert all(key in self.ends for key in map(str, range(1, self.next_number + 1))
                   if key not in self.keeper.runs)  # fmt: skip


TestAnyHistory = AnyHistory.TestCase
