"""A spawner whose processes are scripts: the real slot keeper, no operating system.

A command line is a script: `work SECONDS CODE` runs so long and exits with CODE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shoal_agent.core.slots import Run, RunState, SlotKeeper
from shoal_agent.core.spawning import (
    Dropped,
    End,
    Event,
    Exited,
    Failed,
    Granted,
    HeldRun,
    Launch,
    Snapshot,
    Started,
    Unknown,
)
from shoal_agent.spawnerclient import SpawnerUnreachable

if TYPE_CHECKING:
    from tests.simulation.node import SimNode

SWEEP_S_MAX = 0.5
"""A killed process tree takes up to so long to be gone."""


@dataclass(slots=True)
class Script:
    """One process of a run, and what it is to do."""

    key: str
    slots: int
    started_s: float
    duration_s: float
    exit_code: int
    limit_at_s: float | None
    used_s: float
    ends: Any = None
    is_killed: bool = False
    is_timed_out: bool = False


class SimSpawner:
    """One life of a node's spawner. Events go to the agent that is connected, if any is."""

    def __init__(self, node: SimNode, pid: int) -> None:
        self.node = node
        self.pid = pid
        self.is_alive = True
        self.keeper: SlotKeeper[Launch, End] = SlotKeeper()
        self.scripts: dict[str, Script] = {}
        self.listener: Callable[[list[Event]], None] | None = None
        self._world = node.world
        self._outbox: list[Event] = []

    def die(self) -> None:
        """All processes die with it: the next spawner kills what this one leaves."""
        self.is_alive = False
        for script in list(self.scripts.values()):
            script.ends.cancel()
            self._world.ledger.process_died(script.key)
        self.scripts.clear()

    def snapshot(self) -> Snapshot:
        self._outbox.clear()
        rows = {key: self._row(run) for key, run in self.keeper.runs.items()}
        return Snapshot(self.pid, self.keeper.capacity, rows)

    def obey(self, command: Callable[[SimSpawner], None]) -> None:
        """Carry out a command that was written to the socket, its writer may be dead by now."""
        if self.is_alive:
            command(self)
            self._start_due()
            self.keeper.check()

    # --- commands ---------------------------------------------------------------------------------

    def enqueue(self, key: str, slots: int, launch: Launch | None) -> None:
        self.keeper.enqueue(key, slots, launch)

    def launch(self, key: str, launch: Launch) -> None:
        if key not in self.keeper.runs:
            self._tell(Unknown(key))
        elif (run := self.keeper.launch(key, launch)) is not None:
            self._start(run)

    def release(self, key: str) -> None:
        self._drop(key)
        self.keeper.release(key)

    def kill(self, key: str) -> None:
        script = self.scripts.get(key)
        if script is not None:
            if not script.is_killed and not script.is_timed_out:
                script.is_killed = True
                self._sweep(script)
        elif key not in self.keeper.runs:
            self._tell(Unknown(key))
        else:
            self._drop(key)

    def limit(self, key: str, limit_s: float | None) -> None:
        script = self.scripts.get(key)
        if script is not None:
            script.limit_at_s = _limit_at(script.started_s, limit_s, script.used_s)
            if not script.is_killed and not script.is_timed_out:
                self._schedule(script)

    def ack(self, keys: Iterable[str]) -> None:
        self.keeper.ack(keys)

    # --- processes --------------------------------------------------------------------------------

    def _start_due(self) -> None:
        while (run := self.keeper.grant()) is not None:
            if run.launch is None:
                self._tell(Granted(run.key))
            else:
                self._start(run)

    def _start(self, run: Run[Launch, End]) -> None:
        launch = run.launch
        assert launch is not None
        program, *arguments = launch.argv
        if program != "work":
            self._end(run, Failed(run.key, 2, "program"))
            return
        now_s = self._world.loop.time()
        limit_at_s = _limit_at(now_s, launch.limit_s, launch.used_s)
        script = Script(
            run.key, run.slots, now_s, float(arguments[0]), int(arguments[1]), limit_at_s,
            launch.used_s,
        )  # fmt: skip
        self.scripts[run.key] = script
        self.keeper.started(run)
        self._world.ledger.process_started(self.node, script)
        self._schedule(script)
        self._tell(Started(run.key, 1, self._world.epoch_s()))

    def _schedule(self, script: Script) -> None:
        if script.ends is not None:
            script.ends.cancel()
        loop = self._world.loop
        ends_s = script.started_s + script.duration_s
        if script.limit_at_s is not None and script.limit_at_s < ends_s:
            script.ends = loop.later(
                max(0.0, script.limit_at_s - loop.time()), self._expire, script
            )
        else:
            script.ends = loop.later(max(0.0, ends_s - loop.time()), self._finish, script)

    def _expire(self, script: Script) -> None:
        script.is_timed_out = True
        self._sweep(script)

    def _sweep(self, script: Script) -> None:
        script.ends.cancel()
        delay_s = self._world.rng.random() * SWEEP_S_MAX
        script.ends = self._world.loop.later(delay_s, self._finish, script)

    def _finish(self, script: Script) -> None:
        del self.scripts[script.key]
        if script.is_killed or script.is_timed_out:
            script.exit_code = -9
        self._world.ledger.process_ended(script)
        now_s = self._world.loop.time()
        epoch_s = self._world.epoch_s()
        duration_s = now_s - script.started_s
        record = Exited(
            script.key, script.exit_code, epoch_s - duration_s, epoch_s, duration_s,
            script.is_timed_out, script.is_killed, 0.0, 0.0, 0,
        )  # fmt: skip
        self._end(self.keeper.runs[script.key], record)
        self._start_due()

    def _end(self, run: Run[Launch, End], record: End) -> None:
        assert run.launch is not None
        self.keeper.finished(run, record, run.launch.hold)
        self._tell(record)

    def _drop(self, key: str) -> None:
        if self.keeper.drop(key, Dropped(key)):
            self._tell(Dropped(key))

    def _row(self, run: Run[Launch, End]) -> HeldRun:
        script = self.scripts.get(run.key)
        started = None
        if script is not None:
            since_s = self._world.loop.time() - script.started_s
            started = Started(run.key, 1, self._world.epoch_s() - since_s)
        end = run.record if run.state is RunState.FINISHED else None
        return HeldRun(run.key, run.state, run.slots, run.held, started, end)

    # --- what goes out ----------------------------------------------------------------------------

    def _tell(self, event: Event) -> None:
        if self.listener is None:
            return
        if not self._outbox:
            self._world.loop.later(0.001 * self._world.rng.random(), self._flush, self.listener)
        self._outbox.append(event)

    def _flush(self, listener: Callable[[list[Event]], None]) -> None:
        events, self._outbox = self._outbox, []
        if events and self.listener is listener and self.is_alive:
            listener(events)


