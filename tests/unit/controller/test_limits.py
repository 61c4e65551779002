"""The page about limits tells those that the code has."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal_controller import serving
from shoal_controller.api import call, paging
from shoal_controller.api.wire import task
from shoal_controller.blobgateway.web import call as blob_call
from shoal_controller.core.odata import parse
from shoal_controller.links import listener

PAGE = (Path(__file__).parents[3] / "docs" / "security.md").read_text()
ROWS = {
    cells[0].removeprefix("| "): cells[1]
    for line in PAGE.splitlines()
    if len(cells := line.split(" | ")) == 3
}


@pytest.mark.parametrize(
    ("row", "limits"),
    [
        ("request line, or one header", (serving.HEADER_BYTES_MAX,)),
        ("headers of a request", (serving.HEADERS_MAX,)),
        (
            "no whole request since the connection began, or since the last answer",
            (serving.IDLE_S_MAX,),
        ),
        ("connections that wait for a request", (serving.WAITING_MAX,)),
        ("rest of a body that nobody wants", (serving.UNREAD_S_MAX,)),
        ("an answer of which the client takes nothing", (serving.WRITE_S_MAX,)),
        ("body of the Batch API, unpacked", (call.BODY_BYTES_MAX,)),
        ("time for that body", (call.BODY_WAIT_S,)),
        ("tasks in a collection", (task.TASKS_PER_REQUEST_MAX,)),
        ("`$filter`", (parse.TEXT_CHARACTERS_MAX, parse.DEPTH_MAX)),
        ("items of a page", (paging.PAGE_MAX,)),
        ("body of a join", (listener.JOIN_BYTES_MAX, listener.JOIN_S_MAX)),
        ("a piece of an upload to the storage", (blob_call.BODY_WAIT_S,)),
    ],
)
def test_a_row_tells_the_limit_of_the_code(row: str, limits: tuple[float, ...]) -> None:
    for limit in limits:
        assert f"{limit:,.0f}" in ROWS[row]
