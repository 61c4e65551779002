"""`shoal run` as a process in front of a scripted service: what it makes, shows, and takes away."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from shoal_cli.faults import UsageFault
from shoal_cli.render import Output
from shoal_cli.running import exit_code, split_file
from tests.unit.cli.service import Request, Service, refusal, refuses

POOL = "/pools/shoal-run-1x1"
OWN_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
"""With this, Ctrl-C typed at the terminal that is stdin becomes a signal."""
SHOAL = "from shoal_cli.main import main; main()"


class OneTask:
    """A service with a pool, where one job's one task lives through `states`.

    Every look at the task moves it on by one state; the last one stays. Terminating ends it.
    """

    def __init__(self, service: Service, *states: dict[str, Any], out: bytes, err: bytes) -> None:
        self.service = service
        self.states = list(states)
        self.files = {"stdout.txt": out, "stderr.txt": err}
        self.job = ""
        service.on("GET", POOL, (200, {"id": "p", "state": "active"}))
        service.on("POST", "/jobs", self.make_job)

    def make_job(self, request: Request) -> web.StreamResponse:
        self.job = request.body["id"]
        task = f"/jobs/{self.job}/tasks/main"
        service = self.service
        service.on("POST", f"/jobs/{self.job}/tasks", (201, None))
        service.on("GET", task, self.look).on("DELETE", f"/jobs/{self.job}", (202, None))
        service.on("POST", f"{task}/terminate", self.terminate)
        for name in self.files:
            service.on("HEAD", f"{task}/files/{name}", self.read)
            service.on("GET", f"{task}/files/{name}", self.read)
        return web.Response(status=201)

    def look(self, _: Request) -> web.StreamResponse:
        return web.json_response(self.states.pop(0) if len(self.states) > 1 else self.states[0])

    def terminate(self, _: Request) -> web.StreamResponse:
        failure = {"code": "TaskEnded", "message": "Ended."}
        self.states = [{"state": "completed", "executionInfo": {"failureInfo": failure}}]
        return web.Response(status=204)

    def read(self, request: Request) -> web.StreamResponse:
        content = self.files[request.path.rpartition("/")[2]]
        if request.method == "HEAD":
            return web.Response(headers={"Content-Length": str(len(content))})
        first, _, last = request.headers["ocp-range"].removeprefix("bytes=").partition("-")
        return web.Response(body=content[int(first) : int(last) + 1])


async def start(service: Service, folder: Path, *arguments: str) -> Process:
    environment = {**os.environ, **service.environment, "XDG_CONFIG_HOME": str(folder)}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", SHOAL, "run", *arguments,
        env=environment, cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip


async def test_output_comes_whole_and_the_exit_code_is_the_commands(
    service: Service, tmp_path: Path
) -> None:
    one = OneTask(
        service,
        {"state": "active"},
        {"state": "running"},
        {"state": "completed", "executionInfo": {"exitCode": 7}},
        out=b"out \xff\n",
        err=b"err\n",
    )
    process = await start(service, tmp_path, "-e", "A=b", "--", "say", "it's", "--help")
    out, err = await process.communicate()
    assert (process.returncode, out, err) == (7, b"out \xff\n", b"err\n")
    task = service.seen("POST", f"/jobs/{one.job}/tasks")[0].body
    assert task == {
        "id": "main",
        "commandLine": "say 'it'\"'\"'s' --help",
        "environmentSettings": [{"name": "A", "value": "b"}],
    }
    assert service.seen("DELETE", f"/jobs/{one.job}")


async def test_an_interrupt_ends_the_task_then_us(service: Service, tmp_path: Path) -> None:
    one = OneTask(service, {"state": "running"}, out=b"started\n", err=b"")
    process = await start(service, tmp_path, "--", "sleep", "600")
    assert process.stdout is not None
    assert await process.stdout.readline() == b"started\n"
    process.send_signal(signal.SIGINT)
    await process.communicate()
    assert process.returncode == 130
    assert service.seen("POST", f"/jobs/{one.job}/tasks/main/terminate")
    assert service.seen("DELETE", f"/jobs/{one.job}")


@pytest.mark.parametrize(("typed", "code"), [(b"n\n", 1), (b"\x03", 130)])
async def test_a_person_is_asked_before_something_is_deleted(
    service: Service, tmp_path: Path, typed: bytes, code: int
) -> None:
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"{OWN_TERMINAL}; {SHOAL}", "pool", "delete", "p",
        env={**os.environ, **service.environment}, cwd=tmp_path,
        stdin=theirs, stdout=PIPE, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    told = b""
    while b"[y/N]" not in told:
        told += await asyncio.to_thread(os.read, ours, 4096)
    while process.returncode is None:
        # A signal that comes just before the read begins is noticed with the next one only.
        os.write(ours, typed)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await process.wait()
    assert process.returncode == code
    os.close(ours)
    assert service.requests == []


async def test_who_reads_no_more_ends_the_run_without_noise(
    service: Service, tmp_path: Path
) -> None:
    one = OneTask(service, {"state": "running"}, out=b"started\n", err=b"")
    process = await start(service, tmp_path, "--", "yes")
    assert process.stdout is not None
    assert process.stderr is not None
    await process.stdout.readline()
    process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
    one.files["stdout.txt"] += b"more\n"
    assert await process.stderr.read() == b""
    assert await process.wait() == 141
    assert service.seen("DELETE", f"/jobs/{one.job}")


async def test_a_pool_of_its_own_goes_with_the_run_even_if_the_job_cannot_be_made(
    service: Service, tmp_path: Path
) -> None:
    made: list[str] = []

    def make_pool(request: Request) -> web.StreamResponse:
        made.append(request.body["id"])
        service.on("DELETE", f"/pools/{made[0]}", (202, None))
        return web.Response(status=201)

    image = {"imageReference": {}, "osType": "linux", "verificationType": "verified"}
    service.on("GET", "/supportedimages", (200, {"value": [image]}))
    service.on("POST", "/pools", make_pool)
    service.on("POST", "/jobs", refuses(409, "ActiveJobAndScheduleQuotaReached"))
    handle = service.handle

    async def with_missing(raw: web.BaseRequest) -> web.StreamResponse:
        """Answer 404 for the pool and the job whose ids the command chose."""
        answer = await handle(raw)
        return refusal(404, "NotFound", "No.") if answer.status == 501 else answer

    service.handle = with_missing  # type: ignore[method-assign]
    process = await start(service, tmp_path, "--rm", "--", "true")
    _, err = await process.communicate()
    assert process.returncode == 1
    assert b"ActiveJobAndScheduleQuotaReached" in err
    assert service.seen("DELETE", f"/pools/{made[0]}")


@pytest.mark.parametrize(
    ("info", "code"),
    [
        ({"exitCode": 0, "result": "success"}, 0),
        ({"exitCode": 3, "failureInfo": {"code": "FailureExitCode"}}, 3),
        ({"exitCode": -9, "failureInfo": {"code": "FailureExitCode"}}, 137),
        ({"exitCode": 3221225786, "failureInfo": {"code": "TaskEnded"}}, 1),
        ({"failureInfo": {"code": "CommandProgramNotFound"}}, 127),
        ({"failureInfo": {"code": "CommandLaunchFailed"}}, 126),
        ({"failureInfo": {"code": "BlobNotFound"}}, 1),
    ],
)
def test_exit_codes_are_those_of_a_shell(info: dict[str, Any], code: int) -> None:
    assert exit_code({"state": "completed", "executionInfo": info}, Output(quiet=True)) == code


def test_a_file_to_send_has_a_place_inside_the_working_directory(tmp_path: Path) -> None:
    file = tmp_path / "a.sh"
    file.touch()
    assert split_file(str(file)) == (file, "a.sh")
    assert split_file(f"{file}:bin/b.sh") == (file, "bin/b.sh")
    for wrong in (str(tmp_path), f"{file}:/etc/x", f"{file}:../x", f"{file}:a/../../x"):
        with pytest.raises(UsageFault):
            split_file(wrong)
