"""Files of tasks and nodes through the real application; the agent's answers are scripted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from aiohttp import ClientError

from shoal_controller.api.call import http_date
from shoal_protocol.messages import FileAction, FileEntry, FileReply
from tests.conformance.conftest import (
    Caller,
    House,
    job_body,
    pool_body,
    task_body,
    with_node,
    with_run,
)

TASK = "/jobs/j1/tasks/t1/files"


@pytest.fixture(autouse=True)
async def node(house: House, caller: Caller) -> str:
    """The path of a node's files; task t1 of j1 ran there."""
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    await caller.make("/jobs", job_body())
    await caller.make("/jobs/j1/tasks", task_body())
    await with_run(house)
    return f"/pools/p1/nodes/{await with_node(house)}/files"


def a_file(house: House, name: str = "stdout.txt", length: int = 5) -> FileEntry:
    return FileEntry(name, False, length, house.clock.now().replace(microsecond=17850), 0o100644)


def a_directory(house: House, name: str = "wd") -> FileEntry:
    return FileEntry(name, True, 0, house.clock.now(), 0o40755)


def reply(*entries: FileEntry, data: bytes = b"", more: bool = False, error: str = "") -> FileReply:
    return FileReply(0, error, entries=entries, data=data, more=more)


async def test_a_list_tells_files_and_directories(house: House, caller: Caller) -> None:
    house.links.replies = [reply(a_file(house), a_directory(house), a_file(house, "wd/é b", 0))]
    answer = await caller.get(TASK, "recursive=true")
    assert answer.json == {
        "odata.metadata": f"{caller.base}/$metadata#files",
        "value": [
            {
                "name": "stdout.txt",
                "url": f"{caller.base}{TASK}/stdout.txt",
                "isDirectory": False,
                "properties": {
                    "lastModified": "2026-05-01T12:00:00.01785Z",
                    "contentLength": "5",
                    "contentType": "text/plain",
                    "fileMode": "0o100644",
                },
            },
            {"name": "wd", "url": f"{caller.base}{TASK}/wd", "isDirectory": True},
            {
                "name": "wd/é b",
                "url": f"{caller.base}{TASK}/wd/%C3%A9%20b",
                "isDirectory": False,
                "properties": {
                    "lastModified": "2026-05-01T12:00:00.01785Z",
                    "contentLength": "0",
                    "contentType": "application/octet-stream",
                    "fileMode": "0o100644",
                },
            },
        ],
    }
    (request,) = house.links.requests
    assert (request.action, request.path) == (FileAction.LIST, "workitems/j1/job-1/t1")
    assert request.recursive


async def test_a_list_goes_on_behind_the_last_name(house: House, caller: Caller, node: str) -> None:
    odd = "a+b é\udcff"  # a name on a disk is bytes, not always UTF-8
    house.links.replies = [reply(a_file(house, odd), more=True), reply(a_file(house, "c"))]
    pages = await caller.pages(node, "maxresults=1&$filter=startswith(name,%27%27)")
    assert [[item["name"] for item in page] for page in pages] == [["a+b é\\udcff"], ["c"]]
    assert [request.after for request in house.links.requests] == ["", odd]


@pytest.mark.parametrize(
    "query",
    [
        "recursive=maybe",
        "$filter=name%20eq%20%27a%27",
        "$filter=startswith(url,%27a%27)",
        "$filter=startswith(name,%27a%27)%20or%20startswith(name,%27b%27)",
        "maxresults=0",
    ],
)
async def test_a_list_that_cannot_be_is_refused(house: House, caller: Caller, query: str) -> None:
    assert (await caller.get(TASK, query)).status == 400
    assert house.links.requests == []


@pytest.mark.parametrize("path", ["wd%2Fsub%2Fout.txt", "wd/sub/out.txt", "wd%2fsub/out.txt"])
async def test_a_path_is_one_segment_or_several(house: House, caller: Caller, path: str) -> None:
    house.links.replies = [reply(a_file(house, "out.txt"))]
    answer = await caller.send("HEAD", f"{TASK}/{path}")
    assert answer.status == 200
    assert house.links.requests[0].path == "workitems/j1/job-1/t1/wd/sub/out.txt"


