"""A run that is asked back either goes back or runs: it never stays in between."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from shoal_agent.core.agent import AgentCore, Setting
from shoal_agent.core.environment import Account
from shoal_agent.core.instructions import (
    BeginStep,
    Clock,
    Enqueue,
    Instruction,
    Release,
    Send,
    SpawnerDown,
    SpawnerUp,
    StepEnded,
    UsersReady,
)
from shoal_agent.core.slots import RunState
from shoal_agent.core.spawning import Dropped, Granted, HeldRun, Refused, Snapshot
from shoal_protocol.messages import (
    PROTOCOL_VERSION,
    Message,
    RecallTask,
    RunReturned,
    RunTask,
    Welcome,
)
from shoal_protocol.specs import NodeConfig, ResourceFile, RunId, TaskSpec
from tests.builders import NOON

NOW = Clock(NOON, 1.0)
RUN = RunId(7, 1)
KEY = str(RUN)
FILES = (ResourceFile(http_url="http://x/", file_path="x"),)


def told(done: Sequence[Instruction]) -> list[Message]:
    return [found.message for found in done if isinstance(found, Send)]


def up(*runs: HeldRun) -> SpawnerUp:
    return SpawnerUp("life", Snapshot(1, 1, {run.key: run for run in runs}))


@pytest.fixture
def core() -> AgentCore:
    """A node that has queued a run with its spawner and was asked to give it back."""
    core = AgentCore(Setting("/node", "machine", "C.UTF-8", lambda: "boot"), [], NOW)
    config = NodeConfig("a", "https://a/", "pool", "node", slots=1)
    core.handle([up(), Welcome(PROTOCOL_VERSION, "c", "", 0, config)], NOW)
    core.handle([StepEnded("users", UsersReady({"pool:nonadmin": Account("me")}))], NOW)
    done = core.handle([RunTask(RUN, TaskSpec("j", "t", "true", resource_files=FILES))], NOW)
    assert any(isinstance(found, Enqueue) for found in done)
    assert Release(KEY) in core.handle([RecallTask(RUN)], NOW)
    return core


def test_a_queued_run_goes_back_when_the_spawner_has_let_go_of_it(core: AgentCore) -> None:
    assert core.handle([Granted(KEY)], NOW) == []  # its turn came just before
    assert told(core.handle([Dropped(KEY)], NOW)) == [RunReturned(RUN)]


def test_a_run_that_the_spawner_refuses_goes_back(core: AgentCore) -> None:
    assert told(core.handle([Refused(KEY)], NOW)) == [RunReturned(RUN)]


def test_a_run_that_the_spawner_never_got_goes_back(core: AgentCore) -> None:
    core.handle([SpawnerDown()], NOW)
    assert told(core.handle([up()], NOW)) == [RunReturned(RUN)]


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.GRANTED])
def test_an_order_to_let_go_that_was_lost_is_repeated(core: AgentCore, state: RunState) -> None:
    core.handle([SpawnerDown()], NOW)
    done = core.handle([up(HeldRun(KEY, state, 1, 1))], NOW)
    assert Release(KEY) in done
    assert not any(isinstance(found, BeginStep) for found in done)
    assert told(core.handle([Dropped(KEY)], NOW)) == [RunReturned(RUN)]
