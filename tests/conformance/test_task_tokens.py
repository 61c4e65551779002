"""The token of a task: who gets one, what it reaches, and when it is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from shoal_controller.core import tasktoken
from shoal_controller.loops.jobs import work_off
from shoal_controller.loops.scheduling import schedule
from shoal_controller.operations import reports
from shoal_protocol.codec import Entry
from shoal_protocol.messages import Hello, NodeReport, RunEnded, RunTask
from shoal_protocol.specs import ErrorCategory, ExitInfo, FailureInfo, RunId
from tests.conformance.conftest import (
    ACCOUNT,
    Caller,
    House,
    job_body,
    pool_body,
    task_body,
    with_node,
)

VERSION = "2024-07-01.20.0"
"""The last one that has the tokens of tasks."""
ASKED = {"authenticationTokenSettings": {"access": ["job"]}}


@dataclass
class Site:
    """A house with one connected node, and callers of both kinds."""

    house: House
    caller: Caller
    node_id: str

    @property
    def node_serial(self) -> int:
        return self.house.ctx.index.node_by_id[self.node_id].serial

    async def runs(self) -> list[RunTask]:
        """Schedule, and return what the node is told to run."""
        self.house.links.sent.clear()
        await schedule(self.house.ctx)
        return [message for _, message in self.house.links.sent if isinstance(message, RunTask)]

    async def token_of(self, job_id: str = "j1", **changes: Any) -> tuple[str, RunId]:
        """Add a task that asks for a token, let it be sent, and return its token and its run."""
        await self.caller.make(f"/jobs/{job_id}/tasks", task_body(**{**ASKED, **changes}))
        (sent,) = await self.runs()
        return sent.spec.token, sent.run

    async def hello(self) -> None:
        told = Hello(1, self.node_id, "boot", self.house.clock.now(), "v", "i", "", 0, "::1", 1)
        await reports.agent_hello(self.house.ctx, self.node_serial, told, ())

    async def ended(self, run: RunId, exit_code: int = 0) -> None:
        """Let the node tell the end of a run."""
        now = self.house.clock.now()
        failure = (
            FailureInfo(ErrorCategory.USER_ERROR, "FailureExitCode", "") if exit_code else None
        )
        entries = [Entry(1, RunEnded(run, ExitInfo(now, now, exit_code, failure)))]
        await reports.agent_entries(self.house.ctx, self.node_serial, entries)

    async def status(self, token: str, method: str = "GET", path: str = "/jobs/j1") -> int:
        return (await self.with_token(token, method, path)).status

    async def with_token(self, token: str, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        return await self.caller.send(method, path, body, headers=headers, is_signed=False)


@pytest.fixture
async def site(house: House, caller: Caller) -> Site:
    caller.version = VERSION
    await caller.make("/pools", pool_body("p1", targetDedicatedNodes=1, taskSlotsPerNode=4))
    await caller.make("/jobs", job_body("j1"))
    await caller.make("/jobs", job_body("j2"))
    site = Site(house, caller, await with_node(house))
    await site.hello()
    entries = [Entry(1, NodeReport("boot", ready=True))]
    await reports.agent_entries(house.ctx, site.node_serial, entries)
    return site


async def test_only_a_task_that_asks_gets_a_token(site: Site) -> None:
    for task_id, more in (("a", {}), ("b", ASKED), ("c", {"authenticationTokenSettings": {}})):
        await site.caller.make("/jobs/j1/tasks", task_body(task_id, **more))
    tokens = {sent.spec.task_id: sent.spec.token for sent in await site.runs()}
    assert [name for name, token in tokens.items() if token] == ["b"]


async def test_a_definition_is_returned_as_it_was_given_and_never_with_the_token(
    site: Site,
) -> None:
    token, _ = await site.token_of(environmentSettings=[{"name": "A", "value": "1"}])
    document = (await site.caller.get("/jobs/j1/tasks/t1")).json
    assert document["authenticationTokenSettings"] == {"access": ["job"]}
    assert document["environmentSettings"] == [{"name": "A", "value": "1"}]
    for path in ("/jobs/j1/tasks/t1", "/jobs/j1/tasks", "/jobs/j1"):
        assert token.encode() not in (await site.caller.get(path)).body
    site.caller.version = "2025-06-01"
    assert "authenticationTokenSettings" not in (await site.caller.get("/jobs/j1/tasks/t1")).json


@pytest.mark.parametrize("access", ["job", ["pool"], [1], {"job": True}])
async def test_other_kinds_of_access_are_refused(site: Site, access: Any) -> None:
    body = task_body(authenticationTokenSettings={"access": access})
    answer = await site.caller.post("/jobs/j1/tasks", body)
    assert (answer.status, answer.code) == (400, "InvalidPropertyValue")
    assert answer.values["PropertyName"] == "access"


async def test_a_token_reaches_its_own_job_and_its_tasks(site: Site) -> None:
    token, _ = await site.token_of()
    assert await site.status(token) == 200
    assert await site.status(token, path="/jobs/J1/tasks/T1") == 200
    added = await site.with_token(token, "POST", "/jobs/j1/tasks", task_body("more"))
    assert added.status == 201
    assert await site.status(token, "DELETE", "/jobs/j1/tasks/more") == 200
    assert await site.status(token, path="/jobs/j1/taskcounts") == 200


@pytest.mark.parametrize(
    "path",
    [
        "/jobs",
        "/jobs/j2",
        "/jobs/nope",
        "/jobs/j2/tasks",
        "/pools",
        "/pools/p1/nodes",
        "/nodecounts",
    ],
)
async def test_a_token_reaches_nothing_else_and_learns_nothing_of_it(site: Site, path: str) -> None:
    token, _ = await site.token_of()
    answer = await site.with_token(token, "GET", path)
    assert (answer.status, answer.code) == (403, "InsufficientAccountPermissions")
    assert "j1" in answer.values["Reason"]


async def test_a_token_is_over_with_its_run(site: Site) -> None:
    token, run = await site.token_of()
    assert await site.status(token) == 200
    await site.ended(run)
    answer = await site.with_token(token, "GET", "/jobs/j1")
    assert (answer.status, answer.code) == (403, "AuthenticationFailed")
    assert "does not run any more" in answer.values["AuthenticationErrorDetail"]


async def test_a_retry_has_a_token_of_its_own(site: Site) -> None:
    first, run = await site.token_of(constraints={"maxTaskRetryCount": 1})
    await site.ended(run, exit_code=1)
    assert await site.status(first) == 403
    (sent,) = await site.runs()
    assert sent.spec.token != first
    assert await site.status(sent.spec.token) == 200
    assert await site.status(first) == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/jobs/j1/tasks/t1"),
        ("POST", "/jobs/j1/tasks/t1/terminate"),
        ("POST", "/jobs/j1/terminate"),
        ("DELETE", "/jobs/j1"),
    ],
)
async def test_a_task_may_end_itself_and_its_token_with_it(
    site: Site, method: str, path: str
) -> None:
    token, _ = await site.token_of()
    assert (await site.with_token(token, method, path)).status < 300
    await work_off(site.house.ctx)
    assert await site.status(token) == 403


async def test_a_new_job_of_the_same_name_is_another_job(site: Site) -> None:
    token, _ = await site.token_of()
    await site.caller.send("DELETE", "/jobs/j1")
    while (await site.caller.get("/jobs/j1")).status == 200:
        await work_off(site.house.ctx)
    await site.caller.make("/jobs", job_body("j1"))
    assert await site.status(token) == 403


async def test_a_node_that_lost_the_order_is_told_the_same_token_again(site: Site) -> None:
    token, run = await site.token_of()
    site.house.links.sent.clear()
    await site.hello()
    ((_, again),) = site.house.links.sent
    assert isinstance(again, RunTask)
    assert (again.run, again.spec.token) == (run, token)


async def test_a_token_cannot_be_changed_or_invented(site: Site) -> None:
    token, run = await site.token_of()
    head, _, mac = token.rpartition(".")
    account = site.house.ctx.account
    assert tasktoken.mint(account, run) == token
    for other in (
        f"{head}.{mac[:-2]}{'AA' if mac[-2:] != 'AA' else 'BB'}",
        token.replace(f".{run.serial}.", f".{run.serial + 1}."),
        token.replace(ACCOUNT, "nobody"),
        f"shoal-task.{ACCOUNT}.{run.serial}.{run.attempt}.{'A' * 43}",
    ):
        answer = await site.with_token(other, "GET", "/jobs/j1")
        assert (answer.status, answer.code) == (403, "AuthenticationFailed"), other
        assert other not in answer.body.decode()


async def test_a_message_that_is_shown_hides_the_token(site: Site) -> None:
    await site.caller.make("/jobs/j1/tasks", task_body(**ASKED))
    (sent,) = await site.runs()
    assert sent.spec.token
    assert sent.spec.token not in repr(sent)
