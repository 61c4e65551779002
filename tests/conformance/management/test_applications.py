"""Applications through the management interface: shapes as recorded, rules as documented."""

from __future__ import annotations

from typing import Any

import pytest

from shoal_controller.core.application import APPLICATIONS_MAX
from tests.conformance.conftest import Caller
from tests.conformance.management.conftest import ROOT, Manager, error_of


async def test_an_application_looks_as_the_service_shows_it(manager: Manager) -> None:
    body = {"properties": {"displayName": "My Application", "allowUpdates": True}}
    made = await manager.put("applications/my_app", body)
    assert made.status == 200
    tag = made.json["etag"]
    assert tag.startswith('W/"0x8')
    assert made.json == {
        "type": "Microsoft.Batch/batchAccounts/applications",
        "id": f"{ROOT}/applications/my_app",
        "name": "my_app",
        "etag": tag,
        "properties": {"displayName": "My Application", "allowUpdates": True},
    }
    assert made.headers["ETag"] == tag
    assert made.headers["Last-Modified"].endswith(" GMT")
    assert made.headers["Content-Type"] == "application/json; charset=utf-8"
    got = await manager.get("applications/MY_APP")
    assert (got.status, got.json) == (200, made.json)
    assert (await manager.get("applications")).json == {"value": [made.json]}


async def test_an_application_without_a_body_has_the_documented_defaults(
    manager: Manager,
) -> None:
    made = await manager.made("applications/bare")
    assert made["properties"] == {"allowUpdates": True}


async def test_put_again_changes_what_it_names_and_nothing_else(manager: Manager) -> None:
    first = await manager.made("applications/a", {"properties": {"displayName": "one"}})
    again = await manager.made("applications/A")
    assert again == first
    changed = await manager.made("applications/a", {"properties": {"allowUpdates": "false"}})
    assert changed["properties"] == {"displayName": "one", "allowUpdates": False}
    assert changed["etag"] != first["etag"]
    assert len((await manager.get("applications")).json["value"]) == 1


async def test_patch_changes_names_flags_and_the_default(manager: Manager) -> None:
    await manager.packaged("a", "v1.0")
    body = {"properties": {"displayName": "new", "allowUpdates": False, "defaultVersion": "V1.0"}}
    patched = await manager.send("PATCH", "applications/a", body)
    assert patched.status == 200
    assert patched.json["properties"] == {
        "displayName": "new",
        "allowUpdates": False,
        "defaultVersion": "v1.0",
    }
    cleared = await manager.send("PATCH", "applications/a", {"properties": {"defaultVersion": ""}})
    assert "defaultVersion" not in cleared.json["properties"]
    missing = await manager.send("PATCH", "applications/b", {"properties": {}})
    assert error_of(missing)["code"] == "ApplicationNotFound"
    assert missing.status == 404


async def test_the_default_can_only_be_a_version_that_is_there(manager: Manager) -> None:
    wanted = {"properties": {"defaultVersion": "2"}}
    for method in ("PUT", "PATCH"):
        await manager.made("applications/a")
        refused = error_of(await manager.send(method, "applications/a", wanted))
        assert (refused["status"], refused["code"]) == (400, "InvalidPropertyValue")
        assert refused["details"]["PropertyName"] == "defaultVersion"
    refused = error_of(await manager.put("applications/new", wanted))
    assert refused["details"]["PropertyName"] == "defaultVersion"
    assert (await manager.get("applications/new")).status == 404, "refused, so not made either"


async def test_an_application_with_packages_is_not_deleted(manager: Manager) -> None:
    await manager.made("applications/a")
    await manager.made("applications/a/versions/1")
    refused = error_of(await manager.send("DELETE", "applications/a"))
    assert (refused["status"], refused["code"]) == (409, "OperationInvalidForCurrentState")
    assert "delete them first" in refused["details"]["Reason"]
    assert (await manager.send("DELETE", "applications/a/versions/1")).status == 200
    deleted = await manager.send("DELETE", "applications/a")
    assert (deleted.status, deleted.body) == (200, b"")
    assert (await manager.send("DELETE", "applications/a")).status == 204
    assert error_of(await manager.get("applications/a"))["code"] == "ApplicationNotFound"


