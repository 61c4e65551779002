"""What an agent says that it holds: what is over too, until the controller knows it."""

from __future__ import annotations

import pytest

from shoal_agent.core.agent import AgentCore, Setting
from shoal_agent.core.instructions import Append, Clock, Delivered, SpawnerUp
from shoal_agent.core.spawning import Snapshot
from shoal_protocol.messages import (
    HeldRun,
    KillTask,
    RecallTask,
    RunGone,
    RunPhase,
    RunReturned,
    RunTask,
)
from shoal_protocol.specs import RunId, TaskSpec
from tests.builders import NOON

SETTING = Setting("/node", "machine", "C.UTF-8", lambda: "boot")
NOW = Clock(NOON, 1.0)
RUN = RunId(7, 1)
UP = SpawnerUp("life", Snapshot(1, 1, {}))


@pytest.mark.parametrize(
    ("order", "answer"), [(RecallTask(RUN), RunReturned(RUN)), (KillTask(RUN), RunGone(RUN))]
)
def test_a_run_without_a_result_is_held_until_its_end_is_acknowledged(
    order: RecallTask | KillTask, answer: RunReturned | RunGone
) -> None:
    core = AgentCore(SETTING, [], NOW)
    done = core.handle([UP, RunTask(RUN, TaskSpec("j", "t", "true")), order], NOW)
    journal = [found.record for found in done if isinstance(found, Append)]
    over = (HeldRun(RUN, RunPhase.ENDED, 0),)
    assert core.held_runs == over
    assert AgentCore(SETTING, journal, NOW).held_runs == over
    core.handle([Delivered(answer)], NOW)
    assert core.held_runs == ()
