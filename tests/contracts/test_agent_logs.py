"""A real agent uploads its own log to a container that is there, closed, or nowhere."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from shoal_agent.logs import chosen
from shoal_protocol.messages import LogsReply, LogsRequest
from shoal_protocol.specs import NodeConfig
from tests.contracts.agent_node import AgentNode

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Container:
    """Takes blobs whose URL is signed, and remembers them."""

    def __init__(self) -> None:
        self.blobs: dict[str, str] = {}
        self.url = ""

    async def put(self, request: web.Request) -> web.Response:
        if request.query.get("sig") != "ok":
            raise web.HTTPForbidden
        self.blobs[request.match_info["name"]] = await request.text()
        return web.Response(status=201)


@pytest.fixture
async def container() -> AsyncIterator[Container]:
    container = Container()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_put("/c/{name:.+}", container.put)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    container.url = f"http://127.0.0.1:{runner.addresses[0][1]}/c"
    yield container
    await runner.cleanup()


async def ask(node: AgentNode, url: str, begin: datetime) -> LogsReply:
    number = len(node.controller.all(LogsReply)) + 1
    node.controller.tell(LogsRequest(number, url, "a/dir", begin))
    return (await node.controller.hear(LogsReply, number))[-1]


async def test_an_agent_uploads_what_it_printed(tmp_path: Path, container: Container) -> None:
    log = tmp_path / "agent.log"
    log.with_name("agent.log.1").write_text("older\n")
    node = AgentNode(tmp_path, NodeConfig("a", "https://a/", "p", "n"), log_file=str(log))
    await node.begin()
    try:
        await node.controller.ready()
        reply = await ask(node, f"{container.url}?sig=ok", LONG_AGO)
        assert (reply.error, reply.file_count) == ("", 2)
        assert set(container.blobs) == {"a/dir/agent.log", "a/dir/agent.log.1"}
        assert "linked to" in container.blobs["a/dir/agent.log"]
        later = await ask(node, f"{container.url}?sig=ok", datetime.now(UTC) + HOUR)
        assert (later.error, later.file_count) == ("", 0)
        closed = await ask(node, f"{container.url}?sig=hush", LONG_AGO)
        assert closed.error == "FileUploadAccessDenied"
        assert "hush" not in closed.reason
        assert "hush" not in log.read_text()
    finally:
        await node.end()


async def test_an_agent_without_a_log_file_says_so(tmp_path: Path, container: Container) -> None:
    node = AgentNode(tmp_path, NodeConfig("a", "https://a/", "p", "n"))
    await node.begin()
    try:
        await node.controller.ready()
        assert (await ask(node, f"{container.url}?sig=ok", LONG_AGO)).error == "no_log"
        assert container.blobs == {}
    finally:
        await node.end()


@pytest.mark.parametrize(
    ("begin", "end", "names"),
    [
        (0, None, ["a.log.1", "a.log"]),
        (1, None, ["a.log.1", "a.log"]),
        (1.5, None, ["a.log"]),
        (2.5, None, []),
        (0, 0.5, ["a.log.1"]),
        (0, 1, ["a.log.1", "a.log"]),
        (1.5, 1.7, ["a.log"]),
    ],
)
def test_only_parts_that_were_written_in_between_are_chosen(
    tmp_path: Path, begin: float, end: float | None, names: list[str]
) -> None:
    for name, hours in (("a.log.1", 1), ("a.log", 2)):
        (tmp_path / name).write_text(name)
        at_s = (LONG_AGO + hours * HOUR).timestamp()
        os.utime(tmp_path / name, (at_s, at_s))
    until = None if end is None else LONG_AGO + end * HOUR
    found = chosen(tmp_path / "a.log", LONG_AGO + begin * HOUR, until)
    assert [path.name for path in found] == names


def test_a_log_that_is_not_there_has_no_parts(tmp_path: Path) -> None:
    assert list(chosen(tmp_path / "a.log", LONG_AGO, None)) == []
