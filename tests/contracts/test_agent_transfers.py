"""Resource files and output files: the steps themselves against a server that misbehaves on cue,
and whole runs through a real agent.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web

from shoal_agent.core.environment import Account
from shoal_agent.core.instructions import PrepareFiles, UploadOutputs
from shoal_agent.steps import blobs, http
from shoal_agent.steps.outputs import upload_outputs
from shoal_agent.steps.resource_files import prepare_files
from shoal_protocol.messages import KillTask, RunGone, RunStarted
from shoal_protocol.specs import FailureInfo, OutputFile, ResourceFile, UploadCondition
from tests.contracts.agent_node import AgentNode

BODY = bytes(range(256)) * 20_000  # 5 MB: several pieces


class Store:
    """A container `c` behind the signature `sig=ok`, and files with faults."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.blocks: dict[str, bytes] = {}
        self.headers: dict[str, str] = {}
        self.requests: list[str] = []
        self.url = ""
        self.hanging = asyncio.Event()

    async def file(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self.requests.append(name + request.headers.get("Range", ""))
        tries = sum(one.startswith(name) for one in self.requests)
        match name:
            case "missing":
                raise web.HTTPNotFound
            case "forbidden":
                raise web.HTTPForbidden
            case "broken":
                raise web.HTTPServiceUnavailable
            case "recovers" if tries < 3:
                raise web.HTTPServiceUnavailable
            case "hangs":
                await self.hanging.wait()
        start = 0
        if name == "changes" and tries > 1 and "Range" in request.headers:
            raise web.HTTPPreconditionFailed
        if "Range" in request.headers:
            start = int(request.headers["Range"].removeprefix("bytes=").rstrip("-"))
        answer = web.StreamResponse(status=206 if start else 200)
        answer.content_length = len(BODY) - start
        answer.headers["ETag"] = '"v1"'
        await answer.prepare(request)
        if name in ("truncated", "changes") and tries < 3 and not (name == "changes" and tries > 1):
            await answer.write(BODY[start : start + 1_000_000])
            assert request.transport is not None
            request.transport.abort()
        else:
            await answer.write(BODY[start:])
        return answer

    async def blob(self, request: web.Request) -> web.Response:
        if request.query.get("sig") != "ok":
            raise web.HTTPForbidden
        name = request.match_info.get("name", "")
        if request.method == "PUT":
            body = await request.read()
            comp = request.query.get("comp")
            if comp == "block":
                self.blocks[request.query["blockid"]] = body
            else:
                if comp == "blocklist":
                    ids = body.decode().split("<Latest>")[1:]
                    body = b"".join(self.blocks[one.partition("<")[0]] for one in ids)
                self.blobs[name] = body
                self.headers = dict(request.headers)
            return web.Response(status=201)
        if request.query.get("comp") == "list":
            prefix, marker = request.query.get("prefix", ""), request.query.get("marker", "")
            names = sorted(n for n in self.blobs if n.startswith(prefix) and n > marker)
            rows = "".join(f"<Blob><Name>{n}</Name></Blob>" for n in names[:2])
            more = names[1] if len(names) > 2 else ""
            text = f"<E><Blobs>{rows}</Blobs><NextMarker>{more}</NextMarker></E>"
            return web.Response(text=text, content_type="application/xml")
        return web.Response(body=self.blobs[name])


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = Store()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_get("/file/{name}", store.file)
    app.router.add_get("/c", store.blob)
    app.router.add_route("*", "/c/{name:.+}", store.blob)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    store.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield store
    store.hanging.set()
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF_S_MIN", 0.001)


async def prepare(
    root: Path, session: aiohttp.ClientSession, *files: ResourceFile
) -> FailureInfo | None:
    step = PrepareFiles(
        f"{root}/t/wd", ((f"{root}/t", 0o755), (f"{root}/t/wd", 0o770)), files, None
    )
    return await prepare_files(step, Account("me"), str(root), session, asyncio.Semaphore(4))


def http_file(store: Store, name: str, path: str = "in/file", **fields: str) -> ResourceFile:
    return ResourceFile(http_url=f"{store.url}/file/{name}", file_path=path, **fields)


async def test_a_file_arrives_whole_with_its_mode(
    tmp_path: Path, store: Store, session: aiohttp.ClientSession
) -> None:
    files = http_file(store, "good"), http_file(store, "good", "run.sh", file_mode="0755")
    assert await prepare(tmp_path, session, *files) is None
    wd = tmp_path / "t" / "wd"
    assert (wd / "in" / "file").read_bytes() == BODY
    assert stat.S_IMODE((wd / "in" / "file").stat().st_mode) == 0o770
    assert stat.S_IMODE((wd / "run.sh").stat().st_mode) == 0o755


async def test_a_broken_download_goes_on_where_it_stopped(
    tmp_path: Path, store: Store, session: aiohttp.ClientSession
) -> None:
    assert await prepare(tmp_path, session, http_file(store, "truncated")) is None
    assert (tmp_path / "t" / "wd" / "in" / "file").read_bytes() == BODY
    assert len(store.requests) == 3
    assert "bytes=" in store.requests[-1]


async def test_a_source_that_changed_meanwhile_is_fetched_from_its_beginning(
    tmp_path: Path, store: Store, session: aiohttp.ClientSession
) -> None:
    assert await prepare(tmp_path, session, http_file(store, "changes")) is None
    assert (tmp_path / "t" / "wd" / "in" / "file").read_bytes() == BODY


async def test_a_server_that_is_busy_for_a_while_is_asked_again(
    tmp_path: Path, store: Store, session: aiohttp.ClientSession
) -> None:
    assert await prepare(tmp_path, session, http_file(store, "recovers")) is None
    assert len(store.requests) == 3


@pytest.mark.parametrize(
    ("name", "code", "category"),
    [
        ("missing", "BlobNotFound", "UserError"),
        ("forbidden", "BlobAccessDenied", "UserError"),
        ("broken", "BlobDownloadMiscError", "ServerError"),
    ],
)
async def test_what_cannot_be_fetched_has_its_documented_code(
    tmp_path: Path,
    store: Store,
    session: aiohttp.ClientSession,
    name: str,
    code: str,
    category: str,
) -> None:
    reason = await prepare(
        tmp_path, session, http_file(store, "good"), http_file(store, f"{name}?sig=secret")
    )
    assert reason is not None
    assert (reason.code, reason.category) == (code, category)
    assert "secret" not in str(reason)


async def test_a_silent_server_is_a_timeout(
    tmp_path: Path, store: Store, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shoal_agent.steps import resource_files

    monkeypatch.setattr(resource_files, "TIMEOUT", aiohttp.ClientTimeout(sock_read=0.05))
    reason = await prepare(tmp_path, session, http_file(store, "hangs"))
    assert reason is not None
    assert reason.code == "BlobDownloadTimedOut"


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", "a\0b", "x" * 300])
async def test_a_path_that_leads_out_is_refused(
    tmp_path: Path, store: Store, session: aiohttp.ClientSession, path: str
) -> None:
    reason = await prepare(tmp_path, session, http_file(store, "good", path))
    assert reason is not None
    assert reason.code == "ResourceFileCreateFailed"
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "nonsense", "http://", "ftp://h/x"])
async def test_a_source_that_is_no_http_url_is_refused(
    tmp_path: Path, session: aiohttp.ClientSession, url: str
) -> None:
    reason = await prepare(tmp_path, session, ResourceFile(http_url=url, file_path="x"))
    assert reason is not None
    assert reason.code == "ResourceFileCreateFailed"


