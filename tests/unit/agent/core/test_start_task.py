"""A start task that waits for its retry while the agent is started anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shoal_agent.core.agent import AgentCore, Setting
from shoal_agent.core.environment import Account, account_key
from shoal_agent.core.instructions import (
    Append,
    BeginStep,
    Clock,
    Enqueue,
    Event,
    Instruction,
    Prepared,
    SpawnerUp,
    StepEnded,
    Tick,
    UsersReady,
)
from shoal_agent.core.node import START_STEP, USERS_KEY
from shoal_agent.core.records import Record
from shoal_agent.core.spawning import Exited, Snapshot
from shoal_protocol.messages import PROTOCOL_VERSION, Welcome
from shoal_protocol.specs import NodeConfig, StartTaskSpec, UserIdentity
from tests.builders import NOON

SETTING = Setting("/node", "machine", "C.UTF-8", lambda: "boot")
NOW = Clock(NOON, 100.0)
UP = SpawnerUp("life", Snapshot(1, 1, {}))
CONFIG = NodeConfig(
    "a", "https://a/", "p", "n", start_task=StartTaskSpec("false", retry_count_max=9)
)
WELCOME = Welcome(PROTOCOL_VERSION, "controller", "", 0, CONFIG)
ACCOUNT = Account("u")
USERS = StepEnded(USERS_KEY, UsersReady({account_key(UserIdentity()): ACCOUNT}))


def a_failure(number: int) -> list[Event]:
    exited = Exited(f"start.{number}", 1, 0.0, 1.0, 1.0, False, False, 0.0, 0.0, 0)
    return [StepEnded(START_STEP, Prepared(ACCOUNT)), exited]


def written(instructions: Sequence[Instruction]) -> list[Record]:
    return [found.record for found in instructions if isinstance(found, Append)]


def test_a_retry_that_is_due_waits_for_accounts_without_asking_for_time() -> None:
    """Else the agent would tick without end for as long as the controller is away."""
    first = AgentCore(SETTING, [], NOW)
    journal: list[Record] = []
    for happened in ([UP, WELCOME, USERS], a_failure(1), [Tick()], a_failure(2)):
        journal += written(first.handle(happened, NOW))
    assert first.node.next_due_s is not None

    later = replace(NOW, s=200.0)
    second = AgentCore(SETTING, journal, later)
    second.handle([UP], later)
    second.handle([Tick()], later)
    assert second.node.next_due_s is None

    second.handle([WELCOME], later)
    second.handle([USERS], later)
    due_s = second.node.next_due_s
    assert due_s is not None
    assert due_s <= later.s
    begun = second.handle([Tick()], later)
    assert [found.key for found in begun if isinstance(found, BeginStep)] == [START_STEP]
    begun = second.handle([StepEnded(START_STEP, Prepared(ACCOUNT))], later)
    assert [found.key for found in begun if isinstance(found, Enqueue)] == ["start.3"]
