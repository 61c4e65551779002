"""The books of a node's runs (pure): who waits, who uses which directory, what is still to be told;
and the moves that several events lead to. What happened is `runs.py`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from shoal_agent.core.directories import Directories
from shoal_agent.core.failures import wall_clock_failure
from shoal_agent.core.instructions import (
    BeginStep,
    CancelStep,
    Clock,
    Enqueue,
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
from shoal_agent.core.records import (
    Closed,
    Directory,
    Ended,
    Forgotten,
    Limits,
    Outcome,
)
from shoal_agent.core.task import Run, RunEvent, RunState
from shoal_protocol.messages import (
    HeldRun,
    RunEnded,
    RunGone,
    RunLost,
    RunPhase,
    RunReturned,
    RunStarted,
)
from shoal_protocol.specs import ExitInfo, RunId, UploadCondition

HOLD_BACK_S: Final = 0.01
"""RunStarted waits so long, and is left out when the run has ended by then."""
REFUSED_WAIT_S: Final = 1.0
START_KEYS: Final = "start."

WITH_SPAWNER: Final = frozenset(
    {RunState.QUEUED, RunState.PREPARING, RunState.STARTING, RunState.RUNNING}
)
OUTCOMES: Final[Mapping[Outcome, type[RunReturned | RunGone | RunLost]]] = {
    "returned": RunReturned,
    "gone": RunGone,
    "lost": RunLost,
}


class RunLedger:
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
        self._stepping: dict[str, Run] = {}  # their step is to be begun by `admit`
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
        closed = (HeldRun(c.run, RunPhase.ENDED, 0) for c in self._closed.values())
        return (*(HeldRun(r.run, r.phase, r.spec.slots) for r in self._runs.values()), *closed)

    @property
    def is_busy(self) -> bool:
        """Whether any run is between its queueing and its end."""
        return bool(self._users)

    @property
    def has_waiting(self) -> bool:
        """Whether `admit` has something to do."""
        return bool(self._waiting or self._stepping) and self._is_up

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

    def uses(self, directory: tuple[str, str]) -> bool:
        """Whether any run has that task's directory; looks at all of them."""
        return any(run.directory == directory for run in self._runs.values())

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

    def forget_jobs(self) -> None:
        """All jobs' directories are gone with the tree."""
        self._jobs.clear()

    def flush(self) -> None:
        """Write down together what was forgotten in one batch."""
        if self._forgotten:
            self._out.append(Forgotten(tuple(self._forgotten)))
            self._forgotten.clear()

    # --- on the way to a process ------------------------------------------------------------------

    def _enqueue(self, run: Run, clock: Clock) -> None:
        spec = run.spec
        job = run.directory[0]
        if job not in self._jobs:
            self._jobs.add(job)
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

    def _hold_again(self, run: Run, clock: Clock) -> None:
        """The spawner does not have a run that was queued with it: it waits here, or goes back."""
        run.in_spawner = False
        if run.is_recalled:
            self._close_run(run, "returned", clock)
        else:
            self._users.pop(run.directory, None)
            self._waiting[run.key] = run

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

    # --- ends -------------------------------------------------------------------------------------

    def _left_spawner(self, run: Run, clock: Clock) -> bool:
        """Note that the spawner is done with a run; False when that is all there was to do."""
        run.in_spawner = False
        if run.state is RunState.KILLED:
            self._close_if_gone(run, clock)
            return False
        return run.state in WITH_SPAWNER

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
        self._out.send(OUTCOMES[outcome](name))

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