async def test_links_that_others_planted_are_not_written_through(
    tmp_path: Path, store: Store, session: aiohttp.ClientSession
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    wd = tmp_path / "root" / "t" / "wd"
    wd.mkdir(parents=True)
    (wd / "dir").symlink_to(outside)
    (wd / "file").symlink_to(outside / "file")
    root = tmp_path / "root"
    assert await prepare(root, session, http_file(store, "good", "file")) is None
    assert (wd / "file").read_bytes() == BODY
    reason = await prepare(root, session, http_file(store, "good", "dir/file"))
    assert reason is not None
    assert (outside / "file").read_text() == "mine"


async def test_a_container_keeps_its_structure_below_the_path(
    tmp_path: Path, store: Store, session: aiohttp.ClientSession
) -> None:
    names = ["in/a", "in/b c", "in/d/é%", "in/d/e", "other"]
    store.blobs = {name: name.encode() for name in names}
    url = f"{store.url}/c?sig=ok"
    file = ResourceFile(storage_container_url=url, blob_prefix="in/", file_path="below")
    assert await prepare(tmp_path, session, file) is None
    wd = tmp_path / "t" / "wd"
    found = {str(p.relative_to(wd)): p.read_text() for p in wd.rglob("*") if p.is_file()}
    assert found == {f"below/{name}": name for name in names[:4]}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("c?sig=no", "ResourceContainerAccessDenied"),
        ("nothing?sig=ok", "ResourceContainerNotFound"),
    ],
)
async def test_a_container_that_cannot_be_listed_has_its_documented_code(
    tmp_path: Path, store: Store, session: aiohttp.ClientSession, path: str, code: str
) -> None:
    file = ResourceFile(storage_container_url=f"{store.url}/{path}")
    reason = await prepare(tmp_path, session, file)
    assert reason is not None
    assert reason.code == code


