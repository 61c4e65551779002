"""Packages: upload, activation, deletion, and who may write where and for how long."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from shoal_controller.core.application import PACKAGES_MAX
from tests.conformance.management.conftest import (
    ROOT,
    Manager,
    StockedHouse,
    a_zip,
    content_of,
    error_of,
)


async def containers(house: StockedHouse) -> list[str]:
    return [item.name for item in (await house.store.list_containers()).items]


async def test_a_package_goes_from_pending_to_active(manager: Manager, house: StockedHouse) -> None:
    await manager.made("applications/my_app")
    made = await manager.put("applications/my_app/versions/v1.0")
    assert made.status == 200
    package = made.json
    url, end = package["properties"].pop("storageUrl"), package["properties"]["storageUrlExpiry"]
    assert package == {
        "type": "Microsoft.Batch/batchAccounts/applications/versions",
        "id": f"{ROOT}/applications/my_app/versions/v1.0",
        "name": "v1.0",
        "etag": package["etag"],
        "properties": {"state": "Pending", "storageUrlExpiry": end},
    }
    assert made.headers["ETag"] == package["etag"]
    signed = parse_qs(urlsplit(url).query)
    assert signed["sr"] == ["b"]
    assert signed["sp"] == ["rw"]
    assert end[:19] + "Z" == signed["se"][0]
    assert (await house.store.get_container(urlsplit(url).path.split("/")[2])).name.startswith(
        "app-my-app-"
    )
    assert await manager.upload(url, a_zip()) == 201
    active = await manager.activate("my_app", "V1.0")
    assert active.status == 200
    properties = active.json["properties"]
    assert (properties["state"], properties["format"]) == ("Active", "zip")
    assert properties["lastActivationTime"].startswith("2026-05-01T12:")
    assert active.json["etag"] != package["etag"]
    got = (await manager.get("applications/my_app/versions/v1.0")).json
    assert got["properties"]["lastActivationTime"] == properties["lastActivationTime"]
    assert await content_of(manager.caller.session, got["properties"]["storageUrl"]) == (
        200,
        a_zip(),
    )


async def test_an_upload_url_is_for_one_blob_and_ends(
    manager: Manager, house: StockedHouse
) -> None:
    await manager.made("applications/a")
    url = (await manager.made("applications/a/versions/1"))["properties"]["storageUrl"]
    await manager.made("applications/a/versions/2")
    parts = urlsplit(url)
    account, container = parts.path.split("/")[1:3]
    elsewhere = parts._replace(path=f"/{account}/{container}/other.zip").geturl()
    assert await manager.upload(elsewhere, a_zip()) == 403
    async with manager.caller.session.delete(url) as response:
        assert response.status == 403
    house.clock.time += timedelta(hours=4, minutes=1)
    assert await manager.upload(url, a_zip()) == 403


async def test_nothing_but_a_readable_zip_is_activated(manager: Manager) -> None:
    await manager.made("applications/a")
    package = await manager.made("applications/a/versions/1")
    refused = error_of(await manager.activate("a", "1"))
    assert (refused["status"], refused["code"]) == (409, "OperationInvalidForCurrentState")
    assert "Nothing was uploaded" in refused["details"]["Reason"]
    url = package["properties"]["storageUrl"]
    bad = {
        "does not end as a zip": b"Hello World",
        "leads out of": a_zip({"../../etc/cron.d/evil": b"* * * * * root true"}),
        "cut off": a_zip()[60:],
    }
    for reason, content in bad.items():
        assert await manager.upload(url, content) == 201
        refused = error_of(await manager.activate("a", "1"))
        assert (refused["status"], refused["code"]) == (400, "InvalidPropertyValue")
        assert refused["details"]["PropertyName"] == "format"
        assert reason in refused["details"]["Reason"]
        shown = (await manager.get("applications/a/versions/1")).json["properties"]
        assert shown["state"] == "Pending"
        assert "lastActivationTime" not in shown
    assert await manager.upload(url, a_zip({f"{n}": bytes(99) for n in range(3000)})) == 201
    assert (await manager.activate("a", "1")).status == 200


@pytest.mark.parametrize(
    ("body", "code", "name"),
    [
        ({}, "MissingRequiredProperty", "format"),
        ({"format": "tar.gz"}, "InvalidPropertyValue", "format"),
        ({"format": 1}, "InvalidPropertyValue", "format"),
        ({"format": "zip", "level": 9}, "UnsupportedProperty", "level"),
    ],
)
async def test_activation_needs_the_format(
    body: object, code: str, name: str, manager: Manager
) -> None:
    await manager.packaged("a", "1")
    path = "applications/a/versions/1/activate"
    refused = error_of(await manager.send("POST", path, body))
    assert (refused["status"], refused["code"]) == (400, code)
    assert refused["details"]["PropertyName"] == name
    assert (await manager.send("POST", path)).status == 400


async def test_new_content_for_an_active_package_where_updates_are_allowed(
    manager: Manager,
) -> None:
    first = await manager.packaged("a", "1")
    again = await manager.put("applications/a/versions/1")
    assert again.status == 200
    assert again.json["properties"]["state"] == "Active", "what refers to it goes on working"
    newer = a_zip({"new": b"content"})
    assert await manager.upload(again.json["properties"]["storageUrl"], newer) == 201
    active = (await manager.activate("a", "1")).json["properties"]
    assert active["lastActivationTime"] > first["properties"]["lastActivationTime"]
    assert (await content_of(manager.caller.session, active["storageUrl"]))[1] == newer


async def test_an_active_package_stays_as_it_is_where_updates_are_not_allowed(
    manager: Manager,
) -> None:
    await manager.packaged("a", "1")
    await manager.send("PATCH", "applications/a", {"properties": {"allowUpdates": False}})
    refused = error_of(await manager.put("applications/a/versions/1"))
    assert (refused["status"], refused["code"]) == (409, "OperationInvalidForCurrentState")
    assert "allowUpdates" in refused["details"]["Reason"]
    shown = (await manager.get("applications/a/versions/1")).json
    url = shown["properties"]["storageUrl"]
    assert parse_qs(urlsplit(url).query)["sp"] == ["r"]
    assert await manager.upload(url, a_zip()) == 403
    repeated = await manager.activate("a", "1")
    assert repeated.status == 200, "a repeated request is no replacement"
    assert repeated.json["etag"] == shown["etag"]
    await manager.made("applications/a/versions/2")  # another version may come
    # Recorded: the service lets a package go although updates are not allowed.
    assert (await manager.send("DELETE", "applications/a/versions/1")).status == 200


async def test_deleting_a_package_removes_its_content_and_the_default(
    manager: Manager, house: StockedHouse
) -> None:
    package = await manager.packaged("a", "1")
    await manager.send("PATCH", "applications/a", {"properties": {"defaultVersion": "1"}})
    url = package["properties"]["storageUrl"]
    deleted = await manager.send("DELETE", "applications/a/versions/1")
    assert (deleted.status, deleted.body) == (200, b"")
    assert (await content_of(manager.caller.session, url))[0] == 404
    assert "defaultVersion" not in (await manager.get("applications/a")).json["properties"]
    refused = await manager.get("applications/a/versions/1")
    assert (refused.status, error_of(refused)["code"]) == (404, "ApplicationPackageNotFound")
    assert (await manager.send("DELETE", "applications/a/versions/1")).status == 204
    assert (await manager.send("DELETE", "applications/b/versions/1")).status == 204
    assert len(await containers(house)) == 1
    await manager.send("DELETE", "applications/a")
    assert await containers(house) == []
    assert await house.ctx.store.read("SELECT * FROM doomed_blobs") == []


async def test_an_old_url_does_not_reach_a_new_package_of_the_same_version(
    manager: Manager,
) -> None:
    old = (await manager.packaged("a", "1"))["properties"]["storageUrl"]
    await manager.send("DELETE", "applications/a/versions/1")
    new = await manager.made("applications/a/versions/1")
    assert new["properties"]["state"] == "Pending"
    assert await manager.upload(old, a_zip({"stale": b""})) == 201  # into nothing that is named
    assert (await manager.activate("a", "1")).status == 409


async def test_packages_of_an_application_that_is_not_there(manager: Manager) -> None:
    for method, path in (
        ("PUT", "applications/a/versions/1"),
        ("GET", "applications/a/versions/1"),
        ("GET", "applications/a/versions"),
    ):
        refused = error_of(await manager.send(method, path))
        assert (refused["status"], refused["code"]) == (404, "ApplicationNotFound")
    assert error_of(await manager.activate("a", "1"))["code"] == "ApplicationNotFound"


@pytest.mark.parametrize("version", ["a%20b", ".", "..", "x" * 65, "1%2F2", "%C3%BC"])
async def test_versions_that_cannot_be_are_refused(version: str, manager: Manager) -> None:
    await manager.made("applications/a")
    # `.` and `..` as they are would not leave the client.
    name = version.replace(".", "%2E")
    refused = error_of(await manager.put(f"applications/a/versions/{name}"))
    assert (refused["status"], refused["code"]) == (400, "InvalidPropertyValue")
    assert refused["details"]["PropertyName"] == "versionName"


async def test_lists_of_packages_come_in_pages(manager: Manager) -> None:
    await manager.made("applications/a")
    for version in ("1.0", "1.1-beta", "2_0"):
        await manager.made(f"applications/a/versions/{version}")
    page = (await manager.get("applications/a/versions", "maxresults=2")).json
    assert [item["name"] for item in page["value"]] == ["1.0", "1.1-beta"]
    page = (await manager.caller.follow(page["nextLink"])).json
    assert [item["name"] for item in page["value"]] == ["2_0"]
    assert "nextLink" not in page


async def test_an_application_has_so_many_packages_and_no_more(manager: Manager) -> None:
    await manager.made("applications/a")
    for number in range(PACKAGES_MAX):
        await manager.made(f"applications/a/versions/{number}")
    refused = error_of(await manager.put("applications/a/versions/one-more"))
    assert (refused["status"], refused["code"]) == (409, "ApplicationPackageQuotaReached")
    assert (await manager.put("applications/a/versions/0")).status == 200


async def test_a_container_that_its_owner_removed_is_made_again(
    manager: Manager, house: StockedHouse
) -> None:
    package = await manager.packaged("a", "1")
    (container,) = await containers(house)
    await house.store.delete_container(container)
    assert error_of(await manager.activate("a", "1"))["status"] == 409
    url = (await manager.made("applications/a/versions/1"))["properties"]["storageUrl"]
    assert urlsplit(url).path == urlsplit(package["properties"]["storageUrl"]).path
    assert await manager.upload(url, a_zip()) == 201
    assert (await manager.activate("a", "1")).status == 200


async def test_conditions_on_packages(manager: Manager) -> None:
    package = await manager.packaged("a", "1")
    stale = {"If-Match": '"0x1"'}
    for method in ("PUT", "DELETE"):
        refused = await manager.send(method, "applications/a/versions/1", headers=stale)
        assert (refused.status, error_of(refused)["code"]) == (412, "ConditionNotMet")
    create_only = {"If-None-Match": "*"}
    assert (await manager.put("applications/a/versions/1", headers=create_only)).status == 412
    known = {"If-Match": package["etag"]}
    deleted = await manager.send("DELETE", "applications/a/versions/1", headers=known)
    assert deleted.status == 200
