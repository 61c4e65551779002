"""Lists through the real application: filters of every resource, and pages while things change."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from shoal_controller.api.lists import noun
from shoal_controller.api.options import OPTIONS
from shoal_controller.api.routes import ROUTES
from shoal_controller.api.routing import Route
from shoal_controller.api.wire.selectable import SELECTABLE
from shoal_controller.store import pages
from tests.conformance.conftest import (
    VERSIONS,
    Caller,
    House,
    job_body,
    pool_body,
    task_body,
    with_node,
    with_run,
)


async def _ids(caller: Caller, path: str, where: str) -> list[str]:
    found = await caller.pages(path, f"$filter={quote(where)}&$select=id")
    return [item["id"] for page in found for item in page]


@pytest.fixture
async def tasks(house: House, caller: Caller) -> None:
    """A job of five tasks: t1 ran well, t2 was terminated, t3 was changed, the rest waits."""
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    await caller.make("/jobs", job_body())
    for name in ("t1", "t2", "t3", "T4", "other"):
        await caller.make("/jobs/j1/tasks", task_body(name))
    await with_run(house)
    await caller.post("/jobs/j1/tasks/t2/terminate")
    await caller.send("PUT", "/jobs/j1/tasks/t3", {"constraints": {"maxTaskRetryCount": 1}})


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("id eq 'T1'", ["t1"]),
        ("id ne 'other'", ["T4", "t1", "t2", "t3"]),
        ("id ge 't2' and id lt 't4'", ["t2", "t3"]),
        ("startswith(id,'T')", ["T4", "t1", "t2", "t3"]),
        ("state eq 'Completed'", ["t1", "t2"]),
        ("state ne 'completed'", ["T4", "other", "t3"]),
        ("state eq 'running' or state eq 'preparing'", []),
        ("executionInfo/exitCode eq 0", ["t1"]),
        ("executionInfo/exitCode ne 0", []),
        ("executionInfo/result eq 'failure'", ["t2"]),
        ("not (executionInfo/result eq 'failure')", ["T4", "other", "t1", "t3"]),
        ("lastModified gt {modified} and lastModifiedTime gt {modified}", []),
        ("lastModified ge {modified}", ["t3"]),
        ("creationTime lt {modified}", ["T4", "other", "t1", "t2", "t3"]),
        ("stateTransitionTime gt {created}", ["t1", "t2"]),
        ("executionInfo/startTime le {modified}", ["t1"]),
        ("executionInfo/endTime le {modified} and state eq 'completed'", ["t1", "t2"]),
        ("(id eq 't1' or id eq 'T4') and not startswith(id,'t4')", ["t1"]),
    ],
)
@pytest.mark.usefixtures("tasks")
async def test_tasks_are_found_by_each_property_that_the_documentation_names(
    caller: Caller, where: str, found: list[str]
) -> None:
    changed = (await caller.get("/jobs/j1/tasks/t3")).json
    last = (await caller.get("/jobs/j1/tasks/other")).json
    where = where.format(
        modified=f"DateTime'{changed['lastModified']}'", created=f"datetime'{last['creationTime']}'"
    )
    assert sorted(await _ids(caller, "/jobs/j1/tasks", where)) == found


@pytest.mark.parametrize(
    ("path", "where", "found"),
    [
        ("/pools", "id eq 'P1'", ["p1"]),
        ("/pools", "state eq 'active' and allocationState eq 'resizing'", ["p1", "p2"]),
        ("/pools", "allocationStateTransitionTime gt DateTime'2020-01-01'", ["p1", "p2"]),
        ("/pools", "vmSize eq 'standard_d2_v2'", ["p1", "p2"]),
        ("/pools", "enableInterNodeCommunication eq true", ["p2"]),
        ("/pools", "enableAutoScale eq false", ["p1", "p2"]),
        ("/jobs", "startswith(id,'j')", ["j1", "j2"]),
        ("/jobs", "state eq 'active'", ["j1"]),
        ("/jobs", "state ne 'active'", ["j2"]),
        ("/jobs", "executionInfo/poolId eq 'P2'", ["j2"]),
        ("/jobs", "startswith(executionInfo/poolId,'p') and id gt 'j1'", ["j2"]),
        ("/jobs", "executionInfo/startTime gt DateTime'2020-01-01T00:00Z'", ["j1", "j2"]),
        ("/jobs", "executionInfo/endTime gt DateTime'2020-01-01T00:00Z'", []),
        ("/jobs", "lastModified lt DateTime'2020-01-01T00:00Z' or id eq 'j1'", ["j1"]),
    ],
)
async def test_pools_and_jobs_are_found_by_what_the_documentation_names(
    caller: Caller, path: str, where: str, found: list[str]
) -> None:
    await caller.make("/pools", pool_body("p1"))
    await caller.make("/pools", pool_body("p2", enableInterNodeCommunication=True))
    await caller.make("/jobs", job_body("j1"))
    await caller.make("/jobs", job_body("j2", poolInfo={"poolId": "p2"}))
    await caller.post("/jobs/j2/disable", {"disableTasks": "wait"})
    assert await _ids(caller, path, where) == found


async def test_nodes_are_found_by_the_state_that_is_shown(house: House, caller: Caller) -> None:
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    node_id = await with_node(house)
    for where, is_found in (
        ("state eq 'idle'", True),
        ("state ne 'Idle'", False),
        ("allocationTime gt DateTime'2020-01-01' and not (state eq 'offline')", True),
        ("startTaskInfo/exitCode ne 0 or startTaskInfo/result eq 'failure'", False),
    ):
        assert await _ids(caller, "/pools/p1/nodes", where) == [node_id] * is_found, where


# --- pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["", "state eq 'active'", "startswith(id,'t')"])
async def test_what_stays_is_listed_once_whatever_comes_and_goes_between_pages(
    caller: Caller, where: str
) -> None:
    await caller.make("/jobs", job_body())
    for number in range(12):
        await caller.make("/jobs/j1/tasks", task_body(f"t{number:02}"))
    query = f"maxresults=3&$filter={quote(where)}" if where else "maxresults=3"
    answer = await caller.get("/jobs/j1/tasks", query)
    listed: list[str] = []
    for turn in range(20):
        listed += [task["id"] for task in answer.json["value"]]
        if "odata.nextLink" not in answer.json:
            break
        await caller.send("DELETE", f"/jobs/j1/tasks/t{turn * 2:02}")  # the first ones: listed
        await caller.make("/jobs/j1/tasks", task_body(f"new{turn}"))
        answer = await caller.follow(answer.json["odata.nextLink"])
    old = [name for name in listed if name.startswith("t")]
    assert old == [f"t{number:02}" for number in range(12)]
    assert len(set(listed)) == len(listed)


async def test_a_page_that_found_too_little_is_short_and_the_next_goes_on(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await caller.make("/jobs", job_body())
    for number in range(9):
        await caller.make("/jobs/j1/tasks", task_body(f"t{number}"))
    monkeypatch.setattr(pages, "ROUND_COST_MAX", 50)
    monkeypatch.setattr(pages, "ROUNDS_MAX", 1)
    where = quote("id ne 't1' and id ne 't2' and id ne 't3' and id ne 't4'")
    found = await caller.pages("/jobs/j1/tasks", f"$filter={where}&$select=id")
    assert [] in found
    assert sorted(task["id"] for page in found for task in page) == ["t0", "t5", "t6", "t7", "t8"]


@pytest.mark.parametrize(
    ("headers", "start"),
    [
        ({"Host": "batch.example:8443"}, "http://batch.example:8443/jobs?"),
        ({"Host": "b.example", "X-Forwarded-Proto": "https"}, "https://b.example/jobs?"),
        ({"Host": "b.example", "X-Forwarded-Proto": "gopher"}, "http://b.example/jobs?"),
    ],
)
async def test_the_next_link_has_the_scheme_and_the_host_that_the_client_used(
    caller: Caller, headers: dict[str, str], start: str
) -> None:
    for name in ("a", "b"):
        await caller.make("/jobs", job_body(name))
    answer = await caller.get("/jobs", "maxresults=1&$select=id,url", headers=headers)
    assert answer.json["odata.nextLink"].startswith(start)
    (job,) = answer.json["value"]
    assert job["url"] == f"{start[:-1]}/a"


async def test_a_token_is_good_for_its_filter_alone(caller: Caller) -> None:
    for name in ("a", "b", "c"):
        await caller.make("/jobs", job_body(name))
    where = quote("id ge 'a'")
    answer = await caller.get("/jobs", f"maxresults=1&$filter={where}")
    token = answer.json["odata.nextLink"].partition("$skiptoken=")[2]
    again = await caller.get("/jobs", f"$filter=%20{where}&$skiptoken={token}&$select=id")
    assert [job["id"] for job in again.json["value"]] == ["b", "c"]
    for other in ("", f"$filter={quote('state eq ')}%27active%27&"):
        refused = await caller.get("/jobs", f"{other}$skiptoken={token}")
        assert (refused.status, refused.code) == (400, "InvalidQueryParameterValue")
        assert refused.values["QueryParameterName"] == "$skiptoken"


# --- $select and $expand --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "query", "shown"),
    [
        ("/jobs/j1/tasks", "$select=id,executionInfo/exitCode", [{"id": "t1"}]),
        ("/jobs/j1/tasks/t1", "$select=%20id%20,%20state", {"id": "t1", "state": "active"}),
        (
            "/jobs/j1/tasks/t1",
            "$select=constraints/retentionTime,executionInfo/retryCount",
            {"constraints": {"retentionTime": "P7D"}, "executionInfo": {"retryCount": 0}},
        ),
        ("/jobs", "$select=poolInfo/poolId,stats", [{"poolInfo": {"poolId": "p1"}}]),
        (
            "/jobs",
            "$select=id,stats/numFailedTasks&$expand=stats",
            [{"id": "j1", "stats": {"numFailedTasks": "0"}}],
        ),
        ("/pools/p1", "$select=taskSchedulingPolicy", {"taskSchedulingPolicy": Any}),
    ],
)
async def test_select_keeps_what_it_names(
    caller: Caller, path: str, query: str, shown: object
) -> None:
    await caller.make("/pools", pool_body())
    await caller.make("/jobs", job_body())
    await caller.make("/jobs/j1/tasks", task_body())
    document = (await caller.get(path, query)).json
    if isinstance(shown, list):
        expected = [
            item | {"executionInfo": {}} if "executionInfo" in query else item for item in shown
        ]
        assert document["value"] == expected
    else:
        assert isinstance(shown, dict)
        document.pop("odata.metadata")
        assert document.keys() == shown.keys()
        assert all(value in (document[name], Any) for name, value in shown.items())


@pytest.mark.parametrize(
    ("path", "query", "reason"),
    [
        ("/jobs/j1/tasks", "$select=id,name", "No property is called 'name'"),
        ("/jobs/j1", "$select=executionInfo/pool", "No property of executionInfo is called 'pool'"),
        ("/pools/p1", "$select=size", "No property is called 'size'"),
        ("/pools/p1/nodes", "$select=ip", "No property is called 'ip'"),
        ("/jobs", "$expand=tasks", "Only stats"),
    ],
)
async def test_what_is_not_there_cannot_be_selected_or_expanded(
    caller: Caller, path: str, query: str, reason: str
) -> None:
    await caller.make("/pools", pool_body())
    await caller.make("/jobs", job_body())
    answer = await caller.get(path, query)
    assert (answer.status, answer.code) == (400, "InvalidQueryParameterValue")
    assert answer.values["QueryParameterName"] == query.partition("=")[0]
    assert reason in answer.values["Reason"]


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if any(route.is_in(version) for version in VERSIONS)],
    ids=lambda route: route.name,
)
async def test_a_parameter_that_means_nothing_to_an_operation_is_refused(
    route: Route, caller: Caller
) -> None:
    path = route.path.replace("{", "").replace("}", "")
    caller.version = next(version for version in VERSIONS if route.is_in(version))
    for name in ("maxresults", "$select", "$expand", "$orderby", "recursive", "force"):
        if name in OPTIONS.get(route.name, ()):
            continue
        answer = await caller.send(route.method, path, query=f"{name}=1")
        assert answer.status == 400
        if route.method != "HEAD":
            assert answer.code == "UnsupportedQueryParameter"
            assert answer.values["QueryParameterName"] == name


def test_what_can_be_selected_is_known_and_operations_with_parameters_exist() -> None:
    routes = {route.name: route for route in ROUTES}
    for name, options in OPTIONS.items():
        assert "$select" not in options or noun(routes[name].path) in SELECTABLE


async def test_parameters_that_are_not_the_services_are_let_pass(caller: Caller) -> None:
    assert (await caller.get("/jobs", "trace=1&x-proxy=a")).status == 200
