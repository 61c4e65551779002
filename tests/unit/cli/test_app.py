"""shoal app: what is sent to the management interface, and what is shown of its answers."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.unit.cli.service import ACCOUNT, KEY, Answer, Request, Service

Shoal = Callable[..., Awaitable[int]]
Captured = pytest.CaptureFixture[str]
ROOT = (
    "/subscriptions/shoal/resourceGroups/shoal/providers/Microsoft.Batch/batchAccounts"
    f"/{ACCOUNT}/applications"
)


def application(name: str, **properties: Any) -> dict[str, Any]:
    return {"name": name, "properties": {"allowUpdates": True, **properties}}


def package(version: str, state: str = "Active", **properties: Any) -> dict[str, Any]:
    return {"name": version, "properties": {"state": state, **properties}}


def refusing(status: int, code: str, **details: str) -> Answer:
    """Return a scripted refusal of the management interface."""

    def answer(_: Request) -> web.Response:
        listed = [{"code": key, "message": value} for key, value in details.items()]
        text = "No.\nRequestId:0000\nTime:2026-01-01T00:00:00Z"
        error = {"code": code, "message": text, "target": "BatchAccount", "details": listed}
        return web.json_response({"error": error}, status=status)

    return answer


@pytest.fixture
def zipped(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / "prog.zip", "w") as made:
        made.writestr("run.sh", "true")
    return tmp_path / "prog.zip"


async def test_upload_makes_puts_and_activates(
    service: Service, shoal: Shoal, zipped: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    uploads: list[tuple[str, bytes]] = []

    async def put_signed(url: str, local: Path) -> None:
        uploads.append((url, local.read_bytes()))

    monkeypatch.setattr("shoal_cli.storage.put_signed", put_signed)
    service.on("PUT", f"{ROOT}/prog", (200, application("prog")))
    made = package("1.0", "Pending", storageUrl="http://storage/x?sig=1")
    service.on("PUT", f"{ROOT}/prog/versions/1.0", (200, made))
    service.on("POST", f"{ROOT}/prog/versions/1.0/activate", (200, package("1.0")))
    service.on("PATCH", f"{ROOT}/prog", (200, application("prog")))
    assert await shoal("app", "upload", "prog", "1.0", "prog.zip", "--default") == 0
    assert uploads == [("http://storage/x?sig=1", zipped.read_bytes())]
    assert [request.method for request in service.requests] == ["PUT", "PUT", "POST", "PATCH"]
    assert service.requests[2].body == {"format": "zip"}
    assert service.requests[3].body == {"properties": {"defaultVersion": "1.0"}}
    assert "and the default" in capsys.readouterr().out


async def test_what_is_no_zip_is_not_sent(
    service: Service, shoal: Shoal, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "run.sh").write_text("true")
    assert await shoal("app", "upload", "prog", "1.0", "run.sh") == 2
    assert "no zip archive" in capsys.readouterr().err
    assert await shoal("app", "upload", "prog", "1.0", "missing.zip") == 2
    assert service.requests == []


@pytest.mark.parametrize("words", [("a/b", "1"), ("prog", ".."), ("prog", "a b"), ("prog", "")])
async def test_names_that_cannot_be_are_not_sent(
    words: tuple[str, str], service: Service, shoal: Shoal, zipped: Path
) -> None:
    assert await shoal("app", "upload", *words, zipped.name) == 2
    assert service.requests == []


async def test_the_storage_is_written_as_its_url_says(
    service: Service, zipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shoal_cli.faults import Fault
    from shoal_cli.storage import put_signed

    seen: list[web.BaseRequest] = []
    content: list[bytes] = []

    async def handle(raw: web.BaseRequest) -> web.StreamResponse:
        seen.append(raw)
        content.append(await raw.read())
        is_good = raw.query["sig"] == "a+b"
        return web.Response(status=201 if is_good else 403, headers={"x-ms-error-code": "Nope"})

    monkeypatch.setattr(service, "handle", handle)
    await put_signed(f"{service.url}/unit/app-x/1%20.zip?sig=a%2Bb", zipped)
    assert (seen[0].method, seen[0].raw_path) == ("PUT", "/unit/app-x/1%20.zip?sig=a%2Bb")
    assert seen[0].headers["x-ms-blob-type"] == "BlockBlob"
    assert "Authorization" not in seen[0].headers
    assert content[0] == zipped.read_bytes()
    with pytest.raises(Fault, match="Nope") as refused:
        await put_signed(f"{service.url}/unit/app-x/1.zip?sig=secret", zipped)
    assert "secret" not in refused.value.block()


async def test_lists_follow_pages_and_tell_the_active_versions(
    service: Service, shoal: Shoal, capsys: Captured
) -> None:
    usable = [{"id": "a", "versions": ["1", "2"]}]
    service.on("GET", "/applications", (200, {"value": usable}))
    link = f"http://elsewhere{ROOT}?api-version=2025-06-01&$skiptoken=x"
    first = {"value": [application("a", defaultVersion="2", displayName="A")], "nextLink": link}
    service.on("GET", ROOT, (200, first), (200, {"value": [application("b")]}))
    assert await shoal("app", "list", "-o", "tsv") == 0
    assert capsys.readouterr().out == "a\t2\t1, 2\ttrue\tA\nb\t\t\ttrue\t\n"
    assert service.requests[-1].query["$skiptoken"] == "x"


async def test_show_tells_of_packages_that_are_not_active(
    service: Service, shoal: Shoal, capsys: Captured
) -> None:
    service.on("GET", f"{ROOT}/a", (200, application("a")))
    packages = {"value": [package("1"), package("2", "Pending")]}
    service.on("GET", f"{ROOT}/a/versions", (200, packages))
    assert await shoal("app", "show", "a") == 0
    assert "1, 2 (pending)" in capsys.readouterr().out
    one = package("1", storageUrl="http://storage/x?sig=secret", format="zip")
    service.on("GET", f"{ROOT}/a/versions/1", (200, one))
    assert await shoal("app", "show", "a", "1") == 0
    assert "secret" not in capsys.readouterr().out
    assert await shoal("app", "show", "a", "1", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == one


async def test_deleting_an_application_deletes_its_packages_first(
    service: Service, shoal: Shoal
) -> None:
    packages = {"value": [package("1"), package("2", "Pending")]}
    service.on("GET", f"{ROOT}/a/versions", (200, packages))
    for path in ("/a/versions/1", "/a/versions/2", "/a"):
        service.on("DELETE", ROOT + path, (200, None))
    assert await shoal("app", "delete", "a") == 0
    deleted = [request.path for request in service.requests if request.method == "DELETE"]
    assert deleted == [f"{ROOT}/a/versions/1", f"{ROOT}/a/versions/2", f"{ROOT}/a"]


async def test_the_default_is_set_and_taken_away(service: Service, shoal: Shoal) -> None:
    service.on("PATCH", f"{ROOT}/a", (200, application("a")))
    assert await shoal("app", "set-default", "a", "2.0") == 0
    assert await shoal("app", "set-default", "a", "--none") == 0
    sent = [request.body["properties"]["defaultVersion"] for request in service.requests]
    assert sent == ["2.0", ""]
    assert await shoal("app", "set-default", "a") == 2
    assert await shoal("app", "set-default", "a", "1", "--none") == 2


async def test_refusals_of_the_management_interface_are_explained(
    service: Service, shoal: Shoal, capsys: Captured
) -> None:
    refusal = refusing(400, "InvalidPropertyValue", PropertyName="defaultVersion", Reason="Gone.")
    service.on("PATCH", f"{ROOT}/a", refusal)
    assert await shoal("app", "set-default", "a", "9") == 1
    told = capsys.readouterr().err
    assert "InvalidPropertyValue: No." in told
    assert "PropertyName: defaultVersion" in told
    assert "Reason: Gone." in told
    assert "RequestId" not in told
    service.on("GET", f"{ROOT}/a/versions/9", refusing(404, "ApplicationPackageNotFound"))
    assert await shoal("app", "delete", "a", "9") == 1
    assert "`shoal app show a`" in capsys.readouterr().err
    broken: Answer = lambda _: web.json_response({"error": {"code": "X"}}, status=400)  # noqa: E731
    service.on("GET", f"{ROOT}/b/versions/9", broken)
    assert await shoal("app", "show", "b", "9") == 1
    assert KEY.decode() not in capsys.readouterr().err
