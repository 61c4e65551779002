"""Query parameters: api-version, pages, filters, and tokens that nobody can invent."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from yarl import URL

from tests.conformance.conftest import Caller, job_body, pool_body, task_body


async def test_a_request_without_api_version_is_refused(caller: Caller) -> None:
    answer = await caller.get("/jobs", "api-version=")
    assert (answer.status, answer.code) == (400, "MissingRequiredQueryParameter")
    assert answer.values == {"QueryParameterName": "api-version"}


async def test_an_unknown_api_version_is_told_the_known_ones(caller: Caller) -> None:
    answer = await caller.get("/jobs", "api-version=2031-01-01")
    assert (answer.status, answer.code) == (400, "UnsupportedRequestVersion")
    assert "2025-06-01" in answer.values["Reason"]
    assert "2024-02-01.19.0" in answer.values["Reason"]


@pytest.mark.parametrize(
    "query", ["timeOut=45", "TIMEOUT=5", "timeout=", "API-VERSION=2025-06-01&api-version=x"]
)
async def test_names_of_parameters_have_no_case(caller: Caller, query: str) -> None:
    assert (await caller.get("/jobs", f"{query}&api-version=2025-06-01")).status == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("timeout=soon", "InvalidQueryParameterValue"),
        ("timeout=-1", "OutOfRangeQueryParameterValue"),
        ("maxresults=0", "OutOfRangeQueryParameterValue"),
        ("maxresults=1001", "OutOfRangeQueryParameterValue"),
        ("maxresults=99999999999999999999", "InvalidQueryParameterValue"),
        ("maxresults=%D9%A3", "InvalidQueryParameterValue"),
        ("maxresults=1.5", "InvalidQueryParameterValue"),
        ("maxresults=x", "InvalidQueryParameterValue"),
        ("$skiptoken=abc", "InvalidQueryParameterValue"),
        ("$skiptoken=" + "A" * 7000, "InvalidQueryParameterValue"),
        ("$skiptoken=%00%ff", "InvalidQueryParameterValue"),
        ("$expand=everything", "InvalidQueryParameterValue"),
        ("$filter=state", "InvalidQueryParameterValue"),
        ("$filter=nothing%20eq%201", "InvalidQueryParameterValue"),
        ("$filter=priority%20gt%201", "InvalidQueryParameterValue"),
        ("$filter=id%20eq%20%27a", "InvalidQueryParameterValue"),
        ("$filter=state%20gt%20%27a%27", "InvalidQueryParameterValue"),
        ("$filter=creationTime%20gt%20%27a%27", "InvalidQueryParameterValue"),
        ("$filter=" + "(" * 3000, "InvalidQueryParameterValue"),
        ("$filter=" + "%20and%20".join(["id%20eq%20%27a%27"] * 200), ""),
        ("$filter=" + "%20or%20".join(["id%20eq%20%27a%27"] * 200), ""),
        ("$filter=id%20eq%20%27a%00b%27", ""),
        ("$filter=id%20gt%20%27%ff%ed%a0%80%27", ""),
        ("$filter=creationTime%20gt%20DateTime%270001-01-01T00:00:00Z%27", ""),
        ("$filter=creationTime%20gt%20DateTime%279999-12-31T23:59:59-10:00%27", "*"),
        ("$select=", ""),
        ("$select=nothing", "InvalidQueryParameterValue"),
        ("$select=executionInfo/exitCode", "InvalidQueryParameterValue"),
        ("$select=executionInfo/poolId,constraints", ""),
        ("$select=id,%20state&$expand=stats", ""),
        ("&&&=&=x&%", ""),
    ],
)
async def test_parameters_of_a_list_are_read_or_refused(
    caller: Caller, query: str, code: str
) -> None:
    await caller.make("/jobs", job_body("j1"))
    answer = await caller.get("/jobs", query)
    if code == "*":
        assert answer.status in (200, 400)
    elif code:
        assert (answer.status, answer.code) == (400, code)
        assert "QueryParameterName" in answer.values
    else:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("/pools", "nothing eq 1", "nothing"),
        ("/pools", "allocationState eq 'bogus'", "allocationState"),
        ("/jobs", "creationTime gt 'yesterday'", "creationTime"),
        ("/jobs", "state eq 'bogus'", "state"),
        ("/jobs/j1/tasks", "executionInfo/exitCode eq '0'", "executionInfo/exitCode"),
        ("/jobs/j1/tasks", " state eq 'bogus'", "state"),
        ("/pools/p1/nodes", "state eq 'busy'", "state"),
        ("/jobs/j1/tasks/t1/files", "size gt 5", "size"),
        ("/supportedimages", "osType eq 'plan9'", "osType"),
        ("/nodecounts", "id eq 'p1'", "id"),
        ("/nodecounts", "poolId eq 'a' or poolId eq 'b'", ""),
        ("/jobs/j1/tasks/t1/files", "not startswith(name,'a')", ""),
    ],
)
async def test_a_refused_filter_is_shown_with_what_is_wrong_and_where(
    caller: Caller, path: str, text: str, name: str
) -> None:
    await caller.make("/pools", pool_body())
    await caller.make("/jobs", job_body())
    await caller.make("/jobs/j1/tasks", task_body())
    answer = await caller.get(path, f"$filter={quote(text)}")
    assert (answer.status, answer.code) == (400, "InvalidQueryParameterValue")
    assert answer.values["QueryParameterName"] == "$filter"
    assert answer.values["QueryParameterValue"] == text
    if name:
        assert answer.values["PropertyName"] == name
        at = text.index(name) + 1
        assert answer.values["Reason"].startswith(f"At position {at}: '{name}' ")


async def test_a_state_of_other_versions_is_no_mistake(caller: Caller) -> None:
    await caller.make("/pools", pool_body())
    for path, state in (("/pools", "upgrading"), ("/pools/p1/nodes", "Preempted")):
        answer = await caller.get(path, f"$filter=state%20eq%20%27{state}%27")
        assert (answer.status, answer.json["value"]) == (200, [])


async def test_links_can_be_followed_as_they_are(caller: Caller) -> None:
    for name in ("a", "b", "c"):
        await caller.make("/jobs", job_body(name))
    query = "$filter=startswith%28id%2C%27%27%29%20and%20id%20ne%20%27b%27&maxresults=1&$select=id"
    answer = await caller.get("/jobs", query)
    link = answer.json["odata.nextLink"]
    assert "+" not in URL(link, encoded=True).raw_query_string
    assert "api-version=2025-06-01" in link
    assert (await caller.pages("/jobs", query)) == [[{"id": "a"}], [{"id": "c"}]]


async def test_a_token_of_another_list_is_refused(caller: Caller) -> None:
    for name in ("a", "b"):
        await caller.make("/jobs", job_body(name))
    answer = await caller.get("/jobs", "maxresults=1")
    token = answer.json["odata.nextLink"].partition("$skiptoken=")[2]
    assert (await caller.get("/pools", f"$skiptoken={token}")).status == 400
    spoiled = ("B" if token[0] == "A" else "A") + token[1:]
    assert (await caller.get("/jobs", f"$skiptoken={spoiled}")).status == 400
