"""One world from one seed: a controller, its nodes, their network, its users, and their troubles.

Everything random comes from `World.rng`, all time from `VirtualLoop`, so a seed replays exactly.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest import mock

from shoal_agent.core.instructions import Clock
from shoal_controller.loops import jobs as jobs_loop
from tests.simulation import checks
from tests.simulation.controller import SimController
from tests.simulation.faults import Faults
from tests.simulation.ledger import Broken, Ledger
from tests.simulation.network import Network
from tests.simulation.node import SimNode
from tests.simulation.users import Users
from tests.simulation.virtual import (
    EPOCH,
    Crash,
    Process,
    VirtualLoop,
    current_process,
    wall_time,
)

TRACE_MAX: Final = 60
CHAOS_S: Final = 120.0
CALM_S_MAX: Final = 1200.0
"""After the last fault something ends at least so often: silence, resizes and retries included."""
FULL_CHECK_EVERY: Final = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a seed."""

    seed: int
    steps: int
    virtual_s: float
    trace_hash: str
    task_count: int
    crash_count: int


class Failure(Exception):
    """A seed failed; `broken` says what did not hold."""

    def __init__(self, seed: int, step: int, broken: BaseException, trace: list[str]) -> None:
        self.seed = seed
        self.broken = broken
        lines = "\n".join(f"  {line}" for line in trace)
        super().__init__(
            f"seed {seed}, step {step}: {broken}\n{lines}\n"
            f"replay: python -m tests.simulation --seed {seed} --verbose"
        )


