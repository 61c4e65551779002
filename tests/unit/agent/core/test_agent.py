"""The agent core in a small world of its own: scripted spawner and steps, a journal in memory, and
crashes of agent and spawner between any two instructions.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from shoal_agent.core import instructions as do
from shoal_agent.core.agent import AgentCore, Setting
from shoal_agent.core.environment import Account
from shoal_agent.core.failures import failure
from shoal_agent.core.records import Record
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
from shoal_protocol import messages as say
from shoal_protocol.specs import (
    ExitInfo,
    NodeConfig,
    OutputFile,
    ResourceFile,
    RunId,
    StartTaskSpec,
    TaskSpec,
)

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = NodeConfig("acc", "https://acc/", "pool", "node", slots=2)
SLOTS = 2
OWN = Account("me")
ACCOUNTS = dict.fromkeys(("pool:nonadmin", "pool:admin", "task:nonadmin", "task:admin"), OWN)


class ScriptedSpawner:
    """The real slot keeper; processes live until the world ends them."""

    def __init__(self, life: int) -> None:
        self.life = life
        self.keeper: SlotKeeper[Launch, End] = SlotKeeper()
        self.events: list[Event] = []

    def obey(self, instruction: do.Instruction, now_s: float) -> None:
        keeper = self.keeper
        match instruction:
            case do.SetCapacity(slots):
                keeper.capacity = slots
            case do.Enqueue(key, slots, launch):
                keeper.enqueue(key, slots, launch)
            case do.StartProcess(key, launch):
                if key not in keeper.runs:
                    self.events.append(Unknown(key))
                elif (run := keeper.launch(key, launch)) is not None:
                    self._start(run, now_s)
            case do.Release(key):
                if keeper.drop(key, Dropped(key)):
                    self.events.append(Dropped(key))
                keeper.release(key)
            case do.Kill(key):
                run = keeper.runs.get(key)
                if run is None:
                    self.events.append(Unknown(key))
                elif run.state is RunState.RUNNING:
                    self.end(key, -9, now_s)
                elif keeper.drop(key, Dropped(key)):
                    self.events.append(Dropped(key))
            case do.Ack(keys):
                keeper.ack(keys)
            case _:
                pass
        self.grant(now_s)

    def grant(self, now_s: float) -> None:
        while (run := self.keeper.grant()) is not None:
            if run.launch is None:
                self.events.append(Granted(run.key))
            else:
                self._start(run, now_s)
        self.keeper.check()

    def running(self) -> list[str]:
        return [key for key, run in self.keeper.runs.items() if run.state is RunState.RUNNING]

    def end(self, key: str, code: int, now_s: float) -> None:
        run = self.keeper.runs[key]
        assert run.launch is not None
        at = BEGIN.timestamp() + now_s
        event = Exited(key, code, at, at, 0.0, False, False, 0.0, 0.0, 0)
        self.keeper.finished(run, event, run.launch.hold)
        self.events.append(event)
        self.grant(now_s)

    def snapshot(self) -> Snapshot:
        self.events.clear()  # it is all in here
        rows = {
            key: HeldRun(
                key, run.state, run.slots, run.held,
                started=Started(key, 1, BEGIN.timestamp())
                if run.state is RunState.RUNNING else None,
                end=run.record,
            )
            for key, run in self.keeper.runs.items()
        }  # fmt: skip
        return Snapshot(self.life, self.keeper.capacity, rows)

    def _start(self, run: Run[Launch, End], now_s: float) -> None:
        assert run.launch is not None
        if run.launch.argv == ["missing"]:
            event = Failed(run.key, 2, "program")
            self.keeper.finished(run, event, run.launch.hold)
            self.events.append(event)
        else:
            self.keeper.started(run)
            self.events.append(Started(run.key, 1, BEGIN.timestamp() + now_s))


class World:
    """One node. The agent may be dropped between any two instructions."""

    def __init__(self, seed: int = 0, config: NodeConfig = CONFIG) -> None:
        self.random = random.Random(seed)
        self.config = config
        self.journal: list[Record] = []
        self.now_s = 100.0
        self.ids = 0
        self.spawner = ScriptedSpawner(1)
        self.told: list[say.Message] = []  # everything that was ever delivered
        self.pending: list[say.Message] = []  # sent and not acknowledged
        self.steps: dict[str, do.Step] = {}
        self.crashes = False
        self.start()

    # --- the agent

    def start(self) -> None:
        setting = Setting("/root", "machine", "C", self.new_id)
        self.pending.clear()
        self.steps.clear()
        self.later: list[do.Event] = []
        self.is_starting_spawner = False
        self.core = AgentCore(setting, self.journal, self.clock)
        if self.core.must_stop_spawner:
            self.spawner = ScriptedSpawner(self.spawner.life + 1)
        self.feed(self.up())
        self.feed(self.welcome())

    def welcome(self) -> say.Welcome:
        return say.Welcome(1, "c", "", 0, self.config)

    def up(self) -> do.SpawnerUp:
        return do.SpawnerUp(f"machine.{self.spawner.life}", self.spawner.snapshot())

    def new_id(self) -> str:
        self.ids += 1
        return f"boot-{self.ids}"

    @property
    def clock(self) -> do.Clock:
        return do.Clock(BEGIN + timedelta(seconds=self.now_s), self.now_s)

    def feed(self, *events: do.Event) -> list[do.Instruction]:
        """Have the core handle events, and carry out what it says; maybe only the beginning."""
        done = self.core.handle(events, self.clock)
        if self.crashes and self.random.random() < 0.03:
            return self.crash()  # before the write: nothing happened
        self.journal += [i.record for i in done if isinstance(i, do.Append)]
        for instruction in done:
            if self.crashes and self.random.random() < 0.01:
                return self.crash()
            self.carry_out(instruction)
        while self.later:
            self.feed(self.later.pop(0))
        return done

    def crash(self) -> list[do.Instruction]:
        self.crashes, before = False, self.crashes
        if self.random.random() < 0.2:
            self.spawner = ScriptedSpawner(self.spawner.life + 1)
        if self.random.random() < 0.3:
            self.journal = self.compacted()
        self.start()
        self.crashes = before
        return []

    def compacted(self) -> list[Record]:
        setting = Setting("/root", "machine", "C", self.new_id)
        return AgentCore(setting, self.journal, self.clock).snapshot()

    def carry_out(self, instruction: do.Instruction) -> None:
        match instruction:
            case do.Send(message):
                self.told.append(message)
                self.pending.append(message)
            case do.BeginStep(key, step):
                self.steps[key] = step
            case do.CancelStep(key):
                if key in self.steps:
                    del self.steps[key]
                    self.later.append(do.StepEnded(key, do.Cancelled()))
            case do.RestartSpawner():
                self.later += [do.StepEnded(key, do.Cancelled()) for key in self.steps]
                self.steps.clear()
                self.is_starting_spawner = True
            case do.Redial():
                self.later.append(self.welcome())
            case _:
                if not self.is_starting_spawner:
                    self.spawner.obey(instruction, self.now_s)

    # --- what may happen next

    def move(self) -> None:
        """Let something that is under way go on."""
        choice = self.random.random()
        if self.is_starting_spawner:
            self.is_starting_spawner = False
            self.spawner = ScriptedSpawner(self.spawner.life + 1)
            self.feed(self.up())
        elif self.spawner.events and choice < 0.4:
            events, self.spawner.events = self.spawner.events, []
            self.feed(*events)
        elif self.steps and choice < 0.6:
            self.end_step(self.random.choice(sorted(self.steps)))
        elif self.pending and choice < 0.75:
            message = self.pending.pop(0)
            self.feed(do.Delivered(message))
        elif (running := self.spawner.running()) and choice < 0.95:
            code = self.random.choice([0, 0, 0, 1])
            self.spawner.end(self.random.choice(running), code, self.now_s)
        else:
            self.now_s += self.random.choice([0.001, 0.02, 1.0])
            self.feed(do.Tick())

    def end_step(self, key: str) -> None:
        step = self.steps.pop(key)
        outcome: do.StepOutcome = do.Done()
        if isinstance(step, do.PrepareUsers):
            outcome = do.UsersReady(ACCOUNTS)
        elif isinstance(step, do.PrepareFiles):
            outcome = do.Prepared(step.account or OWN)
            if any(file.http_url == "bad" for file in step.resource_files):
                outcome = do.StepFailed(failure("BlobNotFound"))
        self.feed(do.StepEnded(key, outcome))

    def settle(self, condition: Callable[[], object] | None = None) -> None:
        """Go on until nothing is under way, or `condition` holds."""
        for _ in range(20_000):
            if condition is not None and condition():
                return
            busy = self.spawner.events or self.steps or self.pending or self.spawner.running()
            if not (busy or self.is_starting_spawner) and condition is None:
                self.now_s += 5.0
                self.feed(do.Tick())
                if not (self.spawner.events or self.steps or self.pending):
                    return
            self.move()
        raise AssertionError("it never settles")

    def of(self, kind: type) -> list[say.Message]:
        return [message for message in self.told if type(message) is kind]


def a_task(serial: int, **fields: object) -> say.RunTask:
    spec = TaskSpec("job", f"t{serial}", "/bin/true")
    return say.RunTask(RunId(serial, 1), replace(spec, **fields))  # pyright: ignore[reportArgumentType]


@pytest.fixture
def world() -> World:
    world = World()
    world.settle()
    world.told.clear()
    return world


def test_a_simple_task_is_one_record_one_command_and_no_step(world: World) -> None:
    done = world.feed(a_task(1))
    assert [type(i) for i in done if not isinstance(i, do.RegisterEnvironment)] == [
        do.Append, do.MakeDirectory, do.MakeDirectory, do.Enqueue,
    ]  # fmt: skip
    done = world.feed(a_task(2))
    assert [type(i) for i in done] == [do.Append, do.Enqueue]


def test_an_end_that_comes_soon_is_told_without_a_start(world: World) -> None:
    world.feed(a_task(1))
    world.spawner.end("1.1", 0, world.now_s)
    events, world.spawner.events = world.spawner.events, []
    world.feed(*events)
    assert [type(message) for message in world.told] == [say.RunEnded]


def test_a_start_is_told_when_its_time_has_come(world: World) -> None:
    world.feed(a_task(1))
    events, world.spawner.events = world.spawner.events, []
    world.feed(*events)
    assert world.told == []
    due_s = world.core.next_due_s
    assert due_s is not None
    world.now_s = due_s
    world.feed(do.Tick())
    assert [type(message) for message in world.told] == [say.RunStarted]


def test_a_directory_goes_after_its_retention_and_not_before(world: World) -> None:
    world.feed(a_task(1, retention_s=100.0))
    world.settle()
    ended_s = world.now_s
    world.now_s = ended_s + 90.0
    assert world.feed(do.Tick()) == []
    world.now_s = ended_s + 101.0
    done = world.feed(do.Tick())
    assert do.MoveToTrash("/root/workitems/job/job-1/t1") in done
    assert do.RemoveIfEmpty("/root/workitems/job") in done
    assert do.BeginStep("trash", do.EmptyTrash()) in done


def test_files_of_a_schedules_first_job_are_not_those_of_a_later_job_of_its_name(
    world: World,
) -> None:
    old = a_task(1)
    world.feed(replace(old, spec=replace(old.spec, job_id="job:job-1", task_id="t")))
    new = a_task(2)
    world.feed(replace(new, spec=replace(new.spec, job_id="job", task_id="t")))
    world.settle()
    world.feed(say.RemoveTaskFiles("job:job-1", "t", 1))
    assert ("job", "t") in world.core.directories
    done = world.feed(say.RemoveTaskFiles("job", "t", 2))
    assert do.MoveToTrash("/root/workitems/job/job-1/t") in done
    assert do.RemoveIfEmpty("/root/workitems/job") in done


def test_a_longer_retention_after_the_end_is_remembered(world: World) -> None:
    world.feed(a_task(1, retention_s=10.0))
    world.settle()
    world.feed(say.ChangeLimits(RunId(1, 1), None, 1e6))
    world.crash()
    world.settle()
    world.now_s += 1000.0
    world.feed(do.Tick())
    assert ("job", "t1") in world.core.directories


def test_files_of_a_deleted_task_go_when_its_run_is_over(world: World) -> None:
    world.feed(a_task(1))
    world.feed(say.RemoveTaskFiles("job", "t1", 1))
    assert ("job", "t1") in world.core.directories
    world.crash()
    world.settle()
    world.now_s += 10.0
    world.feed(do.Tick())
    assert ("job", "t1") not in world.core.directories


def test_tasks_wait_for_the_start_task() -> None:
    config = replace(CONFIG, start_task=StartTaskSpec("/bin/prepare"))
    world = World(config=config)
    world.feed(a_task(1))
    world.settle(lambda: world.spawner.running())
    assert world.spawner.running() == ["start.1"]
    world.spawner.end("start.1", 0, world.now_s)
    world.settle(lambda: "1.1" in world.spawner.running())


def test_a_failing_start_task_is_retried_ever_more_slowly() -> None:
    config = replace(CONFIG, start_task=StartTaskSpec("/bin/prepare", retry_count_max=-1))
    world = World(config=config)
    began: list[float] = []
    for number in range(1, 6):
        world.settle(lambda n=number: f"start.{n}" in world.spawner.running())
        began.append(world.now_s)
        world.spawner.end(f"start.{number}", 1, world.now_s)
        world.settle(lambda: not world.spawner.events and not world.spawner.running())
    gaps = [late - early for early, late in pairwise(began)]
    assert gaps[-1] > 3.0
    assert not world.core.node.is_ready


@pytest.mark.parametrize("seed", range(150))
def test_every_run_ends_once_whatever_dies(seed: int) -> None:
    world = World(seed)
    dice = world.random
    world.crashes = True
    sent: dict[RunId, say.RunTask] = {}
    undone: set[RunId] = set()  # killed, recalled or lost to a reboot
    while len(sent) < 25 or dice.random() < 0.9:
        choice = dice.random()
        if choice < 0.25 and len(sent) < 25:
            files = (ResourceFile(http_url=dice.choice(["good", "bad"])),)
            task = a_task(
                len(sent) + 1,
                slots=dice.choice([1, 1, 2]),
                command_line=dice.choice(["/bin/true", "/bin/true", "missing", "'"]),
                resource_files=dice.choice([(), (), files]),
                output_files=dice.choice([(), (OutputFile("*", "https://c"),)]),
                wall_clock_limit_s=dice.choice([None, 2.0]),
            )
            sent[task.run] = task
            world.feed(task)
        elif choice < 0.3 and sent:
            run = dice.choice(list(sent))
            kind = dice.choice([say.KillTask, say.RecallTask])
            undone.add(run)
            world.feed(kind(run))
        elif choice < 0.305:
            world.feed(say.RebootNode(world.core.node.boot_id))
        elif choice < 0.35 and sent:
            heard = {message.run for message in world.told if isinstance(message, OUTCOMES)}
            if again := [task for run, task in sent.items() if run not in heard]:
                world.feed(dice.choice(again))
        else:
            world.move()
    world.crashes = False
    # What a controller does after each connection: it gives again what the node does not hold.
    for _ in range(5):
        heard = {message.run for message in world.told if isinstance(message, OUTCOMES)}
        for run, task in sent.items():
            if run not in heard:
                world.feed(task)
        world.settle()
    results: dict[RunId, set[ExitInfo]] = {}
    for message in world.told:
        if isinstance(message, say.RunEnded):
            results.setdefault(message.run, set()).add(message.exit)
    lost = {m.run for m in world.told if isinstance(m, (say.RunLost, say.RunGone, say.RunReturned))}
    for run in sent:
        assert run in results or run in lost, run
    # A run given again after its end was forgotten is a new one here: the test does not give it.
    assert all(len(exits) == 1 for run, exits in results.items() if run not in undone | lost)
    assert world.core.held_runs == ()
    assert world.spawner.keeper.held_count == 0
    assert world.spawner.keeper.runs == {}


OUTCOMES = (say.RunEnded, say.RunLost, say.RunGone, say.RunReturned)
