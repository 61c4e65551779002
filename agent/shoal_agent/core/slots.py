"""A node's slots and the runs that want them (pure): who waits, who holds, who has ended.

The spawner drives it with real processes and the simulation with scripted ones; neither decides
anything about slots itself. A run is known here from `enqueue` until its end was both acknowledged
and, where its launch asked for that, its slots given back with `release`.

Imported by the spawner, which starts without site-packages: standard library only, and cheaply.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from enum import StrEnum
from itertools import chain, islice
from typing import Generic, TypeVar

L = TypeVar("L")  # what starts a run: a Launch in the spawner, a script in the simulation
R = TypeVar("R")  # what is kept of its end: the terminal event


class RunState(StrEnum):
    """Where a run stands on its node."""

    QUEUED = "queued"  # waits for its turn
    GRANTED = "granted"  # holds its slots, has no process yet
    RUNNING = "running"  # has a process, or one whose last descendants are being killed
    FINISHED = "finished"  # has its record; kept until acknowledged and released


class Run(Generic[L, R]):
    """One run as its node's slot keeper knows it.

    slots   as asked for; 0 stands beside the queue
    held    slots it holds now
    launch  None until somebody says what to start
    record  its terminal event once FINISHED
    """

    __slots__ = ("acked", "held", "key", "launch", "record", "slots", "state")

    def __init__(self, key: str, slots: int, launch: L | None) -> None:
        self.key = key
        self.slots = slots
        self.held = 0
        self.launch = launch
        self.state = RunState.QUEUED
        self.record: R | None = None
        self.acked = False


class SlotKeeper(Generic[L, R]):
    """Strict first in, first out: a run waits until all that came before it have their slots.

    A run that asks for more slots than the node has takes all of them, so that it cannot block the
    queue for ever; with a capacity of 0 nothing but slotless runs starts. Lowering the capacity
    below what is held takes nothing away; the next grant waits until enough is free.
    """

    def __init__(self, capacity: int = 0) -> None:
        self.capacity = capacity
        self.held_count = 0
        self.runs: dict[str, Run[L, R]] = {}
        self._queue: OrderedDict[str, Run[L, R]] = OrderedDict()
        self._slotless: OrderedDict[str, Run[L, R]] = OrderedDict()

    @property
    def queued_count(self) -> int:
        """Runs that wait for their turn."""
        return len(self._queue) + len(self._slotless)

    def enqueue(self, key: str, slots: int, launch: L | None) -> Run[L, R] | None:
        """Take in a run, or return None when its key is known already: agents repeat themselves."""
        if key in self.runs:
            return None
        run: Run[L, R] = Run(key, slots, launch)
        self.runs[key] = run
        (self._queue if slots else self._slotless)[key] = run
        return run

    def heads(self, count: int) -> list[Run[L, R]]:
        """Return the runs whose turn is next, so many at most."""
        return list(islice(chain(self._slotless.values(), self._queue.values()), count))

    def grant(self) -> Run[L, R] | None:
        """Give the next run in order its slots; None when it must wait or nothing is queued.

        Call it until it returns None. A run with a launch is to be started at once; for one
        without, its owner is told and the slots stay held until `launch` or `release`.
        """
        if self._slotless:
            run = self._slotless.popitem(last=False)[1]
            run.state = RunState.GRANTED
            return run
        if not self._queue or self.held_count >= self.capacity:
            return None
        key = next(iter(self._queue))
        run = self._queue[key]
        wanted = min(run.slots, self.capacity)
        if wanted == 0 or self.held_count + wanted > self.capacity:
            return None
        del self._queue[key]
        run.held = wanted
        self.held_count += wanted
        run.state = RunState.GRANTED
        return run

    def launch(self, key: str, launch: L) -> Run[L, R] | None:
        """Say what a granted run shall start and return it; None: nothing is to be started now.

        A queued run remembers its launch and starts when its turn comes; a repeated launch, or one
        of an unknown key, changes nothing.
        """
        run = self.runs.get(key)
        if run is None or run.launch is not None:
            return None
        if run.state is RunState.QUEUED:
            run.launch = launch
            return None
        if run.state is RunState.GRANTED:
            run.launch = launch
            return run
        return None

    def started(self, run: Run[L, R]) -> None:
        """The granted run has a process now."""
        assert run.state is RunState.GRANTED, run.state
        run.state = RunState.RUNNING

    def finished(self, run: Run[L, R], record: R, hold: bool = False) -> None:
        """The run has ended, with or without a process; with `hold` its slots wait for `release`.

        record  the terminal event, the only one this run ever gets
        """
        assert run.state in (RunState.GRANTED, RunState.RUNNING), run.state
        run.state = RunState.FINISHED
        run.record = record
        if not hold:
            self._free(run)

    def drop(self, key: str, record: R) -> bool:
        """End a run that has no process yet; False when it has one, has ended or is unknown."""
        run = self.runs.get(key)
        if run is None or run.state not in (RunState.QUEUED, RunState.GRANTED):
            return False
        self._queue.pop(key, None)
        self._slotless.pop(key, None)
        run.state = RunState.FINISHED
        run.record = record
        self._free(run)
        return True

    def release(self, key: str) -> None:
        """Give back the slots of a finished run that was held; anything else changes nothing."""
        run = self.runs.get(key)
        if run is not None and run.state is RunState.FINISHED:
            self._free(run)
            self._forget(run)

    def ack(self, keys: Iterable[str]) -> None:
        """The owner made these runs' ends durable; unknown and unfinished ones are passed over."""
        for key in keys:
            run = self.runs.get(key)
            if run is not None and run.state is RunState.FINISHED:
                run.acked = True
                self._forget(run)

    def check(self) -> None:
        """Prove the books right; AssertionError otherwise. For tests and the simulation."""
        assert self.held_count == sum(run.held for run in self.runs.values())
        for key, run in self.runs.items():
            waits = key in self._queue or key in self._slotless
            assert waits == (run.state is RunState.QUEUED), key
            assert run.held == 0 or not waits, key
            assert run.held <= run.slots, key
            assert (run.record is not None) == (run.state is RunState.FINISHED), key
            assert not (run.acked and run.held == 0), key
        assert self._queue.keys() | self._slotless.keys() <= self.runs.keys()

    def _free(self, run: Run[L, R]) -> None:
        self.held_count -= run.held
        run.held = 0

    def _forget(self, run: Run[L, R]) -> None:
        if run.acked and run.held == 0:
            del self.runs[run.key]
