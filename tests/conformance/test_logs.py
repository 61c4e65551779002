"""Uploads of a node's logs through the real application; the agent behind it is scripted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shoal_protocol.messages import LogsReply, LogsRequest
from tests.conformance.conftest import Caller, House, pool_body, with_node

BODY = {"containerUrl": "https://store/c?sig=hush", "startTime": "2026-05-01T10:00:00Z"}


@pytest.fixture
async def path(house: House, caller: Caller) -> str:
    """Where the logs of an idle node are asked for."""
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    return f"/pools/p1/nodes/{await with_node(house)}/uploadbatchservicelogs"


async def test_the_agent_is_asked_and_its_answer_told(
    house: House, caller: Caller, path: str
) -> None:
    house.links.replies = [LogsReply(0, file_count=2)]
    answer = await caller.post(path, BODY | {"endTime": "2026-05-01T11:00:00Z"})
    node_id = path.split("/")[4]
    directory = f"testaccount/p1/{node_id}/{answer.headers['request-id']}"
    kind = "Microsoft.Azure.Batch.Protocol.Entities.UploadBatchServiceLogsResult"
    assert answer.json == {
        "odata.metadata": f"{caller.base}/$metadata#{kind}",
        "virtualDirectoryName": directory,
        "numberOfFilesUploaded": 2,
    }
    begin = datetime(2026, 5, 1, 10, tzinfo=UTC)
    expected = LogsRequest(0, BODY["containerUrl"], directory, begin, begin.replace(hour=11))
    assert house.links.requests == [expected]


@pytest.mark.parametrize(
    ("changes", "code", "name"),
    [
        ({"containerUrl": None}, "MissingRequiredProperty", "containerUrl"),
        ({"containerUrl": "file:///etc"}, "InvalidPropertyValue", "containerUrl"),
        ({"startTime": None}, "MissingRequiredProperty", "startTime"),
        ({"startTime": "now"}, "InvalidPropertyValue", "startTime"),
        ({"endTime": "2026-04-30"}, "InvalidPropertyValue", "endTime"),
        (
            {"identityReference": {"resourceId": "x"}},
            "UnsupportedProperty",
            "identityReference",
        ),
    ],
)
async def test_what_cannot_be_uploaded_is_refused_with_the_property(
    house: House, caller: Caller, path: str, changes: dict[str, Any], code: str, name: str
) -> None:
    answer = await caller.post(path, BODY | changes)
    assert (answer.status, answer.code, answer.values["PropertyName"]) == (400, code, name)
    assert house.links.requests == []


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (LogsReply(0, "FileUploadAccessDenied", "403"), 400, "InvalidPropertyValue"),
        (LogsReply(0, "no_log", ""), 409, "OperationNotValidOnNode"),
        (LogsReply(0, "failed", "disk"), 409, "NodeStateUnusable"),
    ],
)
async def test_an_upload_that_fails_says_why_and_tells_no_signature(
    house: House, caller: Caller, path: str, reply: LogsReply, status: int, code: str
) -> None:
    house.links.replies = [reply]
    answer = await caller.post(path, BODY)
    assert (answer.status, answer.code) == (status, code)
    assert b"hush" not in answer.body


async def test_a_node_that_is_away_is_said_to_be(caller: Caller, path: str) -> None:
    answer = await caller.post(path, BODY)
    assert (answer.status, answer.code) == (409, "NodeStateUnusable")
    await caller.post(path.replace("uploadbatchservicelogs", "reboot"))
    answer = await caller.post(path, BODY)
    assert (answer.status, answer.code) == (409, "NodeBeingRebooted")
    answer = await caller.post("/pools/p1/nodes/nope/uploadbatchservicelogs", BODY)
    assert (answer.status, answer.code) == (404, "NodeNotFound")