async def test_head_tells_what_get_would(house: House, caller: Caller) -> None:
    entry = a_file(house)
    house.links.replies = [reply(entry)]
    answer = await caller.send("HEAD", f"{TASK}/stdout.txt")
    assert (answer.status, answer.body) == (200, b"")
    headers = answer.headers
    assert headers["Content-Length"] == "5"
    assert headers["Content-Type"] == "text/plain"
    assert headers["Last-Modified"] == http_date(entry.modified_at)
    assert headers["ocp-batch-file-isdirectory"] == "False"
    assert headers["ocp-batch-file-mode"] == "0o100644"
    url = f"{caller.base}{TASK}/stdout.txt".replace(":", "%3A").replace("/", "%2F")
    assert headers["ocp-batch-file-url"] == url
    assert "ETag" not in headers
    assert "ocp-creation-time" not in headers


async def test_head_of_a_directory_says_that_it_is_one(house: House, caller: Caller) -> None:
    house.links.replies = [reply(a_directory(house))]
    answer = await caller.send("HEAD", f"{TASK}/wd")
    assert answer.headers["ocp-batch-file-isdirectory"] == "True"
    assert answer.headers["Content-Length"] == "0"


@pytest.mark.parametrize(
    ("given", "first", "length", "expected"),
    [
        (None, 0, 10, b"0123456789"),
        ("bytes=0-3", 0, 4, b"0123"),
        ("bytes=4-", 4, 6, b"456789"),
        ("bytes=8-100", 8, 2, b"89"),
        ("bytes=-3", 7, 3, b"789"),
        ("bytes=-30", 0, 10, b"0123456789"),
    ],
)
async def test_a_range_is_answered_with_200(
    house: House, caller: Caller, given: str | None, first: int, length: int, expected: bytes
) -> None:
    house.links.replies = [reply(a_file(house, length=10)), reply(data=expected)]
    headers = {} if given is None else {"ocp-range": given}
    answer = await caller.get(f"{TASK}/stdout.txt", headers=headers)
    assert (answer.status, answer.body) == (200, expected)
    assert answer.headers["Content-Type"] == "text/plain"
    request = house.links.requests[1]
    assert (request.action, request.offset, request.length) == (FileAction.READ, first, length)


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ("bytes=10-12", 416, "InvalidRange"),
        ("bytes=3-2", 416, "InvalidRange"),
        ("bytes=-0", 416, "InvalidRange"),
        ("bytes=", 400, "InvalidHeaderValue"),
        ("bytes=-", 400, "InvalidHeaderValue"),
        ("bytes=0-1,3-4", 400, "InvalidHeaderValue"),
        ("lines=0-1", 400, "InvalidHeaderValue"),
        ("bytes=" + "9" * 30 + "-", 400, "InvalidHeaderValue"),
    ],
)
async def test_a_range_that_cannot_be_is_refused(
    house: House, caller: Caller, given: str, status: int, code: str
) -> None:
    house.links.replies = [reply(a_file(house, length=10))]
    answer = await caller.get(f"{TASK}/stdout.txt", headers={"ocp-range": given})
    assert (answer.status, answer.code) == (status, code)


async def test_an_empty_file_is_an_empty_answer(house: House, caller: Caller) -> None:
    house.links.replies = [reply(a_file(house, length=0))]
    answer = await caller.get(f"{TASK}/stdout.txt")
    assert (answer.status, answer.body) == (200, b"")


async def test_a_file_comes_in_pieces(house: House, caller: Caller) -> None:
    pieces = [bytes([number]) * (1 << 20) for number in range(3)]
    entry = a_file(house, length=3 << 20)
    house.links.replies = [reply(entry), *(reply(data=piece) for piece in pieces)]
    answer = await caller.get(f"{TASK}/stdout.txt")
    assert answer.body == b"".join(pieces)


async def test_a_file_that_grew_is_read_to_the_length_that_was_seen(
    house: House, caller: Caller
) -> None:
    house.links.replies = [reply(a_file(house, length=5)), reply(data=b"helloworld")]
    assert (await caller.get(f"{TASK}/stdout.txt")).body == b"hello"


async def test_a_file_that_breaks_off_is_not_taken_for_whole(house: House, caller: Caller) -> None:
    house.links.replies = [reply(a_file(house, length=2 << 20)), reply(data=b"x" * (1 << 20))]
    with pytest.raises(ClientError):
        await caller.get(f"{TASK}/stdout.txt")


