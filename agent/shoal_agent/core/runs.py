"""All runs that a node holds, from their acceptance until the controller knows their end (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final, assert_never

from shoal_agent.core.directories import Directories
from shoal_agent.core.failures import failure, wall_clock_failure
from shoal_agent.core.instructions import (
    BeginStep,
    Cancelled,
    CancelStep,
    Clock,
    Enqueue,
    Kill,
    Limit,
    MakeDirectory,
    MoveToTrash,
    Prepared,
    PrepareFiles,
    Release,
    RemoveUser,
    StartProcess,
    StepFailed,
    StepOutcome,
    UploadOutputs,
)
from shoal_agent.core.launches import CannotLaunch, Launches, is_made_for_task
from shoal_agent.core.outbox import Outbox
from shoal_agent.core.paths import PathRefused
from shoal_agent.core.records import (
    Accepted,
    Began,
    Closed,
    Directory,
    Ended,
    Forgotten,
    Killing,
    Limits,
    Outcome,
    Record,
)
from shoal_agent.core.records import Exited as ExitedRecord
from shoal_agent.core.results import exit_info, launch_exit, utc
from shoal_agent.core.slots import RunState as SlotState
from shoal_agent.core.spawning import Dropped, Exited, Failed, Started
from shoal_agent.core.spawning import HeldRun as SpawnerRun
from shoal_agent.core.task import Run, RunEvent, RunState, wants_upload
from shoal_protocol.messages import (
    ChangeLimits,
    HeldRun,
    Message,
    RunEnded,
    RunGone,
    RunLost,
    RunReturned,
    RunStarted,
)
from shoal_protocol.specs import ExitInfo, RunId, TaskSpec, UploadCondition

HOLD_BACK_S: Final = 0.01
"""RunStarted waits so long, and is left out when the run has ended by then."""
REFUSED_WAIT_S: Final = 1.0
START_KEYS: Final = "start."

_WITH_SPAWNER: Final = frozenset(
    {RunState.QUEUED, RunState.PREPARING, RunState.STARTING, RunState.RUNNING}
)
_OUTCOMES: Final[Mapping[Outcome, type[RunReturned | RunGone | RunLost]]] = {
    "returned": RunReturned,
    "gone": RunGone,
    "lost": RunLost,
}


class Runs:
    """The runs of one node.

    What is closed without a result is remembered as well, until the controller knows.
    """

    def __init__(self, launches: Launches, directories: Directories, out: Outbox) -> None:
        self._launches = launches
        self._directories = directories
        self._out = out
        self._runs: dict[str, Run] = {}
        self._closed: dict[str, Closed] = {}
        self._waiting: dict[str, Run] = {}  # HELD, in order of arrival
        self._resuming: dict[str, Run] = {}  # their step is to be begun again
        self._users: dict[tuple[str, str], Run] = {}  # who uses which task directory
        self._jobs: set[str] = set()  # their directories are there
        self._unannounced: dict[str, float] = {}  # when RunStarted is due, in that order
        self._limits: dict[str, float] = {}  # when a preparing run's wall clock ends
        self._doomed: set[str] = set()  # lost, once their processes are gone
        self._forgotten: list[RunId] = []
        self._paused_until_s = 0.0
        self._is_up = False

    # --- what others ask --------------------------------------------------------------------------

    @property
    def held(self) -> tuple[HeldRun, ...]:
        """What Hello tells of every run."""
        return tuple(HeldRun(r.run, r.phase, r.spec.slots) for r in self._runs.values())

    @property
    def is_busy(self) -> bool:
        """Whether any run is between its queueing and its end."""
        return bool(self._users)

    @property
    def has_waiting(self) -> bool:
        """Whether `admit` has something to do."""
        return bool(self._waiting or self._resuming) and self._is_up

    @property
    def next_due_s(self) -> float | None:
        """When `tick` has something to do."""
        due_s = next(iter(self._unannounced.values()), None)
        if self._limits:
            limit_s = min(self._limits.values())
            due_s = limit_s if due_s is None else min(due_s, limit_s)
        if self._waiting and self._paused_until_s:
            due_s = self._paused_until_s if due_s is None else min(due_s, self._paused_until_s)
        return due_s

    def task_users(self) -> tuple[str, ...]:
        """Return the keys of runs whose own accounts are needed."""
        return tuple(
            key
            for key, run in self._runs.items()
            if run.state is not RunState.ENDED and is_made_for_task(run.spec.user)
        )

    def forget_job(self, job_id: str) -> None:
        """The job's directory may be gone."""
        self._jobs.discard(job_id)

    def flush(self) -> None:
        """Write down together what was forgotten in one batch."""
        if self._forgotten:
            self._out.append(Forgotten(tuple(self._forgotten)))
            self._forgotten.clear()

    # --- the controller ---------------------------------------------------------------------------

    def accept(self, name: RunId, spec: TaskSpec, clock: Clock) -> None:
        """Take a run on; a known one is left as it is."""
        key = str(name)
        if key in self._runs or key in self._closed:
            return
        self._out.append(Accepted(name, spec))
        run = Run(name, spec)
        self._runs[key] = self._waiting[key] = run
        try:
            self._launches.paths.task_directory(spec.job_id, spec.task_id)
        except PathRefused as error:
            self._end(
                run, ExitInfo(clock.now, failure=failure("Unknown", Message=str(error))), clock
            )

    def admit(self, clock: Clock) -> None:
        """Queue with the spawner what waits, in order; call it when the node is ready."""
        for run in list(self._resuming.values()):
            if run.has_step or self._runs.get(run.key) is not run:
                pass
            elif run.state is RunState.PREPARING:
                self._prepare(run, clock)
            elif run.state is RunState.UPLOADING:
                self._upload(run)
        self._resuming.clear()
        if clock.s < self._paused_until_s:
            return
        self._paused_until_s = 0.0
        for key, run in list(self._waiting.items()):
            if run.directory not in self._users and key not in self._doomed:
                self._enqueue(run, clock)

    def recall(self, name: RunId, clock: Clock) -> None:
        """Give a run back if it has not taken its slots; the spawner knows for queued ones."""
        key = str(name)
        run = self._runs.get(key)
        if run is None:
            if key not in self._closed:
                self._close(name, "returned", clock)
        elif run.state is RunState.HELD:
            self._close_run(run, "returned", clock)
        elif run.state is RunState.QUEUED:
            run.is_recalled = True
            self._out.add(Release(key))

    def kill(self, name: RunId, clock: Clock) -> None:
        """End a run whose outcome the controller has decided."""
        key = str(name)
        run = self._runs.get(key)
        if run is None:
            if key not in self._closed:
                self._close(name, "gone", clock)
        elif run.state in (RunState.HELD, RunState.ENDED):
            self._close_run(run, "gone", clock)
        elif run.advance(RunEvent.KILL):
            self._out.append(Killing(name))
            self._unannounced.pop(key, None)
            self._limits.pop(key, None)
            if run.has_step:
                self._out.add(CancelStep(key))
            if run.in_spawner:
                self._out.add(Kill(key))
            self._close_if_gone(run, clock)

    def change_limits(self, message: ChangeLimits, clock: Clock) -> None:
        """New limits, from the same origins."""
        key = str(message.run)
        run = self._runs.get(key)
        if run is None:
            # Over and reported; only the directory is left.
            found = self._directories.find(message.run.serial)
            if found is not None:
                self._directories.change_retention(found, message.retention_s)
                directory = self._directories.get(found)
                assert directory is not None
                self._out.append(directory)
            return
        self._set_limits(run, message.wall_clock_limit_s, message.retention_s)
        if run.state is RunState.PREPARING:
            self._watch_limit(run)
        elif run.state in (RunState.STARTING, RunState.RUNNING) or (
            run.state is RunState.QUEUED and run.in_spawner
        ):
            self._out.add(Limit(key, message.wall_clock_limit_s))

    def remove_files_when_over(self, directory: tuple[str, str]) -> None:
        """The task was deleted: keep its directory no longer than its run needs it."""
        run = self._users.get(directory)
        if run is not None:
            self._set_limits(run, run.spec.wall_clock_limit_s, 0.0)

    def delivered(self, message: Message) -> None:
        """The controller has made this message durable."""
        if isinstance(message, RunEnded):
            run = self._runs.get(str(message.run))
            if run is not None and run.state is RunState.ENDED:
                del self._runs[run.key]
                self._forgotten.append(run.run)
        elif isinstance(message, (RunReturned, RunGone, RunLost)):
            closed = self._closed.get(str(message.run))
            if closed is not None and type(message) is _OUTCOMES[closed.outcome]:
                del self._closed[str(message.run)]
                self._forgotten.append(message.run)

    # --- the spawner ------------------------------------------------------------------------------

    def granted(self, key: str, clock: Clock) -> None:
        """The run holds its slots and has no launch yet."""
        run = self._runs.get(key)
        if run is None:
            self._out.add(Release(key))
        elif not run.is_recalled and run.advance(RunEvent.GRANT):
            run.granted_at, run.granted_s = clock.now, clock.s
            self._out.append(Began(run.run, clock.now, clock.s))
            self._unannounced[key] = clock.s + HOLD_BACK_S
            self._prepare(run, clock)

    def started(self, event: Started, clock: Clock) -> None:
        """The run has a process."""
        run = self._runs.get(event.key)
        if run is not None and run.advance(RunEvent.START):
            run.started_at = utc(event.started_at)
            if run.granted_at is None:
                run.granted_at = run.started_at
                self._unannounced[event.key] = clock.s + HOLD_BACK_S

    def exited(self, event: Exited, clock: Clock) -> None:
        """The run's process tree is gone."""
        self._out.ack(event.key)
        run = self._runs.get(event.key)
        if run is None or not self._left_spawner(run, clock):
            return
        condition = wants_upload(run.spec, event.exit_code, event.timed_out)
        info = exit_info(event)
        wanted = (UploadCondition.TASK_COMPLETION, condition)
        if condition is not None and any(o.condition in wanted for o in run.spec.output_files):
            if run.advance(RunEvent.EXIT):
                run.exit = info
                self._out.append(ExitedRecord(run.run, info))
                self._upload(run)
            return
        if run.spec.output_files:
            self._out.add(Release(event.key))
        self._end(run, info, clock)

    def failed(self, event: Failed, clock: Clock) -> None:
        """The run's process could not be started."""
        self._out.ack(event.key)
        run = self._runs.get(event.key)
        if run is None or not self._left_spawner(run, clock):
            return
        if run.spec.output_files:
            self._out.add(Release(event.key))
        self._end(run, launch_exit(event, run.spec.command_line, clock.now), clock)

    def dropped(self, key: str, clock: Clock) -> None:
        """The spawner let go of a run that had no process."""
        self._out.ack(key)
        run = self._runs.get(key)
        if run is None or not self._left_spawner(run, clock):
            return
        if run.state is RunState.QUEUED:
            self._close_run(run, "returned", clock)
        else:
            self._close_run(run, "lost", clock)

    def unknown(self, key: str, clock: Clock) -> None:
        """The spawner does not know a run that it was told to launch or kill."""
        run = self._runs.get(key)
        if run is not None and self._left_spawner(run, clock) and run.state in _WITH_SPAWNER:
            self._close_run(run, "lost", clock)

    def refused(self, key: str, clock: Clock) -> None:
        """The spawner has too many runs; try again later."""
        run = self._runs.get(key)
        if run is not None and run.advance(RunEvent.REFUSE):
            run.in_spawner = False
            self._users.pop(run.directory, None)
            self._waiting[key] = run
            self._paused_until_s = clock.s + REFUSED_WAIT_S

    def spawner_down(self) -> None:
        """Nothing can be queued for now."""
        self._is_up = False

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
            elif key in self._doomed or run.state in _WITH_SPAWNER or run.granted_at is not None:
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
            self._out.send(_OUTCOMES[closed.outcome](closed.run))

    def reconcile(self, held: Mapping[str, SpawnerRun], clock: Clock) -> None:
        """Compare with all that the spawner holds, and give lost commands again."""
        self._is_up = True
        for key, row in held.items():
            if not key.startswith(START_KEYS):
                self._reconcile_held(key, row, clock)
        for run in list(self._runs.values()):
            if run.key not in held:
                self._reconcile_missing(run, clock)

    # --- steps and time ---------------------------------------------------------------------------

    def step_ended(self, key: str, outcome: StepOutcome, clock: Clock) -> None:
        """A run's step is over."""
        run = self._runs.get(key)
        if run is None or not run.has_step:
            return
        run.has_step = False
        if run.state is RunState.KILLED:
            self._close_if_gone(run, clock)
        elif run.state is RunState.PREPARING:
            self._prepared(run, outcome, clock)
        elif run.state is RunState.UPLOADING and not isinstance(outcome, Cancelled):
            info = run.exit
            assert info is not None
            if isinstance(outcome, StepFailed) and info.failure is None:
                info = replace(info, failure=outcome.failure)
            self._out.add(Release(key))
            self._end(run, replace(info, ended_at=max(info.ended_at, clock.now)), clock)

    def tick(self, clock: Clock) -> None:
        """Time has passed: announce starts, end preparations that take too long."""
        while self._unannounced:
            key, due_s = next(iter(self._unannounced.items()))
            if due_s > clock.s:
                break
            del self._unannounced[key]
            self._announce(self._runs[key], clock.now)
        for key, limit_s in list(self._limits.items()):
            if limit_s <= clock.s:
                del self._limits[key]
                self._runs[key].is_expired = True
                self._out.add(CancelStep(key))

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

    # --- inside: on the way to a process ----------------------------------------------------------

    def _enqueue(self, run: Run, clock: Clock) -> None:
        spec = run.spec
        if spec.job_id not in self._jobs:
            self._jobs.add(spec.job_id)
            for path in self._launches.paths.job_directories(spec.job_id):
                self._out.add(MakeDirectory(path))
        if run.directory in self._directories:
            # Left by an earlier attempt, or by a deleted task of the same name.
            path = self._launches.paths.task_directory(spec.job_id, spec.task_id)
            self._out.add(MoveToTrash(path))
        try:
            run.account = self._launches.account(spec.user)
            if run.account is None or spec.resource_files:
                launch = None
            else:
                directories = self._launches.task_directories(spec)
                launch = self._launches.task(spec, run.account, directories)
        except CannotLaunch as error:
            self._end(run, ExitInfo(clock.now, failure=error.failure), clock)
            return
        self._waiting.pop(run.key, None)
        run.advance(RunEvent.ADMIT)
        run.in_spawner = True
        self._occupy(run)
        self._out.add(Enqueue(run.key, spec.slots, launch))

    def _occupy(self, run: Run) -> None:
        self._users[run.directory] = run
        self._directories.occupy(run.directory, run.run.serial, run.spec.retention_s)

    def _prepare(self, run: Run, clock: Clock) -> None:
        spec = run.spec
        directories = self._launches.task_directories(spec)
        try:
            run.account = run.account or self._launches.account(spec.user)
        except CannotLaunch as error:
            self._out.add(Release(run.key))
            self._end(run, ExitInfo(clock.now, failure=error.failure), clock)
            return
        run.has_step = True
        self._watch_limit(run)
        self._out.add(
            BeginStep(
                run.key,
                PrepareFiles(
                    wd=directories[-1][0],
                    directories=directories,
                    resource_files=spec.resource_files,
                    account=run.account,
                    task_user=run.key if is_made_for_task(spec.user) else None,
                ),
            )
        )

    def _watch_limit(self, run: Run) -> None:
        self._limits.pop(run.key, None)
        if run.spec.wall_clock_limit_s is not None:
            self._limits[run.key] = run.granted_s + run.spec.wall_clock_limit_s

    def _prepared(self, run: Run, outcome: StepOutcome, clock: Clock) -> None:
        self._limits.pop(run.key, None)
        reason = None
        if run.is_expired:
            reason = wall_clock_failure()
        elif isinstance(outcome, Prepared):
            run.account = outcome.account
            used_s = max(0.0, clock.s - run.granted_s)
            try:
                launch = self._launches.task(run.spec, outcome.account, (), used_s)
            except CannotLaunch as error:
                reason = error.failure
            else:
                run.advance(RunEvent.PREPARE)
                self._out.add(StartProcess(run.key, launch))
        elif isinstance(outcome, StepFailed):
            reason = outcome.failure
        if reason is not None:
            self._out.add(Release(run.key))
            self._end(run, ExitInfo(clock.now, failure=reason), clock)

    def _upload(self, run: Run) -> None:
        assert run.exit is not None
        succeeded = run.exit.failure is None
        condition = UploadCondition.TASK_SUCCESS if succeeded else UploadCondition.TASK_FAILURE
        wanted = (UploadCondition.TASK_COMPLETION, condition)
        spec = run.spec
        account = run.account
        try:
            account = account or self._launches.account(spec.user)
            variables = self._launches.variables(spec, account) if account else {}
        except CannotLaunch:
            variables = {}
        run.has_step = True
        self._out.add(
            BeginStep(
                run.key,
                UploadOutputs(
                    directory=self._launches.paths.task_directory(spec.job_id, spec.task_id),
                    outputs=tuple(o for o in spec.output_files if o.condition in wanted),
                    variables=variables,
                    account=account,
                    task_user=run.key if is_made_for_task(spec.user) else None,
                ),
            )
        )

    # --- inside: ends -----------------------------------------------------------------------------

    def _left_spawner(self, run: Run, clock: Clock) -> bool:
        """Note that the spawner is done with a run; False when that is all there was to do."""
        run.in_spawner = False
        if run.state is RunState.KILLED:
            self._close_if_gone(run, clock)
            return False
        return run.state in _WITH_SPAWNER

    def _announce(self, run: Run, now: datetime) -> None:
        run.is_announced = True
        self._out.send(RunStarted(run.run, run.granted_at or now))

    def _end(self, run: Run, result: ExitInfo, clock: Clock) -> None:
        """The run has its one result."""
        if not run.advance(RunEvent.END):
            return
        self._unannounced.pop(run.key, None)
        self._waiting.pop(run.key, None)
        if result.started_at is None and not run.is_announced:
            self._announce(run, clock.now)
        run.exit = result
        self._out.append(Ended(run.run, result, clock.s))
        self._out.send(RunEnded(run.run, result))
        self._leave(run, clock)

    def _close_if_gone(self, run: Run, clock: Clock) -> None:
        if not run.in_spawner and not run.has_step:
            if run.spec.output_files:
                self._out.add(Release(run.key))
            self._close_run(run, "gone", clock)

    def _close_run(self, run: Run, outcome: Outcome, clock: Clock) -> None:
        """The run is over without a result, or its result is not wanted."""
        del self._runs[run.key]
        self._unannounced.pop(run.key, None)
        self._limits.pop(run.key, None)
        self._waiting.pop(run.key, None)
        if run.has_step:
            self._out.add(CancelStep(run.key))
        self._close(run.run, outcome, clock)
        if outcome == "returned":
            run.spec = replace(run.spec, retention_s=0.0)  # the spawner may have made it ahead
            if self._users.get(run.directory) is run:
                self._directories.change_retention(run.directory, 0.0)
        self._leave(run, clock)

    def _close(self, name: RunId, outcome: Outcome, clock: Clock) -> None:
        closed = Closed(name, outcome, clock.now, clock.s)
        self._closed[str(name)] = closed
        self._out.append(closed)
        self._out.send(_OUTCOMES[outcome](name))

    def _leave(self, run: Run, clock: Clock) -> None:
        if self._users.get(run.directory) is run:
            del self._users[run.directory]
            self._keep_directory(run, clock.now, clock.s, "")
        if is_made_for_task(run.spec.user):
            self._out.add(BeginStep(f"user.{run.key}", RemoveUser(run.key)))

    def _keep_directory(self, run: Run, at: datetime, at_s: float, machine: str) -> None:
        spec = run.spec
        directory = Directory(*run.directory, run.run.serial, spec.retention_s)
        self._directories.keep(directory, at, at_s, machine)

    def _set_limits(self, run: Run, wall_clock_limit_s: float | None, retention_s: float) -> None:
        run.spec = replace(run.spec, wall_clock_limit_s=wall_clock_limit_s, retention_s=retention_s)
        self._out.append(Limits(run.run, wall_clock_limit_s, retention_s))
        found = self._directories.get(run.directory)
        if found is not None and found.serial == run.run.serial:
            self._directories.change_retention(run.directory, retention_s)

    # --- inside: after a restart ------------------------------------------------------------------

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
        run.in_spawner = True
        self._waiting.pop(key, None)
        self._occupy(run)
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
        if not run.has_step:
            self._prepare(run, clock)

    def _reconcile_missing(self, run: Run, clock: Clock) -> None:
        if run.state is RunState.KILLED:
            run.in_spawner = False
            self._close_if_gone(run, clock)
        elif run.state is RunState.UPLOADING:
            self._occupy(run)
            self._resuming[run.key] = run
        elif run.state is RunState.QUEUED:
            # The command was lost with the connection.
            run.state, run.in_spawner = RunState.HELD, False
            self._users.pop(run.directory, None)
            self._waiting[run.key] = run
        elif run.state in _WITH_SPAWNER:
            self._close_run(run, "lost", clock)
