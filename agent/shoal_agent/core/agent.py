"""The whole agent without its hands (pure): events in, instructions out.

It ties together what the controller says, what the journal remembers, and what the spawner and the
steps report. It may be dropped at any instant and built again from the journal: every instruction
that was not carried out is found missing by comparing with the spawner, and given again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from shoal_agent.core.audit import Audit
from shoal_agent.core.directories import Directories
from shoal_agent.core.disk import Disk
from shoal_agent.core.instructions import (
    BeginStep,
    Clock,
    Delivered,
    DiskMeasured,
    EmptyTrash,
    Event,
    Found,
    Instruction,
    MoveToTrash,
    Redial,
    RemoveIfEmpty,
    RestartSpawner,
    SetCapacity,
    SpawnerDown,
    SpawnerUp,
    StepEnded,
    Tick,
)
from shoal_agent.core.lastingruns import LastingRuns
from shoal_agent.core.launches import Launches
from shoal_agent.core.node import START_STEP, USERS_KEY, Node
from shoal_agent.core.outbox import Outbox
from shoal_agent.core.paths import NodePaths, job_key
from shoal_agent.core.records import Boot, Directory, Record, Removed, SpawnerLife
from shoal_agent.core.results import exit_info, launch_exit
from shoal_agent.core.spawning import Dropped, Exited, Failed, Granted, Refused, Started, Unknown
from shoal_protocol.messages import (
    ChangeLimits,
    HeldRun,
    KillTask,
    RebootNode,
    RecallTask,
    RemoveTaskFiles,
    RunTask,
    TasksGone,
    Welcome,
)

TRASH_KEY: Final = "trash"
IDLE_S_MIN: Final = 5.0
"""A node is idle, for cleaning up, when nothing has run for so long."""
OVERDUE_S_MAX: Final = 3600.0
"""Cleaning up waits no longer than this for a node to be idle."""
REMOVALS_MAX: Final = 200
"""Directories put aside in one go, so that the loop stays free."""
ADOPTED_RETENTION_S: Final = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Setting:
    """What the agent core is told about its surroundings.

    machine  names the machine's present boot; monotonic readings mean something within one
    new_id   returns a fresh id, for boots
    reserved_disk_bytes   with less free than that the disk of the root is full
    ca_file  what signs for the controller, where the system does not know it
    """

    root: str
    machine: str
    lang: str
    new_id: Callable[[], str]
    reserved_disk_bytes: int = 0
    ca_file: str = ""


class AgentCore:
    """One agent's decisions."""

    def __init__(self, setting: Setting, records: Iterable[Record], clock: Clock) -> None:
        """records   the journal, oldest first"""
        self._setting = setting
        self._out = Outbox()
        self.paths = NodePaths(setting.root)
        self._launches = Launches(
            self.paths, setting.lang, setting.reserved_disk_bytes, self._out, setting.ca_file
        )
        self.directories = Directories(setting.machine)
        self.runs = LastingRuns(self._launches, self.directories, self._out)
        disk = Disk(setting.reserved_disk_bytes)
        self.node = Node(self._launches, self._out, self.runs.task_users, disk)
        self._audit = Audit(self.directories, self._out)
        self._removed: set[tuple[str, str]] = set()  # by the journal; the disk is still to be seen
        self._life = ""
        self._machine = setting.machine
        self._has_seen_spawner = False
        self._busy_s = clock.s
        self._trash_s: float | None = clock.s  # what an earlier agent left
        self._is_cleaning = False
        self._is_rebooting = False
        self._handlers: dict[type[Any], Callable[[Any, Clock], None]] = {
            RunTask: self._run_task,
            RecallTask: lambda m, c: self.runs.recall(m.run, c),
            KillTask: lambda m, c: self.runs.kill(m.run, c),
            ChangeLimits: lambda m, c: self.runs.change_limits(m, c),
            RemoveTaskFiles: self._remove_task_files,
            TasksGone: self._tasks_gone,
            RebootNode: self._reboot,
            Welcome: self._welcome,
            Granted: lambda e, c: self.runs.granted(e.key, c),
            Started: lambda e, c: self.runs.started(e, c),
            Exited: self._exited,
            Failed: self._failed,
            Dropped: lambda e, c: self.runs.dropped(e.key, c),
            Unknown: lambda e, c: self.runs.unknown(e.key, c),
            Refused: lambda e, c: self.runs.refused(e.key, c),
            Delivered: self._delivered,
            StepEnded: self._step_ended,
            SpawnerUp: self._spawner_up,
            SpawnerDown: lambda _, __: self.runs.spawner_down(),
            Found: self._found,
            DiskMeasured: self._disk_measured,
            Tick: self._tick,
        }
        machine = setting.machine
        for record in records:
            match record:
                case Directory():
                    self.directories.restore(record)
                case Removed(job_id, task_id):
                    self.directories.forget((job_id, task_id))
                    self._removed.add((job_id, task_id))
                case SpawnerLife(life, machine):
                    self._life = life
                    self._note_wipe()
                case Boot():
                    self._life = ""
                    self.runs.replay_boot()
                    self.node.replay(record)
                case _:
                    if not self.runs.replay(record, machine):
                        self.node.replay(record)
        self.directories.translate(clock.now, clock.s)

    # --- for the runner ---------------------------------------------------------------------------

    def handle(self, events: Iterable[Event], clock: Clock) -> list[Instruction]:
        """Return what is to be done about what happened, in order."""
        for event in events:
            handler = self._handlers.get(type(event))
            if handler is not None:
                handler(event, clock)
        self._admit(clock)
        self.runs.flush()
        return self._out.take()

    @property
    def must_stop_spawner(self) -> bool:
        """Whether a spawner that is found alive belongs to a boot that was to end."""
        return not self._life and bool(self.node.boot_id)

    @property
    def must_wipe(self) -> bool:
        """Whether the tree is to be emptied before the present boot's spawner serves."""
        return self.node.must_wipe

    @property
    def next_due_s(self) -> float | None:
        """When `Tick` should come, by the monotonic clock."""
        due_s = [
            self.runs.next_due_s, self.node.next_due_s, self._audit.due_s, self._cleaning_due_s(),
        ]  # fmt: skip
        return min((s for s in due_s if s is not None), default=None)

    @property
    def held_runs(self) -> tuple[HeldRun, ...]:
        """What Hello tells."""
        return self.runs.held

    def snapshot(self) -> list[Record]:
        """Return records that rebuild the present state, for compaction."""
        records = self.node.records()
        if self._life:
            records.append(SpawnerLife(self._life, self._setting.machine))
        return [*records, *self.directories.records(), *self.runs.records()]

    # --- the controller ---------------------------------------------------------------------------

    def _welcome(self, message: Welcome, clock: Clock) -> None:
        if not self._is_rebooting:
            self.node.configure(message.config, clock)
        self._audit.connected(message.incarnation, clock)

    def _delivered(self, event: Delivered, clock: Clock) -> None:
        self.runs.delivered(event.message)
        self._audit.delivered(event.message, clock)

    def _run_task(self, message: RunTask, clock: Clock) -> None:
        self._busy_s = clock.s
        self.runs.accept(message.run, message.spec, clock)

    def _remove_task_files(self, message: RemoveTaskFiles, clock: Clock) -> None:
        key = (job_key(message.job_id), message.task_id)
        found = self.directories.get(key)
        if found is None or found.serial not in (0, message.serial):
            return
        if found.since is None:
            self.runs.remove_files_when_over(key)
        else:
            self._remove(key, clock)

    def _tasks_gone(self, message: TasksGone, clock: Clock) -> None:
        """Their directories are due now: cleaning up takes them, some at a time."""
        for serial in message.serials:
            key = self.directories.find(serial)
            found = None if key is None else self.directories.get(key)
            if key is None or found is None:
                continue
            if found.since is None:
                self.runs.remove_files_when_over(key)
            else:
                expired = replace(found, retention_s=0.0)
                self.directories.restore(expired)
                self._out.append(expired)

    def _reboot(self, message: RebootNode, clock: Clock) -> None:
        if message.boot_id != self.node.boot_id or self._is_rebooting:
            return
        self._is_rebooting = True
        self._life = ""
        self.node.boot(self._setting.new_id(), clock, message.wipes)
        self.runs.doom()
        self._out.add(RestartSpawner())

    # --- the spawner ------------------------------------------------------------------------------

    def _spawner_up(self, event: SpawnerUp, clock: Clock) -> None:
        is_first, self._has_seen_spawner = not self._has_seen_spawner, True
        is_new = event.life != self._life
        held = event.snapshot.runs
        if is_first:
            self.runs.resend()
        if is_new:
            if is_first and self._life:
                # Agent and spawner both died, or the machine did: the node starts anew.
                self.node.boot(self._setting.new_id(), clock)
                self.runs.doom()
            elif is_first and not self.node.boot_id:
                self.node.boot(self._setting.new_id(), clock)
            self._life = event.life
            self._out.append(SpawnerLife(event.life, self._setting.machine))
            if self._note_wipe():
                self._trash_s = clock.s
            self.runs.spawner_replaced(clock)
            self.node.spawner_lost()
            if self._is_rebooting:
                self._is_rebooting = False
                self._out.add(Redial())
        if self.node.config is not None:
            self._out.add(SetCapacity(self.node.config.slots))
        self.runs.reconcile(held, clock)
        if is_first:
            self.node.resume(clock, self.node.key in held)
        else:
            self.node.go_on(clock)
        row = held.get(self.node.key)
        if row is not None and row.end is not None:
            self.replay_event(row.end, clock)

    def _note_wipe(self) -> bool:
        """A spawner serves: a tree that was to be emptied before is empty; return whether so."""
        if not self.node.must_wipe:
            return False
        self.node.must_wipe = False
        self.directories.clear()
        self.runs.forget_jobs()
        return True

    def replay_event(self, event: Event, clock: Clock) -> None:
        """Treat a stored event as if it came now."""
        self._handlers[type(event)](event, clock)

    def _exited(self, event: Exited, clock: Clock) -> None:
        self._busy_s = clock.s
        if event.key == self.node.key:
            self.node.process_ended(exit_info(event), clock)
            self._out.ack(event.key)
        else:
            self.runs.exited(event, clock)

    def _failed(self, event: Failed, clock: Clock) -> None:
        if event.key == self.node.key:
            self.node.process_ended(launch_exit(event, self.node.command_line, clock.now), clock)
            self._out.ack(event.key)
        else:
            self.runs.failed(event, clock)

    # --- the rest ---------------------------------------------------------------------------------

    def _step_ended(self, event: StepEnded, clock: Clock) -> None:
        if event.key == TRASH_KEY:
            self._is_cleaning = False
        elif event.key in (USERS_KEY, START_STEP):
            self.node.step_ended(event.key, event.outcome, clock)
        else:
            self.runs.step_ended(event.key, event.outcome, clock)

    def _found(self, event: Found, clock: Clock) -> None:
        """Directories that nobody remembers (the machine crashed): kept the usual time.

        One that the journal says was removed goes now: the agent died before it had done so.
        """
        for key in self.directories.unknown(event.directories):
            if self.runs.uses(key):
                continue
            if key in self._removed:
                self._put_aside(key, clock)
                continue
            record = Directory(
                *key, 0, ADOPTED_RETENTION_S, clock.now, clock.s, self._setting.machine
            )
            self._out.append(record)
            self.directories.restore(record)
        self._removed.clear()

    def _disk_measured(self, event: DiskMeasured, clock: Clock) -> None:
        if self.node.disk.measured(event):
            self.node.report()
            self._audit.hurry(self.node.disk.is_full, clock)

    def _tick(self, event: Tick, clock: Clock) -> None:
        self.node.tick(clock)
        self.runs.tick(clock)
        self._audit.tick(clock)
        due_s = self._cleaning_due_s()
        if due_s is None or clock.s < due_s:
            return
        for key in self.directories.due(clock.s, REMOVALS_MAX):
            self._remove(key, clock)
        if self._trash_s is not None and not self._is_cleaning:
            self._is_cleaning, self._trash_s = True, None
            self._out.add(BeginStep(TRASH_KEY, EmptyTrash()))

    def _admit(self, clock: Clock) -> None:
        node = self.node
        if (
            self.runs.has_waiting
            and node.is_ready
            and node.accounts is not None
            and not node.disk.is_full
        ):
            self.runs.admit(clock)

    def _cleaning_due_s(self) -> float | None:
        """When to clean up: after what is due, and when idle or far too late."""
        due_s = self.directories.next_due_s()
        if self._trash_s is not None and not self._is_cleaning:
            due_s = self._trash_s if due_s is None else min(due_s, self._trash_s)
        if due_s is None:
            return None
        if self.runs.is_busy:
            return due_s + OVERDUE_S_MAX
        return max(due_s, min(self._busy_s + IDLE_S_MIN, due_s + OVERDUE_S_MAX))

    def _remove(self, key: tuple[str, str], clock: Clock) -> None:
        self._out.append(Removed(*key))
        self.directories.forget(key)
        self._put_aside(key, clock)

    def _put_aside(self, key: tuple[str, str], clock: Clock) -> None:
        self._out.add(MoveToTrash(self.paths.task_directory(*key)))
        if self._trash_s is None:
            self._trash_s = clock.s
        job_id = key[0]
        if not self.directories.has_job(job_id):
            self.runs.forget_job(job_id)
            for path in reversed(self.paths.job_directories(job_id)):
                self._out.add(RemoveIfEmpty(path))
