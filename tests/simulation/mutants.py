"""Planted bugs: each changes one named function, and the simulation must catch it.

A simulation that passes proves something only if it would have failed. A mutant counts as caught
when a seed fails that passes without it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from typing import Any, Final
from unittest import mock

from shoal_agent.core.audit import Audit
from shoal_agent.core.disk import Disk
from shoal_agent.core.lastingruns import LastingRuns
from shoal_agent.core.slots import SlotKeeper
from shoal_controller.core.index import Index
from shoal_controller.core.task import Requeued, TaskState
from shoal_controller.operations import nodes as node_operations
from shoal_controller.operations import reports
from shoal_controller.operations import runs as run_operations
from shoal_controller.store import database, tasks
from shoal_controller.store import jobs as job_rows
from shoal_controller.store.database import Database
from shoal_protocol.link import LinkEnd
from tests.simulation.ledger import Broken
from tests.simulation.world import Failure, run_seed

SEEDS_MAX: Final = 120
"""The rarest needs a crash within the milliseconds between two messages: some 90 seeds."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug. owner.name is replaced by what `bug` makes of the original."""

    title: str
    owner: Any
    name: str
    bug: Callable[[Any], Any]

    @contextlib.contextmanager
    def planted(self) -> Iterator[None]:
        with mock.patch.object(self.owner, self.name, self.bug(getattr(self.owner, self.name))):
            yield


# --- the bugs -------------------------------------------------------------------------------------


def _drop_an_ack(original: Any) -> Any:
    def acknowledge(end: LinkEnd, seq: int, peer_incarnation: str) -> None:
        if seq % 3:
            original(end, seq, peer_incarnation)

    return acknowledge


def _answer_before_commit(original: Any) -> Any:
    def run_one(store: Database, write: Any) -> None:
        original(store, write)
        database._answer(write)  # pyright: ignore[reportPrivateUsage]

    return run_one


def _acknowledge_before_commit(original: Any) -> Any:
    def receive(end: LinkEnd, frame: bytes, now_s: float) -> Any:
        entries = original(end, frame, now_s)
        for entry in entries:
            if entry.seq:
                end.acknowledge(entry.seq, end.peer_incarnation)
        return entries

    return receive


def _skip_a_requeue(original: Any) -> Any:
    return lambda *_: None


def _skip_what_a_lost_node_held(original: Any) -> Any:
    def lose(ctx: Any, tx: Any, node: Any, now: datetime, **_: Any) -> None:
        pass

    return lose


def _kill_what_waits_its_turn(original: Any) -> Any:
    def clear(ctx: Any, tx: Any, node: Any, option: Any, now: datetime) -> None:
        original(ctx, tx, node, option, now)
        for task in tasks.placed_on(tx, node.id):
            if task.state == TaskState.ACTIVE:
                run_operations.withdraw(ctx, tx, task, Requeued(), now)

    return clear


def _double_a_result(original: Any) -> Any:
    def current(tx: Any, run: Any) -> Any:
        return tasks.by_serial(tx, run.serial)

    return current


def _leak_a_slot(original: Any) -> Any:
    return lambda *_: None


def _do_nothing(original: Any) -> Any:
    return lambda *_: None


def _forget_to_kill(original: Any) -> Any:
    def withdraw(*arguments: Any, **named: Any) -> Any:
        return original(*arguments, **(named | {"is_node_gone": True}))

    return withdraw


def _forget_an_accepted_run(original: Any) -> Any:
    def records(runs: LastingRuns) -> Any:
        return original(runs)[1:]

    return records


def _overlook_a_live_job(original: Any) -> Any:
    return lambda *_: []


MUTANTS: Final = (
    Mutant("drop an ack", LinkEnd, "acknowledge", _drop_an_ack),
    Mutant("answer before commit", Database, "_run_one", _answer_before_commit),
    Mutant("skip a requeue", Index, "_wait_again", _skip_a_requeue),
    Mutant("double a result", reports, "_current", _double_a_result),
    Mutant("leak a slot", Index, "run_gone", _leak_a_slot),
    # Beyond those five:
    Mutant("acknowledge before commit", LinkEnd, "receive", _acknowledge_before_commit),
    Mutant("skip what a lost node held", node_operations, "lose", _skip_what_a_lost_node_held),
    Mutant("kill what waits its turn", node_operations, "clear", _kill_what_waits_its_turn),
    Mutant("keep files in silence", Audit, "_begin", _do_nothing),
    Mutant("overlook a full disk", Disk, "measured", _do_nothing),
    Mutant("leak a slot on the node", SlotKeeper, "_free", _leak_a_slot),
    Mutant("forget to kill", run_operations, "withdraw", _forget_to_kill),
    Mutant("overlook a schedule's job", job_rows, "live_of_schedule", _overlook_a_live_job),
    Mutant("forget a run in a snapshot", LastingRuns, "records", _forget_an_accepted_run),
)


def hunt(number: int) -> tuple[int, str] | None:
    """Return the first seed that catches a mutant and the invariant that did; None: it survives."""
    mutant = MUTANTS[number]
    for seed in range(SEEDS_MAX):
        with mutant.planted():
            try:
                run_seed(seed)
            except Failure as failure:
                broken = failure.broken
                name = broken.invariant if isinstance(broken, Broken) else repr(broken)[:80]
                return seed, name
    return None


def run_mutants() -> int:
    """Plant each, print what caught it; return 1 when one survives."""
    survivors = 0
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for mutant, found in zip(MUTANTS, pool.map(hunt, range(len(MUTANTS))), strict=True):
            where = f"{mutant.owner.__name__.rpartition('.')[2]}.{mutant.name}"
            if found is None:
                survivors += 1
                print(f"{mutant.title:32} {where:28} SURVIVES {SEEDS_MAX} seeds", flush=True)
            else:
                seed, invariant = found
                print(f"{mutant.title:32} {where:28} seed {seed}: {invariant}", flush=True)
    return 1 if survivors else 0
