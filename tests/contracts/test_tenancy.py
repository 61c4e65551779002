"""Accounts of a whole controller, made, changed and deleted while it runs, over its own socket."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest

from shoal_controller.config import BadConfig
from shoal_controller.main import ADMIN_SOCKET
from shoal_controller.providers.base import node_id
from shoal_controller.store import accounts
from tests.contracts.a_controller import started
from tests.e2e.processes import processes_naming
from tests.raw_client import Failed


async def test_an_account_is_made_used_and_found_again_after_a_restart(data: Path) -> None:
    async with started(data) as site:
        assert await site.ask("GET") == (200, {"value": []})
        body = {"name": "lab1", "poolQuota": 0, "dedicatedCoreQuota": 5}
        status, made = await site.ask("POST", "", body)
        assert status == 201
        assert made == {
            "name": "lab1",
            "accountEndpoint": site.controller.api_url,
            "dedicatedCoreQuota": 5,
            "lowPriorityCoreQuota": 100,
            "poolQuota": 0,
            "activeJobAndJobScheduleQuota": 300,
            "fixedQuotas": [],
        }
        keys = await site.keys("lab1")
        async with site.client("lab1", keys["batch"]["primary"]) as client:
            await client.make_job("j", "p")
            with pytest.raises(Failed, match="PoolQuotaReached"):
                await client.make_pool("p", 0)
        assert (await site.ask("PATCH", "/lab1", {"activeJobAndJobScheduleQuota": 1}))[0] == 200
        async with site.client("lab1", keys["batch"]["secondary"]) as client:
            with pytest.raises(Failed, match="ActiveJobAndScheduleQuotaReached"):
                await client.make_job("k", "p")
    async with started(data) as site:
        status, found = await site.ask("GET", "/lab1")
        assert (found["poolQuota"], found["activeJobAndJobScheduleQuota"]) == (0, 1)
        assert await site.keys("lab1") == keys
        async with site.client("lab1", keys["batch"]["primary"]) as client:
            assert [job["id"] for job in (await client.call("GET", "/jobs"))["value"]] == ["j"]


async def test_a_key_is_made_anew_at_once_and_for_good(data: Path) -> None:
    async with started(data, "lab1") as site:
        old = (await site.keys("lab1"))["batch"]
        status, answer = await site.ask("POST", "/lab1/regeneratekey", {"keyName": "Primary"})
        assert status == 200
        new = answer["batch"]
        assert new["secondary"] == old["secondary"]
        assert await site.status("lab1", old["primary"]) == 403
        assert await site.status("lab1", old["secondary"]) == 200
        assert await site.status("lab1", new["primary"]) == 200
        before = (await site.keys("lab1"))["storage"]
        body = {"keyName": "secondary", "service": "storage"}
        after = (await site.ask("POST", "/lab1/regeneratekey", body))[1]["storage"]
        assert after["primary"] == before["primary"]
        held = site.controller.tenancy.storage["lab1"].keys
        assert [base64.b64encode(key).decode() for key in held] == list(after.values())
    async with started(data, "lab1") as site:
        assert (await site.keys("lab1"))["batch"] == new
        assert await site.status("lab1", old["primary"]) == 403


async def test_an_account_is_deleted_with_its_nodes_and_another_may_take_its_name(
    data: Path,
) -> None:
    async with started(data, "other") as site:
        await site.ask("POST", "", {"name": "lab1"})
        keys = await site.keys("lab1")
        async with site.client("lab1", keys["batch"]["primary"]) as client:
            await client.make_pool("p", 1)
            await client.make_job("j", "p")
        assert processes_naming(data / "nodes" / "lab1") != []
        assert await site.ask("DELETE", "/lab1") == (204, None)
        assert processes_naming(data / "nodes" / "lab1") == []
        assert [path.name for path in (data / "accounts").iterdir()] == ["other"]
        assert [path.name for path in (data / "nodes").iterdir()] == ["other"]
        assert await site.status("lab1", keys["batch"]["primary"]) == 403
        assert (await site.ask("DELETE", "/lab1"))[0] == 404
        assert (await site.ask("POST", "", {"name": "lab1"}))[0] == 201
        fresh = (await site.keys("lab1"))["batch"]["primary"]
        assert await site.status("lab1", keys["batch"]["primary"]) == 403
        async with site.client("lab1", fresh) as client:
            assert (await client.call("GET", "/jobs"))["value"] == []
        await site.ask("DELETE", "/lab1")


async def test_a_deletion_that_was_cut_off_is_finished_by_the_next_start(data: Path) -> None:
    async with started(data) as site:
        for name in ("lab1", "lab2"):
            await site.ask("POST", "", {"name": name})
    folder = data / "accounts" / "lab1"
    accounts.save_decided(folder, accounts.Decided(is_made=True, is_deleting=True))
    (data / "nodes" / "lab1" / node_id(bytes(32), is_dedicated=True)).mkdir(parents=True)
    accounts.set_aside(data / "accounts" / "lab2")
    async with started(data) as site:
        assert await site.ask("GET") == (200, {"value": []})
        assert list((data / "accounts").iterdir()) == []
        assert not (data / "nodes" / "lab1").exists()


async def test_what_the_configuration_names_is_changed_only_there(data: Path) -> None:
    async with started(data, "lab1", pool_count_max=7) as site:
        status, shown = await site.ask("GET", "/lab1")
        assert (shown["poolQuota"], shown["fixedQuotas"]) == (7, ["poolQuota"])
        status, error = await site.ask("PATCH", "/lab1", {"poolQuota": 8})
        assert (status, error["code"]) == (409, "OperationInvalidForCurrentState")
        status, error = await site.ask("DELETE", "/lab1")
        assert (status, error["code"]) == (409, "OperationInvalidForCurrentState")
        assert "controller.toml" in str(error["values"])
        assert (await site.ask("PATCH", "/lab1", {"dedicatedCoreQuota": 8}))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", "", {"name": "x"}, "InvalidPropertyValue"),
        ("POST", "", {"name": "../lab1"}, "InvalidPropertyValue"),
        ("POST", "", {}, "MissingRequiredProperty"),
        ("POST", "", {"name": "lab9", "quota": 1}, "UnsupportedProperty"),
        ("POST", "", {"name": "lab9", "poolQuota": -1}, "InvalidPropertyValue"),
        ("POST", "", [], "InvalidRequestBody"),
        ("POST", "", {"name": "lab1"}, "ResourceAlreadyExists"),
        ("GET", "/nope", None, "ResourceNotFound"),
        ("DELETE", "/..%2Flab1", None, "ResourceNotFound"),
        ("DELETE", "/%2e%2e", None, "ResourceNotFound"),
        ("POST", "/lab1/regeneratekey", {"keyName": "third"}, "InvalidPropertyValue"),
        ("POST", "/lab1/regeneratekey", {}, "MissingRequiredProperty"),
        ("POST", "/nope/listkeys", None, "ResourceNotFound"),
        ("PUT", "/lab1", {}, "UnsupportedHttpVerb"),
    ],
)
async def test_what_cannot_be_done_is_refused_and_changes_nothing(
    data: Path, method: str, path: str, body: Any, code: str
) -> None:
    async with started(data, "lab1") as site:
        before = await site.ask("GET"), await site.keys("lab1")
        status, error = await site.ask(method, path, body)
        assert 400 <= status < 500
        assert error["code"] == code
        assert (await site.ask("GET"), await site.keys("lab1")) == before


async def test_only_the_own_user_may_open_the_socket(data: Path) -> None:
    async with started(data):
        assert stat.S_IMODE((data / ADMIN_SOCKET).stat().st_mode) == 0o600
    assert not (data / ADMIN_SOCKET).exists()


async def test_damaged_accounts_stop_the_start_with_the_name_of_the_file(data: Path) -> None:
    folder = data / "accounts" / "lab1"
    folder.mkdir(parents=True)
    (folder / "account.json").write_text("{")
    with pytest.raises(BadConfig, match=r"lab1/account\.json"):
        async with started(data):
            pass