async def test_a_list_comes_in_pages_that_survive_deletions(manager: Manager) -> None:
    for number in range(5):
        await manager.made(f"applications/a{number}")
    page = (await manager.get("applications", "maxresults=2")).json
    assert [item["name"] for item in page["value"]] == ["a0", "a1"]
    for gone in ("a1", "a2"):
        await manager.send("DELETE", f"applications/{gone}")
    page = (await manager.caller.follow(page["nextLink"])).json
    assert [item["name"] for item in page["value"]] == ["a3", "a4"]
    assert "nextLink" not in page
    refused = error_of(await manager.get("applications", "maxresults=0"))
    assert refused["code"] == "OutOfRangeQueryParameterValue"


async def test_a_full_account_takes_no_more_applications(manager: Manager) -> None:
    for number in range(APPLICATIONS_MAX):
        await manager.made(f"applications/a{number}")
    refused = error_of(await manager.put("applications/one-more"))
    assert (refused["status"], refused["code"]) == (409, "ApplicationQuotaReached")
    assert (await manager.put("applications/a0")).status == 200, "what is there may change"


async def test_tags_are_kept_for_the_versions_that_have_them(manager: Manager) -> None:
    made = await manager.made("applications/a", {"tags": {"team": "render", "Ü": ""}})
    assert made["tags"] == {"team": "render", "Ü": ""}
    package = await manager.made("applications/a/versions/1", {"tags": {"built": "today"}})
    assert package["tags"] == {"built": "today"}
    manager.version = "2024-02-01"
    assert "tags" not in (await manager.get("applications/a")).json
    refused = error_of(await manager.put("applications/a", {"tags": {"a": "b"}}))
    assert refused["code"] == "UnsupportedProperty"
    assert refused["details"]["PropertyName"] == "tags"


@pytest.mark.parametrize("app", ["a.b", "a%20b", "%C3%BC", "a%2Fb", "x" * 65, "%00"])
async def test_ids_that_no_application_can_have_are_refused(app: str, manager: Manager) -> None:
    refused = error_of(await manager.put(f"applications/{app}"))
    assert (refused["status"], refused["code"]) == (400, "InvalidPropertyValue")
    assert refused["details"]["PropertyName"] == "applicationName"
    assert error_of(await manager.get(f"applications/{app}"))["code"] == "ApplicationNotFound"


@pytest.mark.parametrize(
    ("body", "code", "name"),
    [
        ({"properties": {"displayName": 1}}, "InvalidPropertyValue", "displayName"),
        ({"properties": {"displayName": "x" * 1025}}, "InvalidPropertyValue", "displayName"),
        ({"properties": {"displayName": "\0"}}, "InvalidPropertyValue", "displayName"),
        ({"properties": {"allowUpdates": "perhaps"}}, "InvalidPropertyValue", "allowUpdates"),
        ({"properties": {"color": "red"}}, "UnsupportedProperty", "color"),
        ({"properties": []}, "InvalidPropertyValue", "properties"),
        ({"displayName": "flat"}, "UnsupportedProperty", "displayName"),
        ({"tags": {"a": 1}}, "InvalidPropertyValue", "tags"),
        ({"tags": {"": "b"}}, "InvalidPropertyValue", "tags"),
        ({"tags": {str(n): "" for n in range(51)}}, "InvalidPropertyValue", "tags"),
        ({"tags": {"x" * 513: ""}}, "InvalidPropertyValue", "tags"),
        ({"tags": {"x": "x" * 257}}, "InvalidPropertyValue", "tags"),
        ({"tags": []}, "InvalidPropertyValue", "tags"),
    ],
)
async def test_bodies_are_refused_by_the_name_of_what_is_wrong(
    body: Any, code: str, name: str, manager: Manager
) -> None:
    await manager.made("applications/there")
    for method, app in (("PUT", "new"), ("PUT", "there"), ("PATCH", "there")):
        refused = error_of(await manager.send(method, f"applications/{app}", body))
        assert (refused["status"], refused["code"]) == (400, code)
        assert refused["target"] == "BatchAccount"
        assert refused["details"]["PropertyName"] == name
    assert len((await manager.get("applications")).json["value"]) == 1