class World:
    """Everything there is."""

    def __init__(self, seed: int, folder: Path, *, verbose: bool, steps_max: int | None) -> None:
        self.seed = seed
        self.folder = folder
        self.loop = VirtualLoop()
        self.rng = Random(seed)
        self.is_gentle = seed % 4 == 3
        self.nodes: dict[str, SimNode] = {}
        self.labels: dict[str, str] = {}
        self.processes: list[Process] = []
        self.failure: BaseException | None = None
        self.calm_s = 0.0
        self.cut_at_the_end: frozenset[str] = frozenset()
        self.ledger = Ledger(self)
        self.network = Network(self, self.loop, self.rng)
        self.controller = SimController(self, folder / "state.db")
        self.faults = Faults(self, self.rng, is_gentle=self.is_gentle)
        self.users = Users(self)
        self._snapshot: checks.Snapshot | None = None
        self._slots: dict[str, int] = {}
        self._ids = 0
        self.is_verbose = verbose
        self._steps_max = steps_max
        self._check_count = 0
        self.lines: deque[str] = deque(maxlen=TRACE_MAX)
        self.hash = hashlib.sha256()
        self.loop.after_step = self._after_step
        self.loop.set_exception_handler(self._exception)

    # --- what the parts use -----------------------------------------------------------------------

    def trace(self, *words: object) -> None:
        """Note an event."""
        line = (
            f"{self.loop.step_count:6d} {self.loop.time() - 1000:9.3f} {' '.join(map(str, words))}"
        )
        self.hash.update(line.encode())
        self.lines.append(line)
        if self.is_verbose:
            print(line, flush=True)

    def note(self, text: str) -> None:
        """Print what is too much for the trace; only when all is printed."""
        print(f"{'':16} {text}", flush=True)

    def broken(self, invariant: str, detail: object) -> Broken:
        """Remember a broken invariant, wherever its exception gets lost, and return it."""
        error = Broken(invariant, detail)
        self.failure = self.failure or error
        return error

    async def pause(self, seconds_max: float) -> None:
        await asyncio.sleep(self.rng.random() * seconds_max)

    def happens(self, kind: str) -> bool:
        return self.faults.happens(kind)

    def crash_point(self, kind: str, where: str) -> None:
        """Here the present process may die."""
        process = current_process()
        if process is None or process.is_dead or not self.happens(kind):
            return
        if kind == "controller":
            self.controller.kill(where)
        else:
            for node in self.nodes.values():
                if node.label == where and node.agent and node.agent.process is process:
                    node.kill_agent()
                    break
            else:
                return
        raise Crash

    def fresh_id(self) -> str:
        self._ids += 1
        return f"id{self._ids}"

    def agent_clock(self) -> Clock:
        return Clock(wall_time(self.loop), self.loop.time())

    def epoch_s(self) -> float:
        return EPOCH.timestamp() + self.loop.time()

    def slots_of(self, node: SimNode) -> int | None:
        """Return a node's slots, as far as anybody knows."""
        ctx = self.controller.ctx
        if ctx is not None and (view := ctx.index.node_by_id.get(node.node_id)) is not None:
            self._slots[node.label] = view.slots
        return self._slots.get(node.label)

    # --- its course -------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Live from beginning to end; raise Failure when something does not hold."""
        ended_at = 0
        try:
            with self._patched():
                try:
                    self.loop.run_until_complete(self._live())
                finally:
                    ended_at = self.loop.step_count
                    self.loop.after_step = lambda: None
                    self.loop.run_until_complete(self._bury())
        except Exception as error:
            raise Failure(self.seed, ended_at, error, list(self.lines)) from error
        finally:
            if self._snapshot is not None:
                self._snapshot.close()
            self.loop.close()
        return Outcome(
            self.seed,
            ended_at,
            self.loop.time() - 1000,
            self.hash.hexdigest()[:16],
            len(self.ledger.starts),
            len(self.processes),
        )

    async def _live(self) -> None:
        self.controller.start()
        until_s = self.loop.time() + CHAOS_S
        async with asyncio.TaskGroup() as group:
            group.create_task(self.faults.rage(until_s))
            for story in self.users.stories(until_s):
                group.create_task(story)
        self.faults.stop()
        self.calm_s = self.loop.time()
        self.cut_at_the_end = frozenset(self.network.unreachable)
        self.trace("calm")
        await self.users.make_peace(self.unrest, CALM_S_MAX)
        ctx, snapshot = self._state()
        checks.final(self, ctx, snapshot)
        await self.users.tear_down(CALM_S_MAX)
        ctx, snapshot = self._state()
        checks.final(self, ctx, snapshot)
        if self.nodes or snapshot.read_now("SELECT 1 FROM tasks"):
            raise self.broken("no orphans", "nodes or tasks are left when all was deleted")

    def unrest(self) -> str:
        """Return what is not settled, or nothing."""
        if self.controller.ctx is None:
            return "the controller is down"
        return checks.unrest(self, *self._state())

    def _state(self) -> tuple[Any, checks.Snapshot]:
        assert self.controller.ctx is not None
        if self._snapshot is None:
            self._snapshot = checks.Snapshot(self.folder / "state.db")
        return self.controller.ctx, self._snapshot

    def _after_step(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self._steps_max is not None and self.loop.step_count >= self._steps_max:
            raise Broken("steps", f"stopped after {self._steps_max} as asked")
        if self.ledger.is_dirty and self.controller.ctx is not None:
            self.ledger.is_dirty = False
            ctx, snapshot = self._state()
            checks.after_commit(self, ctx, snapshot)
            self._check_count += 1
            if self._check_count % FULL_CHECK_EVERY == 0:
                checks.index_equals_store(ctx, snapshot)
        self.faults.after_step()

    async def _bury(self) -> None:
        for process in self.processes:
            process.kill()
            process.bury()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        left = {task for task in left if task.get_coro().cr_frame is not None}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    # --- what would escape ------------------------------------------------------------------------

    def _exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Crash) or self.loop.after_step.__name__ != "_after_step":
            return
        self.failure = self.failure or error or Broken("no errors", context["message"])

    @contextlib.contextmanager
    def _patched(self) -> Iterator[None]:
        """Listen for errors that are logged, and make limits small."""
        listener = _Errors(self)
        loggers = [
            logging.getLogger(name) for name in ("shoal_controller", "shoal_agent", "asyncio")
        ]
        for logger in loggers:
            logger.addHandler(listener)
            logger.propagate = False
        try:
            # So that a job of some tasks takes several writes, as a big one does.
            with mock.patch.object(jobs_loop, "TASKS_PER_WRITE", 3):
                yield
        finally:
            for logger in loggers:
                logger.removeHandler(listener)
                logger.propagate = True


class _Errors(logging.Handler):
    """An exception that somebody logged and survived is a bug all the same."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        process = current_process()
        if record.exc_info is None or (process is not None and process.is_dead):
            return
        error = record.exc_info[1]
        if not isinstance(error, Crash):
            text = f"{record.getMessage()}: {error!r}"
            broken = self._world.broken("no errors", text)
            broken.__cause__ = error


def run_seed(seed: int, *, verbose: bool = False, steps_max: int | None = None) -> Outcome:
    """Run one world in a folder of its own on the RAM disk; raise Failure when it fails."""
    ram = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="shoal-sim-", dir=ram if ram.is_dir() else None))
    try:
        return World(seed, folder, verbose=verbose, steps_max=steps_max).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
