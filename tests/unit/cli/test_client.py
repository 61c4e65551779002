"""The HTTP client against a scripted service that verifies every signature."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from shoal_cli.client import Client, path_of
from shoal_cli.faults import ServiceFault, Unreachable, UsageFault
from tests.unit.cli.service import Request, Service, refusal, refuses


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async def no_wait(_: float) -> None:
        return

    async with Client(service.settings, patience_s=5, sleep=no_wait) as started:
        yield started


async def test_a_file_path_is_sent_and_signed_as_one_segment(
    service: Service, client: Client
) -> None:
    path = path_of("jobs", "j", "tasks", "t", "files", "wd/a b%.txt")
    assert path == "/jobs/j/tasks/t/files/wd%2Fa%20b%25.txt"
    service.on("GET", path, (200, {"id": "x"}))
    assert await client.get(path) == {"id": "x"}


async def test_filters_with_every_kind_of_character_are_signed_as_sent(
    service: Service, client: Client
) -> None:
    service.on("GET", "/pools", (200, {"value": []}))
    wanted = "startswith(id,'a+b c&d=e%f/é')"
    async for _ in client.pages("/pools", **{"$filter": wanted}):
        pass
    assert service.requests[0].query["$filter"] == wanted


async def test_a_body_is_signed_with_its_length_and_type(service: Service, client: Client) -> None:
    service.on("POST", "/jobs", (201, None))
    assert await client.post("/jobs", {"id": "grün"}) == {}
    request = service.requests[0]
    assert request.body == {"id": "grün"}
    assert request.headers["content-type"].startswith("application/json")


async def test_an_action_without_a_body_is_accepted(service: Service, client: Client) -> None:
    service.on("POST", "/jobs/j/enable", (202, None)).on("DELETE", "/jobs/j", (202, None))
    await client.post("/jobs/j/enable")
    await client.delete("/jobs/j", force="true")
    assert service.requests[1].query["force"] == "true"


async def test_pages_are_followed_until_the_last(service: Service, client: Client) -> None:
    link = f"{service.url}/pools?api-version=2025-06-01&$skiptoken=a/b=:1$1"
    service.on("GET", "/pools", (200, {"value": [{"id": "1"}], "odata.nextLink": link}))
    service.on("GET", "/pools", (200, {"value": [{"id": "2"}]}))
    found = [p["id"] async for page in client.pages("/pools") for p in page]
    assert found == ["1", "2"]
    assert service.requests[1].query["$skiptoken"] == "a/b=:1$1"


async def test_a_link_to_another_host_is_followed_on_our_own(
    service: Service, client: Client
) -> None:
    link = "https://elsewhere.example/pools?api-version=2025-06-01&$skiptoken=1"
    service.on("GET", "/pools", (200, {"value": [], "odata.nextLink": link}), (200, {"value": []}))
    async for _ in client.pages("/pools"):
        pass
    assert service.requests[1].query["$skiptoken"] == "1"


async def test_a_limit_bounds_the_page_and_the_number_of_pages(
    service: Service, client: Client
) -> None:
    link = f"{service.url}/pools?api-version=2025-06-01&$skiptoken=1"
    page: dict[str, Any] = {"value": [{"id": "1"}, {"id": "2"}], "odata.nextLink": link}
    service.on("GET", "/pools", (200, page))
    found = [p["id"] async for page in client.pages("/pools", limit=3) for p in page]
    assert found == ["1", "2", "1"]
    assert service.requests[0].query["maxresults"] == "3"
    assert len(service.requests) == 2


async def test_a_read_is_repeated_while_the_service_is_busy(
    service: Service, client: Client
) -> None:
    service.on("GET", "/jobs/j", refuses(503, "ServerBusy"), refuses(500, "InternalError"))
    service.on("GET", "/jobs/j", (200, {"id": "j"}))
    assert (await client.get("/jobs/j"))["id"] == "j"


async def test_a_read_is_repeated_when_the_answer_breaks_off(
    service: Service, client: Client
) -> None:
    def broken(request: Request) -> web.StreamResponse:
        transport = request.raw.transport
        assert transport is not None
        transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")  # type: ignore[attr-defined]
        transport.close()
        return web.Response()

    service.on("GET", "/jobs/j", broken, (200, {"id": "j"}))
    assert (await client.get("/jobs/j"))["id"] == "j"


async def test_an_action_is_never_repeated_after_it_may_have_been_done(
    service: Service, client: Client
) -> None:
    service.on("POST", "/jobs", refuses(500, "InternalError"))
    with pytest.raises(ServiceFault, match="InternalError"):
        await client.post("/jobs", {"id": "j"})
    assert len(service.requests) == 1


@pytest.mark.parametrize(("status", "code"), [(404, "JobNotFound"), (409, "JobBeingDeleted")])
async def test_a_repeated_delete_that_finds_nothing_has_done_its_work(
    service: Service, client: Client, status: int, code: str
) -> None:
    service.on("DELETE", "/jobs/j", refuses(503, "ServerBusy"), refuses(status, code))
    await client.delete("/jobs/j")


async def test_a_first_delete_that_finds_nothing_is_refused(
    service: Service, client: Client
) -> None:
    service.on("DELETE", "/jobs/j", refuses(404, "JobNotFound", "The specified job is not there."))
    with pytest.raises(ServiceFault) as caught:
        await client.delete("/jobs/j")
    assert caught.value.code == "JobNotFound"
    assert caught.value.where == "DELETE /jobs/j answered 404"
    assert caught.value.why == ["JobNotFound: The specified job is not there."]


async def test_values_of_a_refusal_are_told(service: Service, client: Client) -> None:
    service.on("POST", "/jobs", refuses(400, "InvalidPropertyValue", "Bad.", PropertyName="id"))
    with pytest.raises(ServiceFault) as caught:
        await client.post("/jobs", {})
    assert "PropertyName: id" in caught.value.why


async def test_a_wrong_key_is_told_without_showing_it(service: Service) -> None:
    settings = replace(service.settings, key=b"another")
    async with Client(settings) as client:
        with pytest.raises(ServiceFault) as caught:
            await client.get("/jobs")
    assert caught.value.code == "AuthenticationFailed"
    assert "key" in (caught.value.mend or "")
    assert "another" not in caught.value.block()


async def test_what_is_no_batch_service_is_named_as_such(service: Service, client: Client) -> None:
    service.on("GET", "/jobs", lambda _: web.Response(status=418, text="<html>teapot"))
    with pytest.raises(ServiceFault) as caught:
        await client.get("/jobs")
    assert caught.value.code == ""
    assert "really a Batch service" in (caught.value.mend or "")


async def test_nothing_listening_is_unreachable(service: Service, unused_tcp_port: int) -> None:
    settings = replace(service.settings, endpoint=f"http://127.0.0.1:{unused_tcp_port}")
    async with Client(settings, patience_s=0) as client:
        with pytest.raises(Unreachable, match="nothing listens") as caught:
            await client.get("/jobs")
    assert "shoal dev" in (caught.value.mend or "")


def content(text: bytes) -> Any:
    """Return the script of a file: HEAD and ranged GET, answered 200 as the service does."""

    def answer(request: Request) -> web.StreamResponse:
        if request.method == "HEAD":
            return web.Response(headers={"Content-Length": str(len(text))})
        first, _, last = request.headers["ocp-range"].removeprefix("bytes=").partition("-")
        return web.Response(body=text[int(first) : int(last) + 1])

    return answer


async def test_a_file_is_read_whole_by_a_range_up_to_its_size(
    service: Service, client: Client
) -> None:
    answer = content(b"0123456789")
    service.on("HEAD", "/f", answer).on("GET", "/f", answer)
    assert b"".join([chunk async for chunk in client.read_file("/f")]) == b"0123456789"
    assert service.requests[1].headers["ocp-range"] == "bytes=0-9"


async def test_an_empty_file_takes_no_ranged_request(service: Service, client: Client) -> None:
    service.on("HEAD", "/f", content(b""))
    assert [chunk async for chunk in client.read_file("/f")] == []
    assert len(service.requests) == 1


async def test_a_file_that_arrives_in_part_is_taken_up_where_it_broke(
    service: Service, client: Client
) -> None:
    whole = content(b"0123456789")
    service.on("HEAD", "/f", whole)
    service.on("GET", "/f", lambda _: web.Response(body=b"0123"), whole)
    assert b"".join([chunk async for chunk in client.read_file("/f")]) == b"0123456789"
    assert service.requests[-1].headers["ocp-range"] == "bytes=4-9"


async def test_a_refused_file_is_explained_although_head_has_no_body(
    service: Service, client: Client
) -> None:
    service.on("HEAD", "/f", lambda _: web.Response(status=409))
    service.on("GET", "/f", refuses(409, "TaskFilesCleanedup", "Gone."))
    with pytest.raises(ServiceFault) as caught:
        await client.file_facts("/f")
    assert caught.value.code == "TaskFilesCleanedup"


async def test_what_was_turned_away_at_the_door_is_sent_again_when_it_asks_for_it(
    service: Service,
) -> None:
    def busy(_: Request) -> web.StreamResponse:
        answer = refusal(503, "ServerBusy", "Too much.")
        answer.headers["Retry-After"] = "7"
        return answer

    service.on("POST", "/jobs", busy, (201, None))
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async with Client(service.settings, patience_s=60, sleep=sleep) as client:
        await client.post("/jobs", {"id": "j"})
    assert len(service.seen("POST", "/jobs")) == 2
    (seconds,) = waited
    assert 5 < seconds < 9


async def test_a_token_is_sent_as_it_is(service: Service) -> None:
    settings = replace(service.settings, token="t.o.k", key=b"")
    async with Client(settings) as client:
        with pytest.raises(ServiceFault):
            await client.get("/jobs")
    assert service.requests[0].headers["authorization"] == "Bearer t.o.k"


async def test_a_file_that_holds_no_certificates_is_named(service: Service, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(UsageFault, match=name):
            async with Client(replace(service.settings, ca_file=str(tmp_path / name))):
                pass