async def test_a_blob_whose_name_leads_out_is_refused(
    tmp_path: Path, store: Store, session: aiohttp.ClientSession
) -> None:
    store.blobs = {"../../x": b""}
    file = ResourceFile(storage_container_url=f"{store.url}/c?sig=ok")
    reason = await prepare(tmp_path, session, file)
    assert reason is not None
    assert not (tmp_path / "x").exists()


# --- outputs --------------------------------------------------------------------------------------


async def upload(
    root: Path, session: aiohttp.ClientSession, *outputs: OutputFile
) -> FailureInfo | None:
    step = UploadOutputs(f"{root}/t", outputs, {"HERE": f"{root}/t/wd"}, Account("me"))
    return await upload_outputs(step, Account("me"), str(root), session, asyncio.Semaphore(4))


def tree(root: Path, **files: bytes) -> Path:
    wd = root / "t" / "wd"
    for name, data in files.items():
        path = wd / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return wd


async def test_outputs_are_named_after_their_files(
    tmp_path: Path, store: Store, session: aiohttp.ClientSession
) -> None:
    wd = tree(tmp_path, a_txt=b"a", d__b_txt=b"b", d__e__c_txt=b"c", x_bin=b"x", _hidden_txt=b"h")
    (wd.parent / "stdout.txt").write_text("out")
    url = f"{store.url}/c?sig=ok"
    outputs = [
        OutputFile("**/*.txt", url, "all", (("x-ms-blob-content-type", "text/plain"),)),
        OutputFile("x.bin", url, "renamed/x"),
        OutputFile("../std*.txt", url),
        OutputFile("$HERE/d/*", url, "here"),
        OutputFile("nothing*", url),
    ]
    assert await upload(tmp_path, session, outputs[0]) is None
    assert store.headers["x-ms-blob-content-type"] == "text/plain"
    assert await upload(tmp_path, session, *outputs[1:]) is None
    assert store.blobs == {
        "all/a.txt": b"a", "all/d/b.txt": b"b", "all/d/e/c.txt": b"c", "renamed/x": b"x",
        "stdout.txt": b"out", "here/b.txt": b"b",
    }  # fmt: skip
    assert "renamed/x (1 bytes)" in (wd.parent / "fileuploadout.txt").read_text()
    assert (wd.parent / "fileuploaderr.txt").read_text() == ""


