"""Every row of the table of operations, and what it answers; whom it lets in: test_access.py."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from shoal_controller.api.call import http_date
from shoal_controller.api.offers import OFFERS, Kind, offer
from shoal_controller.api.routes import ROUTES
from shoal_controller.api.routing import Route, Router
from shoal_controller.core.errors import Refused
from shoal_controller.loops.jobs import work_off
from shoal_protocol.messages import FileEntry, FileReply, LogsReply
from tests.conformance.conftest import (
    VERSIONS,
    Caller,
    House,
    certificate_body,
    certificate_name,
    certificate_path,
    job_body,
    pool_body,
    task_body,
    with_application,
    with_node,
    with_run,
)


class Case(NamedTuple):
    """A request that is right in a seeded house, and what its answer has.

    headers  E: ETag and Last-Modified, M: Last-Modified alone, D: DataServiceId, L: Location
    code     of the refusal that Shoal promises for it; empty where it is carried out
    version  the newest api-version that has the row
    """

    status: int
    headers: str = ""
    body: Any = None
    steps: tuple[tuple[str, str, Any], ...] = ()
    code: str = ""
    version: str = VERSIONS[0]


CERTIFICATES_END = "2024-07-01.20.0"
_HAS_CERTIFICATE = (("POST", "/certificates", certificate_body()),)
_SCHEDULE = {
    "schedule": {"recurrenceInterval": "P1D"},
    "jobSpecification": {"poolInfo": {"poolId": "p1"}},
}
CASES: Mapping[str, Case] = {
    "list_applications": Case(200),
    "get_application": Case(200),
    "list_pools": Case(200),
    "create_pool": Case(201, "EDL", pool_body("p2")),
    "delete_pool": Case(202),
    "get_pool": Case(200, "E"),
    "pool_exists": Case(200, "E"),
    "update_pool": Case(200, "ED", {"metadata": []}),
    "remove_nodes": Case(202, "ED", {"nodeList": ["{nodeId}"]}),
    "resize_pool": Case(202, "ED", {"targetDedicatedNodes": 2}),
    "stop_pool_resize": Case(
        202, "ED", None, (("POST", "/pools/p1/resize", {"targetDedicatedNodes": 9}),)
    ),
    "replace_pool_properties": Case(
        204, "ED", {"applicationPackageReferences": [], "metadata": []}
    ),
    "list_pool_node_counts": Case(200),
    "list_supported_images": Case(200),
    "list_jobs": Case(200),
    "create_job": Case(201, "EDL", job_body("j2")),
    "delete_job": Case(202),
    "get_job": Case(200, "E"),
    "update_job": Case(200, "ED", {"priority": 1}),
    "replace_job": Case(200, "ED", {"poolInfo": {"poolId": "p1"}}),
    "disable_job": Case(202, "ED", {"disableTasks": "requeue"}),
    "get_job_task_counts": Case(200),
    "terminate_job": Case(202, "ED"),
    "create_task_collection": Case(200, "", {"value": [task_body("t9")]}),
    "list_tasks": Case(200),
    "create_task": Case(201, "EDL", task_body("t9")),
    "delete_task": Case(200),
    "get_task": Case(200, "E"),
    "replace_task": Case(200, "ED", {"constraints": {"maxTaskRetryCount": 1}}),
    "reactivate_task": Case(204, "E", None, (("POST", "/jobs/j1/tasks/t2/terminate", None),)),
    "list_subtasks": Case(200),
    "terminate_task": Case(204, "ED"),
    "list_nodes": Case(200),
    "get_node": Case(200),
    "disable_node_scheduling": Case(200, "D"),
    "enable_node_scheduling": Case(
        200, "D", None, (("POST", "/pools/p1/nodes/{nodeId}/disablescheduling", None),)
    ),
    "reboot_node": Case(202, "D"),
    "reimage_node": Case(202, "D"),
    "deallocate_node": Case(202, "D"),
    "list_task_files": Case(200),
    "delete_task_file": Case(200),
    "download_task_file": Case(200, "M"),
    "get_task_file_properties": Case(200, "M"),
    "list_node_files": Case(200),
    "delete_node_file": Case(200),
    "download_node_file": Case(200, "M"),
    "get_node_file_properties": Case(200, "M"),
    "disable_pool_auto_scale": Case(200, "ED"),
    "enable_pool_auto_scale": Case(200, "ED", {"autoScaleFormula": "$TargetDedicatedNodes=1"}),
    "evaluate_pool_auto_scale": Case(
        501,
        body={"autoScaleFormula": "$TargetDedicatedNodes=1"},
        steps=(
            ("POST", "/pools/p1/enableautoscale", {"autoScaleFormula": "$TargetDedicatedNodes=1"}),
        ),
        code="NotImplemented",
    ),
    "list_jobs_from_schedule": Case(200),
    "list_job_schedules": Case(200),
    "create_job_schedule": Case(201, "EDL", _SCHEDULE | {"id": "s2"}),
    "delete_job_schedule": Case(202),
    "get_job_schedule": Case(200, "E"),
    "job_schedule_exists": Case(200, "E"),
    "update_job_schedule": Case(200, "ED", {"metadata": []}),
    "replace_job_schedule": Case(200, "ED", _SCHEDULE),
    "disable_job_schedule": Case(204, "ED"),
    "enable_job_schedule": Case(204, "ED", steps=(("POST", "/jobschedules/s1/disable", None),)),
    "terminate_job_schedule": Case(202, "ED"),
    "list_pool_usage_metrics": Case(200),
    "get_pool_lifetime_statistics": Case(200, version="2022-10-01.16.0"),
    "get_job_lifetime_statistics": Case(200, version="2022-10-01.16.0"),
    "upgrade_pool_os": Case(
        400,
        body={"targetOSVersion": "*"},
        code="PoolNotEligibleForOSVersionUpgrade",
        version="2018-08-01.7.0",
    ),
    "list_node_agent_skus": Case(200, version="2018-12-01.8.0"),
    "list_job_preparation_and_release_task_status": Case(
        409, code="JobPreparationTaskOrReleaseTaskNotSpecified"
    ),
    "upload_node_logs": Case(
        200, body={"containerUrl": "https://store/c?sig=x", "startTime": "2026-05-01"}
    ),
    "get_remote_desktop": Case(409, code="OperationNotValidOnNode", version="2024-02-01.19.0"),
    "get_node_remote_login_settings": Case(409, code="OperationNotValidOnNode"),
    "create_node_user": Case(
        409,
        body={"name": "someone", "password": "secret", "expiryTime": "2026-06-01"},
        code="OperationNotValidOnNode",
    ),
    "delete_node_user": Case(409, code="OperationNotValidOnNode"),
    "replace_node_user": Case(409, body={"password": "secret"}, code="OperationNotValidOnNode"),
    "list_node_extensions": Case(200),
    "get_node_extension": Case(404, code="ResourceNotFound"),
    "list_certificates": Case(200, version=CERTIFICATES_END),
    "create_certificate": Case(201, "DL", certificate_body(), version=CERTIFICATES_END),
    "delete_certificate": Case(202, steps=_HAS_CERTIFICATE, version=CERTIFICATES_END),
    "get_certificate": Case(200, steps=_HAS_CERTIFICATE, version=CERTIFICATES_END),
    "cancel_certificate_deletion": Case(
        204,
        "D",
        steps=(
            *_HAS_CERTIFICATE,
            ("POST", "/pools", pool_body("p3", certificateReferences=[certificate_name()])),
            ("DELETE", "/certificates({thumbprint})", None),
        ),
        version=CERTIFICATES_END,
    ),
}
"""By name of the row; TWO_STEPS have tests of their own, as a loop makes them possible."""
TWO_STEPS = {"enable_job", "start_node"}
WITH_BODY = ("create_task_collection", "upload_node_logs")
"""The rows that answer with a body and are no GET."""


async def _seed(house: House, caller: Caller) -> dict[str, str]:
    """Make a pool with a node, a job and two tasks, one of which ran; return the arguments."""
    await caller.make("/pools", pool_body("p1", targetDedicatedNodes=1))
    await caller.make("/jobs", job_body("j1"))
    await caller.make("/jobs/j1/tasks", task_body("t1"))
    await caller.make("/jobs/j1/tasks", task_body("t2"))
    await caller.make("/jobschedules", _SCHEDULE | {"id": "s1"})
    await with_run(house)
    await with_application(house)
    node_id = await with_node(house)
    entry = FileEntry("stdout.txt", False, 5, house.clock.now(), 0o100644)
    house.links.replies = [FileReply(0, entries=(entry,)), FileReply(0, data=b"hello")]
    return {
        "applicationId": "a1",
        "poolId": "p1",
        "nodeId": node_id,
        "jobId": "j1",
        "taskId": "t2",
        "filePath": "stdout.txt",
        "jobScheduleId": "s1",
        "thumbprint": certificate_path(),
    }


def _fill(path: str, arguments: Mapping[str, str]) -> str:
    filled = dict.fromkeys(
        ("applicationId", "jobScheduleId", "userName", "extensionName", "thumbprint"), "x"
    )
    return path.format_map(filled | dict(arguments))


async def _dump(house: House) -> list[tuple[Any, ...]]:
    rows = []
    for table in ("pools", "nodes", "jobs", "tasks", "job_schedules", "certificates"):
        rows += await house.ctx.store.read(f"SELECT * FROM {table} ORDER BY serial")
    return [tuple(row) for row in rows]


def test_the_table_has_all_82_operations_once() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == 82
    assert len({route.name for route in ROUTES}) == 82


def test_every_row_with_a_handler_has_a_case() -> None:
    built = {route.name for route in ROUTES if route.handler is not None}
    assert built == set(CASES) | TWO_STEPS


def test_a_row_that_is_refused_has_a_case_that_says_how_and_no_other_has() -> None:
    refused = {route.name for route in ROUTES if offer(route).kind is Kind.REFUSED}
    assert refused == {name for name, case in CASES.items() if case.code}


def test_an_offer_is_that_of_a_row_with_a_handler() -> None:
    assert OFFERS.keys() <= {route.name for route in ROUTES if route.handler is not None}
    for name, found in OFFERS.items():
        assert found.kind is Kind.DONE or found.note, name


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_the_router_finds_every_row_and_its_arguments(route: Route) -> None:
    names = [part.split("}")[0] for part in route.path.split("{")[1:]]
    path = route.path.format_map({name: f"a%2F{name}" for name in names})
    assert Router(ROUTES).find(route.method, path) == (route, {name: f"a/{name}" for name in names})


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/", "InvalidUri"),
        ("GET", "/nowhere", "ResourceNotFound"),
        ("GET", "/pools/a/b/c", "ResourceNotFound"),
        ("GET", "/pools//nodes", "InvalidUri"),
        ("GET", "/pools/%ff%fe", "InvalidUri"),
        ("PUT", "/pools/a", "UnsupportedHttpVerb"),
        ("BREW", "/jobs", "UnsupportedHttpVerb"),
    ],
)
def test_the_router_refuses_what_is_not_in_the_table(method: str, path: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        Router(ROUTES).find(method, path)
    assert refused.value.code == code


@pytest.mark.parametrize("name", CASES)
async def test_a_row_answers_with_its_status_and_headers(
    name: str, house: House, caller: Caller
) -> None:
    (route,) = (route for route in ROUTES if route.name == name)
    case = CASES[name]
    arguments = await _seed(house, caller)
    caller.version = case.version
    if name.endswith("_task_file") or name.startswith(("list_task_f", "get_task_f")):
        arguments["taskId"] = "t1"
    if name == "upload_node_logs":
        house.links.replies = [LogsReply(0, file_count=1)]
    for method, path, body in case.steps:
        step = await caller.send(method, _fill(path, arguments), body)
        assert step.status < 300, step.body
    body = case.body
    if name == "remove_nodes":
        body = {"nodeList": [arguments["nodeId"]]}
    answer = await caller.send(route.method, _fill(route.path, arguments), body)
    assert answer.status == case.status, answer.body
    if case.code:
        assert answer.code == case.code
        assert answer.values["Reason"]
    found = {
        "E": "ETag" in answer.headers and "Last-Modified" in answer.headers,
        "M": "ETag" not in answer.headers and "Last-Modified" in answer.headers,
        "D": "DataServiceId" in answer.headers,
        "L": "Location" in answer.headers,
    }
    assert "".join(key for key in found if found[key]) == "".join(
        sorted(case.headers, key="EMDL".index)
    )
    assert answer.headers["DataServiceVersion"] == "3.0"
    assert len(answer.headers["request-id"]) == 36
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    if route.method != "GET" and name not in WITH_BODY and not case.code:
        assert answer.body == b""


async def test_a_job_that_is_disabled_is_enabled_with_202(house: House, caller: Caller) -> None:
    await caller.make("/jobs", job_body())
    await caller.post("/jobs/j1/disable", {"disableTasks": "wait"})
    refused = await caller.post("/jobs/j1/enable")
    assert (refused.status, refused.code) == (409, "OperationInvalidForCurrentState")
    await work_off(house.ctx)
    answer = await caller.post("/jobs/j1/enable")
    assert answer.status == 202
    assert answer.headers["DataServiceId"] == f"{caller.base}/jobs/j1/enable"


async def test_a_row_that_is_not_built_is_refused_only_after_authentication(
    caller: Caller,
) -> None:
    for route in ROUTES:
        if route.handler is not None:
            continue
        for caller.version in VERSIONS:
            answer = await caller.send(
                route.method, _fill(route.path, {"poolId": "a", "nodeId": "b", "jobId": "c"})
            )
            assert answer.status == (501 if route.is_in(caller.version) else 404), route
            if route.method != "HEAD":
                expected = "NotImplemented" if answer.status == 501 else "ResourceNotFound"
                assert answer.code == expected


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.handler is not None and route.conditional],
    ids=lambda route: route.name,
)
async def test_a_row_that_takes_conditions_acts_only_when_they_are_met(
    route: Route, house: House, caller: Caller
) -> None:
    case = CASES.get(route.name, Case(202, "ED"))
    arguments = await _seed(house, caller)
    caller.version = case.version
    if route.conditional == 2:
        arguments["taskId"] = "t1"
    for method, path, body in case.steps:
        await caller.send(method, _fill(path, arguments), body)
    path, is_read = _fill(route.path, arguments), route.method in ("GET", "HEAD")
    replies = tuple(house.links.replies)
    entity = await caller.send("HEAD" if "{filePath}" in route.path else "GET", _entity(path))
    tag, date = entity.headers.get("ETag", ""), entity.headers["Last-Modified"]
    before = http_date(house.clock.time - timedelta(days=1))
    unmet = [("If-Modified-Since", date, 304), ("If-Unmodified-Since", before, 412)]
    met = [{"If-Unmodified-Since": date}]
    if route.conditional == 4:
        for form in ("{}", '"{}"'):
            unmet += [("If-Match", form.format("0x8D0"), 412)]
            unmet += [("If-None-Match", form.format(tag), 304)]
            met += [{"If-Match": form.format(tag)}, {"If-None-Match": form.format("0x8D0")}]
        unmet += [("If-None-Match", "*", 304)]
        met += [{"If-Match": "*", "If-Unmodified-Since": before}]
    rows = await _dump(house)
    body = {"nodeList": [arguments["nodeId"]]} if route.name == "remove_nodes" else case.body
    for header, value, read_status in unmet:
        house.links.replies = list(replies)
        answer = await caller.send(route.method, path, body, headers={header: value})
        assert answer.status == (read_status if is_read else 412), (header, value)
        if read_status == 304 and is_read:
            assert answer.body == b""
    assert await _dump(house) == rows
    if route.name in CASES:
        for headers in met if is_read else met[-1:]:
            house.links.replies = list(replies)
            answer = await caller.send(route.method, path, body, headers=headers)
            assert answer.status == case.status, (headers, answer.body)


def _entity(path: str) -> str:
    """Return the path of what an action acts on: names and ids in turn, up to the last id."""
    segments = path.split("/")
    return "/".join(segments[: (len(segments) - 1) // 2 * 2 + 1])
