"""Which value of a variable wins, and what references in values become."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_agent.core.environment import (
    VALUE_BYTES_MAX,
    EnvironmentRefused,
    expand_references,
    identity_name,
    with_settings,
)
from shoal_protocol.specs import AutoUserScope, ElevationLevel, UserIdentity

NODE = {"PATH": "/bin", "AZ_BATCH_POOL_ID": "p", "AZ_BATCH_NODE_SHARED_DIR": "/s"}
TASK = {"AZ_BATCH_TASK_ID": "t", "HOME": "/wd"}


def settings(*pairs: tuple[str, str]) -> dict[str, str]:
    return with_settings(pairs, NODE, TASK)


def test_the_tasks_own_setting_overrides_the_jobs_and_the_service_overrides_both() -> None:
    seen = settings(("A", "job"), ("A", "task"), ("AZ_BATCH_TASK_ID", "x"), ("HOME", "/h"))
    assert seen == {"A": "task", "AZ_BATCH_TASK_ID": "t", "HOME": "/h"}
    assert "AZ_BATCH_POOL_ID" not in settings(("AZ_BATCH_POOL_ID", "x"))


def test_references_see_all_layers_and_undefined_ones_stay() -> None:
    seen = settings(("D", "$AZ_BATCH_NODE_SHARED_DIR/${E}x$NO $"), ("E", "e$AZ_BATCH_TASK_ID"))
    assert seen["D"] == "/s/etx$NO $"


def test_a_reference_to_itself_is_the_value_it_would_otherwise_have() -> None:
    assert settings(("PATH", "/mine:$PATH"))["PATH"] == "/mine:/bin"
    assert settings(("A", "1"), ("A", "$A 2"))["A"] == "1 2"
    assert settings(("A", "$A"))["A"] == "$A"


@pytest.mark.parametrize(
    "pairs",
    [
        (("A", "$B"), ("B", "$A")),
        (("A", "$B"), ("B", "$C"), ("C", "x${A}")),
        (("", "x"),),
        (("A=B", "x"),),
        (("A", "\0"),),
        tuple((f"A{n}", f"$A{n - 1}") for n in range(1, 200)),
    ],
)
def test_loops_and_names_that_are_none_are_refused(pairs: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(EnvironmentRefused):
        settings(*reversed(pairs))


def test_values_that_double_again_and_again_are_refused() -> None:
    pairs = [("A0", "x" * 1000)] + [(f"A{n}", f"$A{n - 1}$A{n - 1}") for n in range(1, 60)]
    with pytest.raises(EnvironmentRefused):
        settings(*pairs)


@given(st.lists(st.tuples(st.sampled_from("ABCD"), st.text("AB$x{} ", max_size=8)), max_size=6))
def test_any_settings_are_an_environment_or_refused(pairs: list[tuple[str, str]]) -> None:
    try:
        seen = settings(*pairs)
    except EnvironmentRefused:
        return
    assert seen.keys() == {name for name, _ in pairs} | TASK.keys()
    assert all(len(value) <= VALUE_BYTES_MAX for value in seen.values())


def test_what_is_not_a_name_is_not_expanded() -> None:
    assert expand_references("$1 $$A ${A ${}", {"A": "a"}) == "$1 $a ${A ${}"


def test_identities_have_their_published_names() -> None:
    assert identity_name(UserIdentity()) == "PoolNonAdmin"
    admin = UserIdentity(scope=AutoUserScope.TASK, elevation=ElevationLevel.ADMIN)
    assert identity_name(admin) == "TaskAdmin"
    assert identity_name(UserIdentity(user_name="alice")) == "alice"