class SimSpawnerClient:
    """One agent's way to its node's spawner; what `spawnerclient.SpawnerClient` offers."""

    def __init__(
        self,
        node: SimNode,
        on_events: Callable[[list[Event]], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._node = node
        self._world = node.world
        self._on_events = on_events
        self._on_lost = on_lost
        self._spawner: SimSpawner | None = None
        self._connection_count = 0

    async def connect(self) -> Snapshot:
        await self._world.pause(0.05)
        if self._node.is_deleted or self._node.is_stopped:
            raise SpawnerUnreachable("the node is gone")
        spawner = self._node.find_spawner()
        spawner.listener = self._node.in_agent(self._on_events)
        self._spawner = spawner
        return spawner.snapshot()

    def lost(self) -> None:
        """The spawner died, or hung up."""
        if self._spawner is not None:
            self._spawner = None
            self._connection_count += 1
            self._on_lost()

    async def stop(self) -> None:
        spawner, self._spawner = self._spawner, None
        await self._world.pause(0.2)
        if spawner is not None and spawner.is_alive:
            self._world.trace("spawner stops", self._node.label)
            spawner.die()

    def register_environment(self, name: str, variables: Mapping[str, str]) -> None:
        pass

    def set_capacity(self, slots: int) -> None:
        def capacity(spawner: SimSpawner) -> None:
            spawner.keeper.capacity = slots

        self._send(capacity)

    def enqueue(self, key: str, slots: int, launch: Launch | None = None) -> None:
        self._send(lambda spawner: spawner.enqueue(key, slots, launch))

    def launch(self, key: str, launch: Launch) -> None:
        self._send(lambda spawner: spawner.launch(key, launch))

    def release(self, key: str) -> None:
        self._send(lambda spawner: spawner.release(key))

    def limit(self, key: str, limit_s: float | None) -> None:
        self._send(lambda spawner: spawner.limit(key, limit_s))

    def kill(self, key: str) -> None:
        self._send(lambda spawner: spawner.kill(key))

    def ack(self, keys: Iterable[str]) -> None:
        kept = tuple(keys)
        self._send(lambda spawner: spawner.ack(kept))

    def close(self) -> None:
        pass

    def _send(self, command: Callable[[SimSpawner], None]) -> None:
        self._world.crash_point("agent", self._node.label)
        if self._spawner is not None:
            number = self._connection_count
            self._world.loop.later(0.0005, self._arrive, self._spawner, command, number)

    def _arrive(
        self, spawner: SimSpawner, command: Callable[[SimSpawner], None], number: int
    ) -> None:
        if number == self._connection_count:
            spawner.obey(command)


def _limit_at(started_s: float, limit_s: float | None, used_s: float) -> float | None:
    return None if limit_s is None else started_s + limit_s - used_s