@pytest.mark.parametrize("raw", [b"{", b"[]", b'"a"', b"\xff", b'{"a":' * 2000, b'"\\ud800"'])
async def test_bodies_that_are_no_object_are_refused(raw: bytes, manager: Manager) -> None:
    for method in ("PUT", "PATCH"):
        refused = error_of(await manager.send(method, "applications/a", raw=raw))
        assert (refused["status"], refused["code"]) == (400, "InvalidRequestBody")


async def test_what_the_service_fills_in_may_come_back(manager: Manager) -> None:
    shown = await manager.packaged("a", "1")
    assert (await manager.put("applications/a/versions/1", shown)).status == 200
    application = (await manager.get("applications/a")).json
    assert (await manager.put("applications/a", application)).json == application


async def test_conditions_are_met_or_nothing_happens(manager: Manager) -> None:
    made = await manager.made("applications/a")
    stale = {"If-Match": made["etag"]}
    body = {"properties": {"displayName": "x"}}
    changed = await manager.send("PATCH", "applications/a", body, headers=stale)
    assert changed.status == 200
    for method, sent in (("PATCH", {}), ("PUT", {}), ("DELETE", None)):
        refused = await manager.send(method, "applications/a", sent, headers=stale)
        assert (refused.status, error_of(refused)["code"]) == (412, "ConditionNotMet")
    create_only = {"If-None-Match": "*"}
    assert (await manager.put("applications/a", headers=create_only)).status == 412
    assert (await manager.put("applications/b", headers=create_only)).status == 200
    absent = await manager.put("applications/c", headers={"If-Match": "*"})
    assert absent.status == 412
    known = {"If-None-Match": changed.json["etag"]}
    answer = await manager.send("GET", "applications/a", headers=known)
    assert (answer.status, answer.body) == (304, b"")


async def test_pools_and_tasks_see_only_what_they_can_refer_to(
    manager: Manager, caller: Caller
) -> None:
    await manager.made("applications/none-yet", {"properties": {"displayName": "later"}})
    await manager.made("applications/none-yet/versions/1")
    await manager.packaged("usable", "1.0")
    await manager.made("applications/usable/versions/2.0-pending")
    await manager.packaged("usable", "0.9")
    await manager.packaged("named", "1")
    await manager.made("applications/named", {"properties": {"displayName": "With a name"}})
    listed = await caller.get("/applications")
    base = f"{caller.base}/$metadata#"
    assert listed.json == {
        "odata.metadata": f"{base}listapplicationsummariesresponses",
        "value": [
            {"id": "usable", "versions": ["1.0", "0.9"]},
            {"id": "named", "displayName": "With a name", "versions": ["1"]},
        ],
    }
    got = await caller.get("/applications/USABLE")
    assert got.json == {
        "odata.metadata": f"{base}getapplicationsummaryresponse/@Element",
        "id": "usable",
        "versions": ["1.0", "0.9"],
    }
    assert "ETag" not in got.headers
    for app in ("none-yet", "nowhere"):
        refused = await caller.get(f"/applications/{app}")
        assert (refused.status, refused.code) == (404, "ApplicationNotFound")
    pages = await caller.pages("/applications", "maxresults=1")
    assert [[item["id"] for item in page] for page in pages] == [["usable"], ["named"]]
    refused = await caller.get("/applications", "$filter=id%20eq%20'named'")
    assert (refused.status, refused.code) == (400, "UnsupportedQueryParameter")
    await manager.send("DELETE", "applications/named/versions/1")
    assert (await caller.get("/applications/named")).status == 404
