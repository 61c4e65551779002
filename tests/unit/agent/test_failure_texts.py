"""What users read in the details of a failure: enough to act on, no secrets, no insides of ours."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from shoal_agent.core.environment import Account
from shoal_agent.core.instructions import PrepareFiles, UploadOutputs
from shoal_agent.core.launches import launch_failure
from shoal_agent.core.spawning import Failed
from shoal_agent.steps import http, resource_files
from shoal_agent.steps.outputs import upload_outputs
from shoal_agent.steps.resource_files import prepare_files
from shoal_protocol.specs import FailureInfo, OutputFile, ResourceFile

ME = Account("me")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF_S_MIN", 0.001)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port whose queue is full: who connects hears nothing."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def message_for(session: aiohttp.ClientSession, root: Path, url: str) -> str:
    wd = f"{root}/t/wd"
    files = (ResourceFile(http_url=f"{url}?sig=secret", file_path="f"),)
    step = PrepareFiles(wd, ((f"{root}/t", 0o755), (wd, 0o770)), files, None)
    reason = await prepare_files(step, ME, str(root), session, asyncio.Semaphore(4))
    assert reason is not None
    assert "secret" not in str(reason)
    return dict(reason.details)["Message"]


async def test_a_server_that_is_not_there_is_named_with_the_systems_reason(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    with socket.socket() as closed:  # bound and not listening: nobody else takes the port
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        message = await message_for(session, tmp_path, f"http://127.0.0.1:{port}/f")
    assert message == f"cannot connect to 127.0.0.1:{port}: {os.strerror(errno.ECONNREFUSED)}"


async def test_a_connection_that_takes_too_long_does_not_tell_the_signature(
    tmp_path: Path,
    session: aiohttp.ClientSession,
    silent_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource_files, "TIMEOUT", aiohttp.ClientTimeout(sock_connect=0.05))
    message = await message_for(session, tmp_path, f"http://127.0.0.1:{silent_port}/f")
    assert message == "connecting took too long"


async def test_a_row_of_redirects_does_not_tell_the_signature(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async def again(request: web.Request) -> web.Response:
        raise web.HTTPFound(str(request.rel_url))

    app = web.Application()
    app.router.add_get("/f", again)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/f"
        assert await message_for(session, tmp_path, url) == "too many redirects"
    finally:
        await runner.cleanup()


def test_a_long_command_line_is_repeated_in_part() -> None:
    program = "p" * 300
    event = Failed("key", errno.ENOENT, "program")
    details = dict(launch_failure(event, program).details)
    assert details["CommandLine"] == program[:256] + "..."
    assert dict(launch_failure(event, "short").details)["CommandLine"] == "short"


async def test_an_output_whose_name_is_no_text_is_named_in_its_failure(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    wd = tmp_path / "t" / "wd"
    wd.mkdir(parents=True)
    (wd / os.fsdecode(b"bad\xff")).touch()
    step = UploadOutputs(f"{tmp_path}/t", (OutputFile("**/*", "http://127.0.0.1/c"),), {}, ME)
    reason = await upload_outputs(step, ME, str(tmp_path), session, asyncio.Semaphore(4))
    assert isinstance(reason, FailureInfo)
    assert reason.code == "FileUploadMiscError"
    assert dict(reason.details)["FilePath"] == f"{wd}/bad\\xff"
    assert "bad\\xff" in (wd.parent / "fileuploaderr.txt").read_text()