async def test_a_big_output_goes_in_blocks(
    tmp_path: Path, store: Store, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "BLOCK_BYTES", 100_000)
    tree(tmp_path, big=BODY)
    assert await upload(tmp_path, session, OutputFile("big", f"{store.url}/c?sig=ok")) is None
    assert store.blobs == {"big": BODY}
    assert len(store.blocks) == -(-len(BODY) // 100_000)


@pytest.mark.parametrize(
    ("path", "code"),
    [("c?sig=secret", "FileUploadAccessDenied"), ("no?sig=ok", "FileUploadContainerNotFound")],
)
@pytest.mark.parametrize("size", [1, 1_000])
async def test_an_upload_that_is_refused_has_its_documented_code(
    tmp_path: Path,
    store: Store,
    session: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    code: str,
    size: int,
) -> None:
    monkeypatch.setattr(blobs, "BLOCK_BYTES", 100)  # in one request, or in blocks
    wd = tree(tmp_path, a=b"a" * size)
    reason = await upload(tmp_path, session, OutputFile("a", f"{store.url}/{path}"))
    assert reason is not None
    assert reason.code == code
    assert "secret" not in str(reason)
    assert code in (wd.parent / "fileuploaderr.txt").read_text()


async def test_links_out_of_the_node_are_not_uploaded(
    tmp_path: Path, store: Store, session: aiohttp.ClientSession
) -> None:
    root = tmp_path / "root"
    wd = tree(root, real=b"r")
    (tmp_path / "secret").write_text("s")
    (wd / "out").symlink_to(tmp_path / "secret")
    (wd / "in").symlink_to("real")
    os.mkfifo(wd / "fifo")
    url = f"{store.url}/c?sig=ok"
    assert await upload(root, session, OutputFile("in", url)) is None
    for name in ("out", "fifo"):
        reason = await upload(root, session, OutputFile(f"*{name}", url))
        assert (reason is None) == (name == "fifo")
    reason = await upload(root, session, OutputFile("../../../secret", url))
    assert reason is not None
    assert store.blobs == {"in": b"r"}


# --- whole runs -----------------------------------------------------------------------------------


async def test_a_run_fetches_works_and_uploads(node: AgentNode, store: Store) -> None:
    url = f"{store.url}/c?sig=ok"
    run = node.run(
        "/bin/sh -c 'wc -c < in/file > size'",
        resource_files=(http_file(store, "good"),),
        output_files=(
            OutputFile("size", url, condition=UploadCondition.TASK_SUCCESS),
            OutputFile("size", url, "failed", condition=UploadCondition.TASK_FAILURE),
        ),
    )
    after = [node.run("/bin/true"), node.run("/bin/true")]
    end, *_ = await node.controller.results(run, *after)
    assert end.exit.failure is None
    assert store.blobs == {"size": b"%d\n" % len(BODY)}


async def test_a_failure_that_will_be_retried_uploads_nothing(
    node: AgentNode, store: Store
) -> None:
    outputs = (OutputFile("../stdout.txt", f"{store.url}/c?sig=ok"),)
    run = node.run("/bin/sh -c 'echo 1; exit 1'", output_files=outputs, last_try=False)
    await node.controller.results(run)
    assert store.blobs == {}
    last = node.run(
        "/bin/sh -c 'echo 2; exit 1'", output_files=outputs, serial=run.serial, attempt=2
    )
    (end,) = await node.controller.results(last)
    assert end.exit.exit_code == 1
    assert store.blobs == {"stdout.txt": b"2\n"}


async def test_a_failed_upload_keeps_the_exit_code_and_frees_the_slots(
    node: AgentNode, store: Store
) -> None:
    outputs = (OutputFile("../stdout.txt", f"{store.url}/c?sig={quote('no')}"),)
    runs = [node.run("/bin/true", output_files=outputs) for _ in range(3)]
    exits = [end.exit for end in await node.controller.results(*runs)]
    assert [(e.exit_code, e.failure.code) for e in exits if e.failure] == [
        (0, "FileUploadAccessDenied")
    ] * 3


async def test_a_missing_resource_file_fails_its_run_and_others_go_on(
    node: AgentNode, store: Store
) -> None:
    bad = [node.run("/bin/true", resource_files=(http_file(store, "missing"),)) for _ in range(3)]
    good = node.run("/bin/true")
    *failed, fine = await node.controller.results(*bad, good)
    assert {e.exit.failure.code for e in failed if e.exit.failure} == {"BlobNotFound"}
    assert all(e.exit.exit_code is None and e.exit.started_at is None for e in failed)
    assert fine.exit.failure is None


async def test_a_download_counts_for_the_wall_clock(node: AgentNode, store: Store) -> None:
    file = http_file(store, "hangs")
    run = node.run("/bin/true", resource_files=(file,), wall_clock_limit_s=0.3)
    (end,) = await node.controller.results(run)
    assert end.exit.failure is not None
    assert (end.exit.failure.code, end.exit.exit_code) == ("TaskEnded", None)
    runs = [node.run("/bin/true") for _ in range(3)]
    await node.controller.results(*runs)


async def test_a_run_is_killed_while_it_downloads(node: AgentNode, store: Store) -> None:
    run = node.run("/bin/true", resource_files=(http_file(store, "hangs"),))
    await node.controller.hear(RunStarted)
    node.controller.tell(KillTask(run))
    await node.controller.hear(RunGone)
    await node.controller.results(*[node.run("/bin/true") for _ in range(3)])


async def test_a_download_and_an_upload_are_done_again_by_the_next_agent(
    node: AgentNode, store: Store
) -> None:
    outputs = (OutputFile("in/file", f"{store.url}/c?sig=ok"),)
    run = node.run("/bin/true", resource_files=(http_file(store, "hangs"),), output_files=outputs)
    await node.controller.hear(RunStarted)
    node.kill()
    store.hanging.set()
    node.start()
    (end,) = await node.controller.results(run)
    assert end.exit.failure is None
    assert store.blobs == {"file": BODY}
