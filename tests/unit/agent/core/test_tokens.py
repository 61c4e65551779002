"""A task's token: in the environment of its process, and nowhere that people read."""

from __future__ import annotations

import pytest

from shoal_agent.core.environment import Account
from shoal_agent.core.launches import Launches
from shoal_agent.core.outbox import Outbox
from shoal_agent.core.paths import NodePaths
from shoal_protocol.specs import NodeConfig, TaskSpec, UserIdentity

NAME = "AZ_BATCH_AUTHENTICATION_TOKEN"
TOKEN = "shoal-task.acc.1.1.secret"
ME = Account("me")


@pytest.fixture
def launches() -> Launches:
    made = Launches(NodePaths("/n"), "C", 0, Outbox())
    made.configure(NodeConfig("acc", "https://acc/", "p", "n"), {"pool:nonadmin": ME})
    return made


def spec(*environment: tuple[str, str], token: str = TOKEN) -> TaskSpec:
    return TaskSpec("j", "t", "echo $A", environment=environment, token=token)


def test_a_process_finds_the_token_in_its_environment_alone(launches: Launches) -> None:
    launch = launches.task(spec(), ME, ())
    assert launch.env is not None
    assert launch.env[NAME] == TOKEN
    assert TOKEN not in " ".join(launch.argv)
    assert TOKEN not in repr(launch)
    assert TOKEN not in repr(spec())


def test_the_services_token_wins_over_a_setting_of_that_name(launches: Launches) -> None:
    launch = launches.task(spec((NAME, "mine"), ("COPY", f"${NAME}")), ME, ())
    assert launch.env is not None
    assert (launch.env[NAME], launch.env["COPY"]) == (TOKEN, TOKEN)


def test_without_a_token_there_is_no_variable(launches: Launches) -> None:
    launch = launches.task(spec(token=""), ME, ())
    assert launch.env is not None
    assert NAME not in launch.env


def test_a_pattern_of_output_files_never_names_the_token(launches: Launches) -> None:
    launches.account(UserIdentity())
    assert NAME not in launches.variables(spec(), ME)
