"""shoal account: by the controller's socket for every account, by the API for the own one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.unit.cli.service import Service, refuses

Shoal = Callable[..., Awaitable[int]]
Captured = pytest.CaptureFixture[str]
LAB = {
    "name": "lab",
    "accountEndpoint": "https://batch",
    "dedicatedCoreQuota": 10,
    "lowPriorityCoreQuota": 20,
    "poolQuota": 30,
    "activeJobAndJobScheduleQuota": 40,
    "fixedQuotas": ["poolQuota"],
}
KEYS = {
    "name": "lab",
    "batch": {"primary": "cDE=", "secondary": "czE="},
    "storage": {"primary": "cDI=", "secondary": "czI="},
}


@dataclass
class Admin:
    """A socket that answers, and notes what was asked."""

    path: Path
    seen: list[tuple[str, str, Any]] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        content = await request.read()
        self.seen.append((request.method, request.path, json.loads(content) if content else None))
        self.headers.append(request.headers)
        if request.path.endswith("key") or request.path.endswith("keys"):
            return web.json_response(KEYS)
        if request.method == "GET" and request.path.endswith("accounts"):
            return web.json_response({"value": [LAB]})
        return web.Response(status=204) if request.method == "DELETE" else web.json_response(LAB)


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    folder = tmp_path / ("a long way " * 9).strip()  # longer than the name of a socket may be
    folder.mkdir()
    found = Admin(folder / "admin.sock")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        await web.UnixSite(runner, "admin.sock").start()
    yield found
    await runner.cleanup()


ROOT = "/shoal/v1/accounts"


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["list"], ("GET", ROOT, None)),
        (["show", "lab"], ("GET", f"{ROOT}/lab", None)),
        (["show"], ("GET", f"{ROOT}/unit", None)),
        (["create", "lab"], ("POST", ROOT, {"name": "lab"})),
        (
            ["create", "lab", "--pools", "0", "--cores", "8"],
            ("POST", ROOT, {"name": "lab", "poolQuota": 0, "dedicatedCoreQuota": 8}),
        ),
        (["keys", "lab"], ("POST", f"{ROOT}/lab/listkeys", None)),
        (
            ["rotate", "primary", "lab"],
            ("POST", f"{ROOT}/lab/regeneratekey", {"keyName": "primary", "service": "batch"}),
        ),
        (
            ["rotate", "secondary", "lab", "--storage", "-y"],
            ("POST", f"{ROOT}/lab/regeneratekey", {"keyName": "secondary", "service": "storage"}),
        ),
        (
            ["quota", "lab", "--jobs", "7", "--low-priority-cores", "0"],
            (
                "PATCH",
                f"{ROOT}/lab",
                {"lowPriorityCoreQuota": 0, "activeJobAndJobScheduleQuota": 7},
            ),
        ),
        (["delete", "lab", "-y"], ("DELETE", f"{ROOT}/lab", None)),
    ],
)
async def test_at_the_socket_every_account_is_looked_after_without_a_key(
    admin: Admin, shoal: Shoal, words: list[str], asked: tuple[str, str, Any]
) -> None:
    assert await shoal("account", *words, "--socket", str(admin.path)) == 0
    assert admin.seen == [asked]
    assert all("Authorization" not in headers for headers in admin.headers)


async def test_keys_are_shown_for_people_and_for_scripts(
    admin: Admin, shoal: Shoal, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("SHOAL_ADMIN_SOCKET", str(admin.path))
    assert await shoal("account", "keys", "lab", "-q") == 0
    assert capsys.readouterr().out == "cDE=\n"
    assert await shoal("account", "keys", "lab", "-o", "tsv") == 0
    assert capsys.readouterr().out == "cDE=\tczE=\tcDI=\tczI=\n"
    assert await shoal("account", "list", "-o", "tsv") == 0
    assert capsys.readouterr().out == "lab\t10\t20\t30\t40\thttps://batch\tpoolQuota\n"


async def test_an_owner_looks_after_the_own_account_by_the_api(
    service: Service, shoal: Shoal, capsys: Captured
) -> None:
    own = "/shoal/v1/account"
    service.on("GET", own, (200, LAB)).on("POST", f"{own}/listkeys", (200, KEYS))
    service.on("POST", f"{own}/regeneratekey", (200, KEYS))
    assert await shoal("account", "show", "-q") == 0
    assert await shoal("account", "keys", "unit", "-q") == 0
    assert await shoal("account", "rotate", "secondary", "-y") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("lab\ncDE=\naccount 'unit' has a new secondary key of batch")
    (sent,) = service.seen("POST", f"{own}/regeneratekey")
    assert sent.body == {"keyName": "secondary", "service": "batch"}


@pytest.mark.parametrize(
    "words", [["show", "other"], ["keys", "other"], ["rotate", "primary", "other", "-y"]]
)
async def test_a_token_of_one_account_does_nothing_to_another(
    service: Service,
    shoal: Shoal,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
    words: list[str],
) -> None:
    service.token = "t.o.k"
    monkeypatch.setenv("SHOAL_TOKEN", service.token)
    monkeypatch.delenv("AZURE_BATCH_ACCOUNT")
    service.on("GET", "/shoal/v1/account", (200, LAB))
    service.on("POST", "/shoal/v1/account/regeneratekey", (200, KEYS))
    assert await shoal("account", *words) == 2
    assert "--socket" in capsys.readouterr().err
    assert [seen.method for seen in service.requests] == ["GET"]
    assert await shoal("account", "rotate", "primary", "-y") == 0
    assert "account 'lab' has a new primary key" in capsys.readouterr().out


async def test_a_role_that_is_too_low_is_told_what_to_do(
    service: Service, shoal: Shoal, capsys: Captured
) -> None:
    refused = refuses(403, "InsufficientAccountPermissions")
    service.on("POST", "/shoal/v1/account/listkeys", refused)
    assert await shoal("account", "keys") == 1
    assert "ask an owner" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["create", "lab"],
        ["delete", "lab"],
        ["quota", "lab", "--pools", "1"],
        ["keys", "another"],
    ],
)
async def test_without_the_socket_other_accounts_are_out_of_reach(
    service: Service, shoal: Shoal, capsys: Captured, words: list[str]
) -> None:
    assert await shoal("account", *words) == 2
    assert "--socket" in capsys.readouterr().err
    assert service.requests == []


async def test_a_quota_command_without_quotas_says_what_to_give(
    admin: Admin, shoal: Shoal, capsys: Captured
) -> None:
    assert await shoal("account", "quota", "lab", "--socket", str(admin.path)) == 2
    assert "--pools" in capsys.readouterr().err
    assert admin.seen == []


async def test_a_socket_where_nobody_listens_is_named(
    shoal: Shoal, tmp_path: Path, capsys: Captured
) -> None:
    for path in (tmp_path / "nothing.sock", tmp_path / "no" / "folder.sock"):
        assert await shoal("account", "list", "--socket", str(path)) == 3
        told = capsys.readouterr().err
        assert "nobody listens there" in told
        assert str(path) in told
