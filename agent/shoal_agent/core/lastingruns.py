"""Runs across the end of a process (pure): the agent's, by its journal; the spawner's, by comparing
with what a spawner holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from shoal_agent.core.instructions import (
    Clock,
    Kill,
    Release,
)
from shoal_agent.core.records import (
    Accepted,
    Began,
    Closed,
    Ended,
    Forgotten,
    Killing,
    Limits,
    Record,
)
from shoal_agent.core.records import Exited as ExitedRecord
from shoal_agent.core.results import utc
from shoal_agent.core.runledger import (
    HOLD_BACK_S,
    OUTCOMES,
    START_KEYS,
    WITH_SPAWNER,
)
from shoal_agent.core.runs import Runs
from shoal_agent.core.slots import RunState as SlotState
from shoal_agent.core.spawning import Dropped, Exited, Failed
from shoal_agent.core.spawning import HeldRun as SpawnerRun
from shoal_agent.core.task import Run, RunState
from shoal_protocol.messages import (
    RunEnded,
)


class LastingRuns(Runs):
    """Runs that outlive agent and spawner as far as they can."""

    # --- the spawner ------------------------------------------------------------------------------

    def doom(self) -> None:
        """The node restarts: whatever has no result is lost once all processes are gone."""
        self._doomed = {key for key, r in self._runs.items() if r.state is not RunState.ENDED}
        for key in self._doomed:
            self._limits.pop(key, None)
            self._unannounced.pop(key, None)

    def spawner_replaced(self, clock: Clock) -> None:
        """A new spawner serves; it has killed whatever the one before it left."""
        for key, run in list(self._runs.items()):
            run.in_spawner = False
            if run.state is RunState.KILLED:
                if key in self._doomed:
                    run.has_step = False
                self._close_if_gone(run, clock)
            elif key in self._doomed or run.state in WITH_SPAWNER or run.granted_at is not None:
                if run.state is RunState.UPLOADING and key not in self._doomed:
                    continue
                if run.state is not RunState.ENDED:
                    self._close_run(run, "lost", clock)
        self._doomed.clear()

    def resend(self) -> None:
        """Tell the controller, at the beginning of an agent's life, all that it may not know."""
        for run in self._runs.values():
            if run.state is RunState.ENDED and run.exit is not None:
                self._out.send(RunEnded(run.run, run.exit))
        for closed in self._closed.values():
            self._out.send(OUTCOMES[closed.outcome](closed.run))

    def reconcile(self, held: Mapping[str, SpawnerRun], clock: Clock) -> None:
        """Compare with all that the spawner holds, and give lost commands again."""
        self._is_up = True
        for key, row in held.items():
            if not key.startswith(START_KEYS):
                self._reconcile_held(key, row, clock)
        for run in list(self._runs.values()):
            if run.key not in held:
                self._reconcile_missing(run, clock)

    # --- the journal ------------------------------------------------------------------------------

    def replay(self, record: Record, machine: str) -> bool:
        """Take in a record; False when it is not about runs. machine: whose clock it was."""
        match record:
            case Accepted(name, spec):
                self._runs[str(name)] = self._waiting[str(name)] = Run(name, spec)
                return True
            case Forgotten(names):
                for name in names:
                    self._runs.pop(str(name), None)
                    self._waiting.pop(str(name), None)
                    self._closed.pop(str(name), None)
                return True
            case Closed(name, outcome, at, at_s):
                self._closed[str(name)] = record
                run = self._runs.pop(str(name), None)
                self._waiting.pop(str(name), None)
                if run is not None:
                    if outcome == "returned":
                        run.spec = replace(run.spec, retention_s=0.0)
                    self._keep_directory(run, at, at_s, machine)
                return True
            case Began() | ExitedRecord() | Ended() | Killing() | Limits():
                run = self._runs.get(str(record.run))
                if run is not None:
                    self._replay_about(run, record, machine)
                return True
            case _:
                return False

    def replay_boot(self) -> None:
        """A boot begins here: what is without a result is lost."""
        self.doom()

    def records(self) -> list[Record]:
        """Return what `replay` needs."""
        records: list[Record] = list(self._closed.values())
        for run in self._runs.values():
            records.append(Accepted(run.run, run.spec))
            if run.granted_at is not None and run.granted_s:
                records.append(Began(run.run, run.granted_at, run.granted_s))
            if run.state is RunState.KILLED:
                records.append(Killing(run.run))
            elif run.state is RunState.UPLOADING and run.exit is not None:
                records.append(ExitedRecord(run.run, run.exit))
            elif run.state is RunState.ENDED and run.exit is not None:
                found = self._directories.get(run.directory)
                records.append(Ended(run.run, run.exit, found.since_s if found else 0.0))
        return records

    # --- inside -----------------------------------------------------------------------------------

    def _replay_about(
        self, run: Run, record: Began | ExitedRecord | Ended | Killing | Limits, machine: str
    ) -> None:
        match record:
            case Began(_, at, at_s):
                run.granted_at, run.granted_s = at, at_s
            case ExitedRecord(_, result):
                run.exit, run.state = result, RunState.UPLOADING
                self._waiting.pop(run.key, None)
            case Ended(_, result, at_s):
                run.exit, run.state = result, RunState.ENDED
                self._waiting.pop(run.key, None)
                self._doomed.discard(run.key)
                self._keep_directory(run, result.ended_at, at_s, machine)
            case Killing():
                run.state = RunState.KILLED
                self._waiting.pop(run.key, None)
            case Limits(_, wall_clock_limit_s, retention_s):
                run.spec = replace(
                    run.spec, wall_clock_limit_s=wall_clock_limit_s, retention_s=retention_s
                )
                found = self._directories.get(run.directory)
                if found is not None and found.serial == run.run.serial:
                    self._directories.change_retention(run.directory, retention_s)
            case _:
                assert_never(record)

    def _reconcile_held(self, key: str, row: SpawnerRun, clock: Clock) -> None:
        run = self._runs.get(key)
        if run is None or run.state is RunState.ENDED:
            self._out.add(Release(key))
            if row.end is not None:
                self._out.ack(key)
            else:
                self._out.add(Kill(key))
            return
        self._waiting.pop(key, None)
        self._occupy(run)
        if run.state is RunState.UPLOADING:
            # Its end is in the journal; only its slots are still held.
            self._out.ack(key)
            self._stepping[key] = run
            return
        run.in_spawner = True
        if row.end is not None:
            if run.state is RunState.HELD:
                run.state = RunState.QUEUED
            if isinstance(row.end, Exited):
                self.exited(row.end, clock)
            elif isinstance(row.end, Failed):
                self.failed(row.end, clock)
            else:
                assert isinstance(row.end, Dropped)
                self.dropped(key, clock)
        elif run.state is RunState.KILLED:
            self._out.add(Kill(key))
        elif row.state is SlotState.RUNNING:
            run.state = RunState.RUNNING
            if row.started is not None:
                run.started_at = utc(row.started.started_at)
            if not run.is_announced and key not in self._unannounced:
                run.granted_at = run.granted_at or run.started_at
                self._unannounced[key] = clock.s + HOLD_BACK_S
        elif run.is_recalled:
            run.state = RunState.QUEUED
            self._out.add(Release(key))  # it may have been lost with the connection
        elif row.state is SlotState.GRANTED:
            self._reconcile_granted(run, clock)
        else:
            run.state = RunState.QUEUED

    def _reconcile_granted(self, run: Run, clock: Clock) -> None:
        if run.granted_at is None:
            run.state = RunState.QUEUED
            self.granted(run.key, clock)
            return
        if run.state is not RunState.PREPARING:
            run.state = RunState.PREPARING
            if not run.is_announced:
                self._unannounced[run.key] = clock.s + HOLD_BACK_S
        self._stepping[run.key] = run

    def _reconcile_missing(self, run: Run, clock: Clock) -> None:
        if run.state is RunState.KILLED:
            run.in_spawner = False
            self._close_if_gone(run, clock)
        elif run.state is RunState.UPLOADING:
            self._occupy(run)
            self._stepping[run.key] = run
        elif run.state is RunState.QUEUED:
            # The command was lost with the connection.
            run.state = RunState.HELD
            self._hold_again(run, clock)
        elif run.state in WITH_SPAWNER:
            self._close_run(run, "lost", clock)
