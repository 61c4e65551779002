"""Roles, and what a token's claims grant."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_controller.core.access import Grant, Role
from shoal_controller.core.claims import LEEWAY_S, Rule, granted, what_is_wrong
from shoal_controller.core.errors import Refused
from tests.builders import NOON, SECOND

NOW_S = NOON.timestamp()
HERE = ("https://here/",)
READS = Rule(("groups",), "staff", Role.READER, account="lab")
WRITES = Rule(("realm", "roles"), "batch", Role.CONTRIBUTOR, account="lab")
OWN = Rule(("admin",), "yes", Role.OWNER, account_claim=("tenant",))


def a_token(**changes: Any) -> dict[str, Any]:
    return {"aud": "https://here/", "exp": NOW_S + 100} | changes


@pytest.mark.parametrize("held", Role)
@pytest.mark.parametrize("needed", Role)
def test_a_role_may_do_what_those_before_it_may(held: Role, needed: Role) -> None:
    order = [Role.READER, Role.CONTRIBUTOR, Role.OWNER]
    if order.index(held) >= order.index(needed):
        Grant(held).check(needed, None)
    else:
        with pytest.raises(Refused, match=f"is {held} of the account; this needs {needed}"):
            Grant(held).check(needed, None)


def test_who_is_confined_to_a_job_reaches_it_alone() -> None:
    grant = Grant(Role.CONTRIBUTOR, "Job-1")
    grant.check(Role.CONTRIBUTOR, "JOB-1")
    for other in ("job-2", None, ""):
        with pytest.raises(Refused, match="InsufficientAccountPermissions"):
            grant.check(Role.READER, other)


# --- claims ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claims",
    [
        a_token(),
        a_token(aud=["other", "https://here/"]),
        a_token(exp=NOW_S - LEEWAY_S + 1),
        a_token(nbf=NOW_S + LEEWAY_S - 1),
        a_token(exp=10**400),
    ],
)
def test_a_token_for_here_and_now_is_good(claims: dict[str, Any]) -> None:
    assert what_is_wrong(claims, HERE, NOON) is None


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        (a_token(aud="https://there/"), "audience"),
        (a_token(aud=["https://there/", 1, None]), "audience"),
        (a_token(aud=[]), "audience"),
        (a_token(aud=None), "audience"),
        (a_token(aud={"https://here/": 1}), "audience"),
        ({"aud": "https://here/"}, "until when"),
        (a_token(exp=str(NOW_S + 100)), "until when"),
        (a_token(exp=True), "until when"),
        (a_token(nbf="now"), "until when"),
        (a_token(exp=NOW_S - LEEWAY_S), "expired"),
        (a_token(exp=float("nan")), "expired"),
        (a_token(nbf=NOW_S + LEEWAY_S), "not good yet"),
        (a_token(nbf=float("nan")), "not good yet"),
    ],
)
def test_a_token_for_elsewhere_or_another_time_is_not(claims: dict[str, Any], told: str) -> None:
    wrong = what_is_wrong(claims, HERE, NOON)
    assert wrong is not None
    assert told in wrong


def test_a_token_that_was_good_is_not_for_ever() -> None:
    assert what_is_wrong(a_token(), HERE, NOON + 50 * SECOND) is None
    assert what_is_wrong(a_token(), HERE, NOON + timedelta(seconds=100 + LEEWAY_S)) is not None


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, {}),
        ({"groups": "staff"}, {"lab": Role.READER}),
        ({"groups": ["a", "staff"]}, {"lab": Role.READER}),
        ({"groups": ["Staff"]}, {}),
        ({"groups": {"staff": 1}}, {}),
        ({"groups": [["staff"]]}, {}),
        ({"realm": {"roles": ["batch"]}}, {"lab": Role.CONTRIBUTOR}),
        ({"realm": {"roles": ["batch"]}, "groups": "staff"}, {"lab": Role.CONTRIBUTOR}),
        ({"realm": ["roles"]}, {}),
        ({"realm": "batch"}, {}),
        ({"admin": "yes", "tenant": "one"}, {"one": Role.OWNER}),
        ({"admin": "yes", "tenant": ["one", 2, "two"]}, {"one": Role.OWNER, "two": Role.OWNER}),
        ({"admin": "yes"}, {}),
        ({"tenant": "one"}, {}),
    ],
)
def test_rules_grant_the_highest_role_of_each_account(
    claims: dict[str, Any], expected: dict[str, Role]
) -> None:
    assert granted(claims, (READS, WRITES, OWN)) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
NAMES = st.sampled_from(["aud", "exp", "nbf", "groups", "realm", "admin", "tenant"])


@given(st.dictionaries(NAMES, JSON))
def test_whatever_claims_hold_they_are_only_judged(claims: dict[str, Any]) -> None:
    what_is_wrong(claims, HERE, NOON)
    assert set(granted(claims, (READS,)).values()) <= {Role.READER}