async def test_a_file_has_conditions_by_date(house: House, caller: Caller) -> None:
    entry = a_file(house)
    headers = {"If-Modified-Since": http_date(entry.modified_at)}
    house.links.replies = [reply(entry), reply(entry)]
    assert (await caller.get(f"{TASK}/stdout.txt", headers=headers)).status == 304
    headers = {"If-Unmodified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"}
    assert (await caller.get(f"{TASK}/stdout.txt", headers=headers)).status == 412


@pytest.mark.parametrize(
    "path", ["..%2Fx", "wd/../../x", "%2Fetc%2Fpasswd%2F..", "a%00b", "wd%2F%2E%2E%2Fx", ""]
)
async def test_a_path_that_leads_elsewhere_is_not_found(
    house: House, caller: Caller, path: str
) -> None:
    for method in ("GET", "DELETE"):
        answer = await caller.send(method, f"{TASK}/{path}")
        assert (answer.status, answer.code) == (404, "FileNotFound")
    assert house.links.requests == []


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ("not_found", 404, "FileNotFound"),
        ("refused", 404, "FileNotFound"),
        ("not_empty", 409, "OperationInvalidForCurrentState"),
    ],
)
async def test_what_the_node_refuses_is_told(
    house: House, caller: Caller, error: str, status: int, code: str
) -> None:
    house.links.replies = [reply(error=error)]
    answer = await caller.send("DELETE", f"{TASK}/wd")
    assert (answer.status, answer.code) == (status, code)


async def test_a_directory_is_deleted_with_all_in_it_when_asked(
    house: House, caller: Caller, node: str
) -> None:
    house.links.replies = [reply(), reply()]
    assert (await caller.send("DELETE", f"{TASK}/wd", query="recursive=true")).status == 200
    assert (await caller.send("DELETE", f"{node}/shared%2Fx")).status == 200
    assert [(request.path, request.recursive) for request in house.links.requests] == [
        ("workitems/j1/job-1/t1/wd", True),
        ("shared/x", False),
    ]


async def test_a_node_that_is_away_makes_files_unavailable(caller: Caller, node: str) -> None:
    for path, code in ((TASK, "TaskFilesUnavailable"), (node, "NodeStateUnusable")):
        for inner in ("", "/stdout.txt"):
            answer = await caller.get(path + inner)
            assert (answer.status, answer.code) == (409, code)


async def test_a_directory_cannot_be_downloaded(house: House, caller: Caller) -> None:
    house.links.replies = [reply(a_directory(house))]
    answer = await caller.get(f"{TASK}/wd")
    assert (answer.status, answer.code) == (409, "OperationInvalidForCurrentState")


async def test_a_list_that_cannot_go_on_says_why(caller: Caller, house: House) -> None:
    house.links.replies = [FileReply(0, "too_deep", "its path is too long: d/d")]
    answer = await caller.get(TASK, "recursive=true")
    assert (answer.status, answer.code) == (409, "OperationInvalidForCurrentState")
    assert "its path is too long: d/d" in answer.values["Reason"]


async def test_files_of_the_ends_of_time_are_told(caller: Caller, house: House) -> None:
    first = replace(a_file(house, "a"), modified_at=datetime.min.replace(tzinfo=UTC))
    last = replace(a_file(house, "b"), modified_at=datetime.max.replace(tzinfo=UTC))
    house.links.replies = [reply(first, last), reply(first), reply(last)]
    listed = (await caller.get(TASK)).json["value"]
    times = [item["properties"]["lastModified"] for item in listed]
    assert times == ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"]
    for name, shown in (
        ("a", "Mon, 01 Jan 0001 00:00:00 GMT"),
        ("b", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ):
        answer = await caller.send("HEAD", f"{TASK}/{name}")
        assert (answer.status, answer.headers["Last-Modified"]) == (200, shown)


async def test_a_node_that_promises_more_and_shows_nothing_is_not_asked_for_ever(
    caller: Caller, house: House
) -> None:
    house.links.replies = [reply(more=True)] * 3
    assert (await caller.get(TASK)).json["value"] == []
    assert len(house.links.requests) == 1
