"""All runs that a node holds, from their acceptance until the controller knows their end (pure)."""

from __future__ import annotations

from dataclasses import replace

from shoal_agent.core.failures import failure
from shoal_agent.core.instructions import (
    Cancelled,
    CancelStep,
    Clock,
    Kill,
    Limit,
    Release,
    StepFailed,
    StepOutcome,
)
from shoal_agent.core.paths import PathRefused
from shoal_agent.core.records import (
    Accepted,
    Began,
    Killing,
)
from shoal_agent.core.records import Exited as ExitedRecord
from shoal_agent.core.results import exit_info, launch_exit, utc
from shoal_agent.core.runledger import (
    HOLD_BACK_S,
    OUTCOMES,
    REFUSED_WAIT_S,
    WITH_SPAWNER,
    RunLedger,
)
from shoal_agent.core.spawning import Exited, Failed, Started
from shoal_agent.core.task import Run, RunEvent, RunState, wants_upload
from shoal_protocol.messages import (
    ChangeLimits,
    Message,
    RunEnded,
    RunGone,
    RunLost,
    RunReturned,
)
from shoal_protocol.specs import ExitInfo, RunId, TaskSpec, UploadCondition


class Runs(RunLedger):
    """What the controller says, the spawner and the steps report, and time does to runs."""

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
        """Begin steps that are due, and queue with the spawner what waits, in order.

        Call it when the node is ready: accounts are known then.
        """
        for run in list(self._stepping.values()):
            if run.has_step or self._runs.get(run.key) is not run:
                pass
            elif run.state is RunState.PREPARING:
                self._prepare(run, clock)
            elif run.state is RunState.UPLOADING:
                self._upload(run)
        self._stepping.clear()
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
            if closed is not None and type(message) is OUTCOMES[closed.outcome]:
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
            self._stepping[key] = run

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
        if run is not None and self._left_spawner(run, clock) and run.state in WITH_SPAWNER:
            self._close_run(run, "lost", clock)

    def refused(self, key: str, clock: Clock) -> None:
        """The spawner has too many runs; try again later."""
        run = self._runs.get(key)
        if run is not None and run.advance(RunEvent.REFUSE):
            self._hold_again(run, clock)
            self._paused_until_s = clock.s + REFUSED_WAIT_S

    def spawner_down(self) -> None:
        """Nothing can be queued for now."""
        self._is_up = False

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
