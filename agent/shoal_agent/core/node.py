"""The life of a node between two boots (pure): configured, users made, start task run, ready.

A boot begins with a new spawner and ends with it. What the start task is, is settled once in each
boot, by the first configuration that arrives in it: a changed start task takes effect at the next
boot (reference, semantics 2.11).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from shoal_agent.core.disk import Disk
from shoal_agent.core.environment import Account
from shoal_agent.core.instructions import (
    BeginStep,
    Cancelled,
    Clock,
    Enqueue,
    Prepared,
    PrepareFiles,
    PrepareUsers,
    SetCapacity,
    StepFailed,
    StepOutcome,
    UsersReady,
)
from shoal_agent.core.launches import STARTUP_WD_MODE, CannotLaunch, Launches, is_made_for_task
from shoal_agent.core.outbox import Outbox
from shoal_agent.core.records import (
    Boot,
    Configured,
    Ready,
    Record,
    StartTaskBegan,
    StartTaskEnded,
)
from shoal_protocol.messages import NodeReport, StartTaskReport
from shoal_protocol.specs import ExitInfo, FailureInfo, NodeConfig, StartTaskSpec

USERS_KEY: Final = "users"
START_STEP: Final = "start"
START_USER: Final = "start"
RETRY_WAIT_S_MAX: Final = 30.0


class StartPhase(StrEnum):
    """Where the start task stands in this boot."""

    NONE = "none"  # not begun
    PREPARING = "preparing"
    RUNNING = "running"  # with the spawner
    WAITING = "waiting"  # for its next retry
    OVER = "over"


class Node:
    """One node: its boot, configuration, accounts, start task and readiness."""

    def __init__(
        self,
        launches: Launches,
        out: Outbox,
        task_users: Callable[[], tuple[str, ...]],
        disk: Disk,
    ) -> None:
        """task_users   tells the runs whose own accounts are still needed"""
        self._task_users = task_users
        self.disk = disk
        self._launches = launches
        self._out = out
        self.boot_id = ""
        self.booted_at: datetime | None = None
        self.must_wipe = False  # the tree, before this boot's spawner serves
        self.config: NodeConfig | None = None
        self.accounts: Mapping[str, Account] | None = None
        self.is_ready = False
        self._errors: tuple[FailureInfo, ...] = ()  # of this boot's preparation
        self._is_configured = False  # in this boot
        self._first: NodeConfig | None = None
        self._start_spec: StartTaskSpec | None = None
        self._phase = StartPhase.NONE
        self._has_step = False
        self._has_users_step = False
        self._began: StartTaskBegan | None = None
        self._ended: StartTaskEnded | None = None
        self._retry_at_s: float | None = None

    # --- from the journal -------------------------------------------------------------------------

    def replay(self, record: Record) -> None:
        """Take in what was written down before this agent's start."""
        match record:
            case Boot():
                self._reset(record)
            case Configured(config):
                self._settle(config)
            case StartTaskBegan():
                self._began, self._ended = record, None
                self._phase = StartPhase.PREPARING
            case StartTaskEnded(_, _, final):
                self._ended = record
                self._phase = StartPhase.OVER if final else StartPhase.WAITING
            case Ready():
                self.is_ready = True
            case _:
                pass

    def records(self) -> list[Record]:
        """Return what `replay` needs."""
        if self.booted_at is None:
            return []
        records: list[Record] = []
        if self.config is not None and not self._is_configured:
            records.append(Configured(self.config))
        records.append(Boot(self.boot_id, self.booted_at, self.must_wipe))
        if self._is_configured and self.config is not None:
            # The first one of a boot settles the start task, a later one everything else.
            assert self._first is not None
            records.append(Configured(self._first))
            if self.config != self._first:
                records.append(Configured(self.config))
        if self._began is not None:
            records.append(self._began)
        if self._ended is not None:
            records.append(self._ended)
        if self.is_ready:
            records.append(Ready())
        return records

    # --- what happens -----------------------------------------------------------------------------

    @property
    def key(self) -> str:
        """The spawner's name for the present run of the start task."""
        return f"start.{self._began.number if self._began else 0}"

    @property
    def next_due_s(self) -> float | None:
        """When `tick` has something to do; without accounts it has nothing, however late it is."""
        return None if self.accounts is None else self._retry_at_s

    def boot(self, boot_id: str, clock: Clock, wipes: bool = False) -> None:
        """A new boot begins; nothing runs before the controller has given a configuration."""
        record = Boot(boot_id, clock.now, wipes)
        self._out.append(record)
        self._reset(record)
        self.report()

    def spawner_lost(self) -> None:
        """A new spawner serves and knows nothing: a start task that the old one ran runs again."""
        if self._phase is StartPhase.RUNNING:
            self._phase = StartPhase.PREPARING

    def resume(self, clock: Clock, holds_start_task: bool) -> None:
        """An agent's first contact with its boot's spawner: go on, and say where all stands."""
        if holds_start_task and self._phase is StartPhase.PREPARING:
            self._phase = StartPhase.RUNNING
        if self._phase is StartPhase.WAITING:
            self._retry_at_s = clock.s
        if self._phase is StartPhase.OVER and not self.is_ready and self._is_good_enough():
            self._become_ready()
        if self._began is not None:
            self._report_start_task()
        self.report()
        self.go_on(clock)

    def configure(self, config: NodeConfig, clock: Clock) -> None:
        """The controller gave a configuration."""
        previous = self.config
        if config != previous or not self._is_configured:
            self._out.append(Configured(config))
            self._settle(config)
        self._out.add(SetCapacity(config.slots))
        if self.accounts is None or previous is None or previous.users != config.users:
            self.accounts = None
        self.go_on(clock)

    def go_on(self, clock: Clock) -> None:
        """Take the next step towards being ready, if nothing is being waited for."""
        if not self._is_configured or self.config is None:
            return
        if self.accounts is None:
            if not self._has_users_step:
                self._has_users_step = True
                self._out.add(
                    BeginStep(
                        USERS_KEY,
                        PrepareUsers(self.config.users, (START_USER, *self._task_users())),
                    )
                )
            return
        self._launches.configure(self.config, self.accounts)
        spec = self._start_spec
        if spec is None:
            self._become_ready()
            return
        if self._phase is StartPhase.NONE:
            self._begin(0, None, clock)
        elif self._phase is StartPhase.PREPARING and not self._has_step:
            self._prepare(clock)
        if not spec.wait_for_success:
            self._become_ready()

    def tick(self, clock: Clock) -> None:
        """Begin the retry that is due."""
        if self._retry_at_s is None or clock.s < self._retry_at_s or self.accounts is None:
            return
        self._retry_at_s = None
        assert self._began is not None
        self._begin(self._began.retry_count + 1, clock.now, clock)

    def step_ended(self, key: str, outcome: StepOutcome, clock: Clock) -> None:
        """The step USERS_KEY or START_STEP is over."""
        if key == USERS_KEY:
            self._has_users_step = False
            if isinstance(outcome, UsersReady):
                self.accounts = outcome.accounts
                self.go_on(clock)
            elif isinstance(outcome, StepFailed):
                self._errors = (outcome.failure,)
                self.report()
            else:
                self.go_on(clock)
            return
        self._has_step = False
        if self._phase is not StartPhase.PREPARING:
            return
        match outcome:
            case Prepared(account):
                assert self._start_spec is not None
                try:
                    launch = self._launches.start_task(self._start_spec, account)
                except CannotLaunch as error:
                    self._end(ExitInfo(clock.now, failure=error.failure), True, clock)
                    return
                self._phase = StartPhase.RUNNING
                self._out.add(Enqueue(self.key, 0, launch))
            case StepFailed(reason):
                self._end(ExitInfo(clock.now, failure=reason), True, clock)
            case Cancelled():
                self.go_on(clock)
            case _:
                pass

    def process_ended(self, result: ExitInfo, clock: Clock) -> None:
        """The start task's process has ended, or could not be started (then exit_code is None)."""
        if self._phase is not StartPhase.RUNNING:
            return
        assert self._began is not None
        assert self._start_spec is not None
        retries_max = self._start_spec.retry_count_max
        can_retry = retries_max < 0 or self._began.retry_count < retries_max
        is_nonzero = result.exit_code is not None and result.exit_code != 0
        self._end(result, not (is_nonzero and can_retry), clock)

    def report(self) -> None:
        """Tell the controller the node's condition, as far as it knows of this boot."""
        if self.boot_id:
            errors = self._errors if self.disk.error is None else (*self._errors, self.disk.error)
            self._out.send(NodeReport(self.boot_id, self.is_ready, errors))

    @property
    def command_line(self) -> str:
        """The start task's."""
        return self._start_spec.command_line if self._start_spec else ""

    # --- inside -----------------------------------------------------------------------------------

    def _reset(self, boot: Boot) -> None:
        self.boot_id, self.booted_at, self.must_wipe = boot.boot_id, boot.at, boot.wipes
        self.is_ready = self._is_configured = self._has_step = False
        self._errors = ()
        self._start_spec = self._began = self._ended = self._retry_at_s = self._first = None
        self._phase = StartPhase.NONE

    def _settle(self, config: NodeConfig) -> None:
        if not self._is_configured and self.boot_id:
            self._is_configured = True
            self._start_spec, self._first = config.start_task, config
        self.config = config

    def _begin(self, retry_count: int, last_retry_at: datetime | None, clock: Clock) -> None:
        number = self._began.number + 1 if self._began else 1
        self._began = StartTaskBegan(number, retry_count, clock.now, last_retry_at)
        self._ended = None
        self._out.append(self._began)
        self._phase = StartPhase.PREPARING
        self._report_start_task()
        self._prepare(clock)

    def _prepare(self, clock: Clock) -> None:
        spec = self._start_spec
        assert spec is not None
        paths = self._launches.paths
        try:
            account = self._launches.account(spec.user)
        except CannotLaunch as error:
            self._end(ExitInfo(clock.now, failure=error.failure), True, clock)
            return
        self._has_step = True
        self._out.add(
            BeginStep(
                START_STEP,
                PrepareFiles(
                    wd=paths.startup_wd,
                    directories=((paths.startup_wd, STARTUP_WD_MODE),),
                    resource_files=spec.resource_files,
                    account=account,
                    task_user=START_USER if is_made_for_task(spec.user) else None,
                    fresh=paths.startup_wd,
                ),
            )
        )

    def _end(self, result: ExitInfo, final: bool, clock: Clock) -> None:
        assert self._began is not None
        self._ended = StartTaskEnded(self._began.number, result, final)
        self._out.append(self._ended)
        self._phase = StartPhase.OVER if final else StartPhase.WAITING
        self._report_start_task()
        if not final:
            # The first retry comes at once; a start task that always fails must not spin.
            retries = self._began.retry_count
            wait_s = min(RETRY_WAIT_S_MAX, 2.0 ** min(retries - 1, 10)) if retries else 0.0
            self._retry_at_s = clock.s + wait_s
        elif self._is_good_enough():
            self._become_ready()

    def _is_good_enough(self) -> bool:
        spec = self._start_spec
        if spec is None or not spec.wait_for_success:
            return True
        return self._ended is not None and self._ended.exit.failure is None

    def _become_ready(self) -> None:
        if not self.is_ready:
            self.is_ready = True
            self._out.append(Ready())
            self.report()

    def _report_start_task(self) -> None:
        began, ended = self._began, self._ended
        assert began is not None
        self._out.send(
            StartTaskReport(
                boot_id=self.boot_id,
                running=ended is None,
                final=ended is not None and ended.final,
                started_at=began.at,
                retry_count=began.retry_count,
                last_retry_at=began.last_retry_at,
                exit=ended.exit if ended else None,
            )
        )
