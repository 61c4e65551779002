"""Every operation, every role, every kind of credential: who is let in, who changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientSession

from shoal_controller.api.issuers import Issuer, Issuers
from shoal_controller.api.ownroutes import OWN_ROUTES
from shoal_controller.api.routes import ROUTES
from shoal_controller.api.routing import Route
from shoal_controller.api.versions import VERSIONS
from shoal_controller.core import tasktoken
from shoal_controller.core.access import Role
from shoal_controller.core.claims import Rule
from shoal_controller.core.task import Ended, Placed, advance
from shoal_controller.operations import runs
from shoal_controller.store import tasks
from shoal_controller.store.database import Tx
from shoal_protocol.specs import ExitInfo, RunId
from tests.conformance.conftest import (
    ACCOUNT,
    SECOND_KEY,
    Answer,
    Caller,
    House,
    job_body,
    served,
    task_body,
)
from tests.conformance.test_routes import CASES, _dump, _fill, _seed
from tests.identity import AUDIENCE, ISSUER, Provider, signed_by_public_key, unsigned

ROWS: Final = (*ROUTES, *OWN_ROUTES)
OWNERS_ONLY: Final = {"list_account_keys", "regenerate_account_key"}
RANK: Final = {"reader": 0, "contributor": 1, "owner": 2}
RULES: Final = (
    *(Rule(("role",), role, Role(role), account=ACCOUNT) for role in RANK),
    Rule(("role",), "elsewhere", Role.OWNER, account="elsewhere"),
)
UNSIGNED: Final[dict[str, Any]] = {"is_signed": False}
BODIES: Final[dict[str, Any]] = {
    "enable_job": {},
    "regenerate_account_key": {"keyName": "secondary"},
}

Credential = dict[str, Any]
"""What is given to Caller.send beside method, path and body."""


@dataclass
class Site:
    """A seeded service that trusts a provider, with all kinds of credentials for it."""

    house: House
    caller: Caller
    arguments: dict[str, str]
    good: dict[str, tuple[str, Credential]] = field(default_factory=dict)
    bad: dict[str, tuple[int, str, Credential]] = field(default_factory=dict)

    async def ask(self, route: Route, how: Credential) -> Answer:
        case = CASES.get(route.name)
        body = BODIES.get(route.name) if case is None else case.body
        how = dict(how)
        caller = how.pop("caller", self.caller)
        caller.version = next((name for name in VERSIONS if route.is_in(name)), "2025-06-01")
        return await caller.send(route.method, _fill(route.path, self.arguments), body, **how)

    async def state(self) -> Any:
        """Return all that a request could change."""
        account = self.house.ctx.account
        links = self.house.links
        return await _dump(self.house), account, list(links.sent), list(links.requests)


@pytest.fixture
async def site(house: House, tmp_path: Path) -> AsyncIterator[Site]:
    provider = Provider(tmp_path / "keys.json", house.clock.time.timestamp())
    issuer = Issuer(ISSUER, (AUDIENCE,), provider.file, frozenset({"RS256"}), RULES)
    async with (
        served(house, issuers=Issuers([issuer], house.clock)) as base,
        ClientSession(auto_decompress=False) as session,
    ):
        caller = Caller(base, session, house.clock)
        arguments = await _seed(house, caller)
        await caller.make("/jobs", job_body("other"))
        site = Site(house, caller, arguments)
        token_own, token_other = await _running(site, "j1"), await _running(site, "other")
        token_over = await _running(site, "j1", is_over=True)
        site.good = _good(site, provider, token_own, token_other)
        site.bad = _bad(site, provider, token_own, token_over)
        yield site


async def _running(site: Site, job_id: str, *, is_over: bool = False) -> str:
    """Add a task to a job, let it run on the node, and return the token of its run."""
    ctx, name = site.house.ctx, f"token-{job_id}-{is_over}"
    await site.caller.make(f"/jobs/{job_id}/tasks", task_body(name))
    rows = await ctx.store.read("SELECT serial FROM tasks WHERE id = ?", (name,))
    now = site.house.clock.now()

    def decide(tx: Tx) -> RunId:
        task = tasks.by_serial(tx, rows[0]["serial"])
        assert task is not None
        after = advance(task, Placed(site.arguments["nodeId"], "p1"), now)
        tasks.update(tx, after)
        tx.changes.append(runs.moved(ctx, task, after))
        if is_over:
            ended = advance(after, Ended(ExitInfo(now, now, 0), 0), now)
            tasks.update(tx, ended)
            tx.changes.append(runs.moved(ctx, after, ended))
        return after.run

    return tasktoken.mint(ctx.account, await ctx.settle(decide))


def _bearer(token: str) -> Credential:
    return UNSIGNED | {"headers": {"Authorization": f"Bearer {token}"}}


def _good(
    site: Site, provider: Provider, token_own: str, token_other: str
) -> dict[str, tuple[str, Credential]]:
    """Return the role, or the job, that each credential stands for."""
    second = replace(site.caller, key=SECOND_KEY)
    return {
        # First: what others may do ends its job, and it with it.
        "token of a task of j1": ("j1", _bearer(token_own)),
        "primary key": ("owner", {}),
        "secondary key": ("owner", {"caller": second}),
        **{f"{role}'s token": (role, _bearer(provider.token(role=role))) for role in RANK},
        "token of a task of another job": ("other", _bearer(token_other)),
    }


def _bad(
    site: Site, provider: Provider, token_own: str, token_over: str
) -> dict[str, tuple[int, str, Credential]]:
    """Return the refusal that each credential meets, whatever it is used for."""
    now, minutes = site.house.clock.time, timedelta(minutes=16)
    owner = provider.token(role="owner")
    failed = {
        "wrong signature": {"caller": replace(site.caller, key=b"guessed")},
        "unknown account": {"caller": replace(site.caller, account="someoneelse")},
        "old date": {"date": now - minutes},
        "early date": {"date": now + minutes},
        "expired": _bearer(provider.token(role="owner", exp=int(provider.now_s) - 61)),
        "not good yet": _bearer(provider.token(role="owner", nbf=int(provider.now_s) + 3600)),
        "for another audience": _bearer(provider.token(role="owner", aud="https://elsewhere/")),
        "of a foreign issuer": _bearer(provider.token(role="owner", iss="https://elsewhere/")),
        "by a foreign key": _bearer(
            provider.token(role="owner", key_id="rsa-2", headers={"kid": "rsa-1"})
        ),
        "by an unknown key": _bearer(provider.token(role="owner", key_id="rsa-2")),
        "by no key": _bearer(unsigned(owner, kid="rsa-1")),
        "by the public key as a secret": _bearer(signed_by_public_key(owner, "rsa-1")),
        "token of a task that is over": _bearer(token_over),
        "token of a task, changed": _bearer(token_own[:-4] + "AAAA"),
    }
    return {
        "none": (400, "MissingRequiredHeader", UNSIGNED),
        "malformed": (400, "InvalidAuthenticationInfo", _bearer("abc")),
        "of another scheme": (
            400,
            "InvalidAuthenticationInfo",
            UNSIGNED | {"headers": {"Authorization": "Basic YTpi"}},
        ),
        "for another account": (
            403,
            "InsufficientAccountPermissions",
            _bearer(provider.token(role="elsewhere")),
        ),
        **{name: (403, "AuthenticationFailed", how) for name, how in failed.items()},
    }


def _may(route: Route, holder: str) -> bool:
    """Return whether a role, or a task of a job, may do what a row does; said anew for the test."""
    if holder not in RANK:
        return route.path.startswith("/jobs/{jobId}") and holder == "j1"
    if route.name in OWNERS_ONLY:
        return holder == "owner"
    return route.method in ("GET", "HEAD") or RANK[holder] > 0


def _is_refused(route: Route, answer: Answer, status: int, code: str) -> bool:
    if route.method == "HEAD":
        return answer.status == status and answer.body == b""
    return (answer.status, answer.code) == (status, code) and "value" not in answer.json


@pytest.mark.parametrize("route", ROWS, ids=lambda route: route.name)
async def test_a_row_lets_in_whom_it_should_and_nobody_else_has_an_effect(
    route: Route, site: Site
) -> None:
    before = await site.state()
    for name, (status, code, how) in site.bad.items():
        answer = await site.ask(route, how)
        assert _is_refused(route, answer, status, code), (name, answer.status, answer.body)
    too_low = {n: how for n, (holder, how) in site.good.items() if not _may(route, holder)}
    for name, how in too_low.items():
        answer = await site.ask(route, how)
        expected = 403, "InsufficientAccountPermissions"
        assert _is_refused(route, answer, *expected), (name, answer.status, answer.body)
    assert await site.state() == before
    for name in [name for name in site.good if name not in too_low]:
        # What the first of them did may be in the way of the next; it was let in all the same.
        answer = await site.ask(route, site.good[name][1])
        assert answer.status != 403, (name, answer.body)
        if answer.status == 400 and route.method != "HEAD":
            assert answer.code not in ("MissingRequiredHeader", "InvalidAuthenticationInfo"), name
        if route.name == "regenerate_account_key":
            break  # it made the others' keys anew


@pytest.mark.parametrize("holder", [*RANK, "j1"])
def test_every_role_may_do_something_and_only_owners_everything(holder: str) -> None:
    allowed = sum(_may(route, holder) for route in ROWS)
    assert allowed > 0
    assert (allowed == len(ROWS)) == (holder == "owner")


async def test_what_does_not_exist_is_told_only_to_who_is_known(site: Site) -> None:
    nowhere = Route("nowhere", "GET", "/nowhere")
    for name, (status, code, how) in site.bad.items():
        assert _is_refused(nowhere, await site.ask(nowhere, how), status, code), name
    for name, (_, how) in site.good.items():
        assert (await site.ask(nowhere, how)).code == "ResourceNotFound", name
