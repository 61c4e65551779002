"""Commands as typed: what is sent, what is printed, which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click
import pytest
from aiohttp import web

from shoal_cli.commands.file import parse_target, safe_relative
from shoal_cli.faults import Failed, UsageFault
from tests.unit.cli.service import Request, Service, refuses

Shoal = Callable[..., Awaitable[int]]
Captured = pytest.CaptureFixture[str]

IMAGES = {
    "value": [
        {
            "nodeAgentSKUId": "batch.node.windows amd64",
            "imageReference": {"publisher": "ms", "offer": "windows", "sku": "2022"},
            "osType": "windows",
            "verificationType": "verified",
        },
        {
            "nodeAgentSKUId": "batch.node.ubuntu 22.04",
            "imageReference": {"publisher": "canonical", "offer": "jammy", "sku": "22_04"},
            "osType": "linux",
            "verificationType": "verified",
        },
    ]
}


def test_help_imports_nothing_heavy() -> None:
    """Start-up time is import time: what help does not need must not be there."""
    check = (
        "import sys; from shoal_cli.main import run; run(['pool', 'create', '--help']);"
        "heavy = {'aiohttp', 'rich', 'msgspec', 'asyncio'} & set(sys.modules);"
        "assert heavy <= {'asyncio'}, heavy; run(['--help']);"
        "assert 'shoal_cli.commands.task' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_dev_gets_its_arguments_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    from shoal_cli.main import run

    seen: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, arguments: seen.append(arguments))
    run(["dev", "--help", "--port", "0", "--", "sh", "-c", "exit 3", "--"])
    assert seen[0][2:] == [
        "-m", "shoal_controller.dev", "--help", "--port", "0", "--", "sh", "-c", "exit 3", "--",
    ]  # fmt: skip


async def test_a_pool_gets_the_first_verified_linux_image(service: Service, shoal: Shoal) -> None:
    service.on("GET", "/supportedimages", (200, IMAGES)).on("POST", "/pools", (201, None))
    arguments = ["--nodes", "2", "--slots", "4", "--metadata", "who=me", "--fill", "pack"]
    assert await shoal("pool", "create", "p", *arguments) == 0
    body = service.seen("POST", "/pools")[0].body
    machine = body.pop("virtualMachineConfiguration")
    assert machine["nodeAgentSKUId"] == "batch.node.ubuntu 22.04"
    assert body == {
        "id": "p",
        "vmSize": "standard_d2_v3",
        "targetDedicatedNodes": 2,
        "taskSlotsPerNode": 4,
        "metadata": [{"name": "who", "value": "me"}],
        "taskSchedulingPolicy": {"nodeFillType": "pack"},
    }


async def test_an_unknown_image_is_a_usage_error(
    service: Service, shoal: Shoal, capsys: Captured
) -> None:
    service.on("GET", "/supportedimages", (200, IMAGES))
    assert await shoal("pool", "create", "p", "--image", "x:y:z") == 2
    assert "shoal images" in capsys.readouterr().err


async def test_options_add_to_a_body_of_the_callers_own(
    service: Service, shoal: Shoal, tmp_path: Path
) -> None:
    service.on("POST", "/jobs", (201, None))
    wanted = {"poolInfo": {"poolId": "p"}, "constraints": {"maxTaskRetryCount": 2}, "priority": 5}
    (tmp_path / "job.json").write_text(json.dumps(wanted))
    assert await shoal("job", "create", "j", "--body", "job.json", "--time-limit", "1h") == 0
    assert service.requests[0].body == {
        "id": "j",
        "poolInfo": {"poolId": "p"},
        "priority": 5,
        "constraints": {"maxTaskRetryCount": 2, "maxWallClockTime": "PT3600S"},
    }


async def test_words_after_the_dashes_are_quoted_into_one_command_line(
    service: Service, shoal: Shoal
) -> None:
    service.on("POST", "/jobs/j/tasks", (201, None))
    words = ["sh", "-c", "echo $HOME | wc", "--help", "it's"]
    assert await shoal("task", "create", "j", "t", "--env", "A=b=c", "--", *words) == 0
    body = service.requests[0].body
    assert body["commandLine"] == "sh -c 'echo $HOME | wc' --help 'it'\"'\"'s'"
    assert body["environmentSettings"] == [{"name": "A", "value": "b=c"}]


async def test_many_tasks_go_in_hundreds_and_a_refused_body_is_halved(
    service: Service, shoal: Shoal, tmp_path: Path, capsys: Captured
) -> None:
    sizes: list[int] = []

    def add(request: Request) -> web.StreamResponse:
        tasks = request.body["value"]
        sizes.append(len(tasks))
        if len(tasks) > 60:
            answer = refuses(413, "RequestBodyTooLarge")
            assert callable(answer)
            return answer(request)
        error = {"code": "TaskExists", "message": {"lang": "en-US", "value": "It exists.\nId:1"}}
        return web.json_response(
            {
                "value": [
                    {"taskId": t["id"], "status": "clienterror", "error": error}
                    if t["id"] == "t7"
                    else {"taskId": t["id"], "status": "Success"}
                    for t in tasks
                ]
            }
        )

    service.on("POST", "/jobs/j/addtaskcollection", add)
    tasks = [{"id": f"t{n}", "commandLine": "true"} for n in range(130)]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    assert await shoal("task", "create", "j", "--body", "tasks.json") == 1
    assert sizes == [100, 50, 50, 30]
    captured = capsys.readouterr()
    assert "129 tasks are added" in captured.out
    assert "task 't7': TaskExists: It exists." in captured.err


async def test_state_and_filter_must_both_hold(service: Service, shoal: Shoal) -> None:
    service.on("GET", "/jobs/j/tasks", (200, {"value": []}))
    arguments = ["--filter", "id eq 'a' or id eq 'b'", "--state", "Active"]
    assert await shoal("task", "list", "j", *arguments) == 0
    assert service.requests[0].query["$filter"] == "(id eq 'a' or id eq 'b') and state eq 'active'"


async def test_a_refusal_is_one_block_and_exit_code_1(
    service: Service, shoal: Shoal, capsys: Captured
) -> None:
    service.on("GET", "/jobs/j", refuses(404, "JobNotFound", "The specified job does not exist."))
    assert await shoal("job", "show", "j") == 1
    assert capsys.readouterr().err.splitlines() == [
        "shoal: cannot show job 'j'",
        "  where: GET /jobs/j answered 404",
        "  why:   JobNotFound: The specified job does not exist.",
        "  mend:  `shoal job list` shows the jobs there are",
    ]


async def test_a_service_out_of_reach_is_exit_code_3(shoal: Shoal, unused_tcp_port: int) -> None:
    assert await shoal("job", "list", "--endpoint", f"http://127.0.0.1:{unused_tcp_port}") == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["job", "show", "../pools"],
        ["job", "show"],
        ["job", "create", "j"],
        ["job", "list", "--limit", "0"],
        ["task", "create", "j", "t"],
        ["pool", "resize", "p"],
        ["pool", "create", "p", "--start-retries", "1"],
        ["run"],
        ["run", "--pool", "p", "--rm", "true"],
        ["nonsense"],
        ["file", "get", "j/t"],
    ],
)
async def test_wrong_usage_is_exit_code_2_and_sends_nothing(
    service: Service, shoal: Shoal, arguments: list[str]
) -> None:
    assert await shoal(*arguments) == 2
    assert service.requests == []


async def test_connection_options_may_stand_before_the_command(
    service: Service, shoal: Shoal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_BATCH_ENDPOINT")
    service.on("GET", "/jobs", (200, {"value": []}))
    assert await shoal("--endpoint", service.url, "job", "list") == 0


async def test_an_unexpected_failure_is_told_without_a_traceback(
    service: Service, shoal: Shoal, capsys: Captured
) -> None:
    service.on("GET", "/jobs", (200, {"value": 7}))
    assert await shoal("job", "list") == 70
    assert "Traceback" not in capsys.readouterr().err
    assert await shoal("job", "list", "--debug") == 70
    assert "Traceback" in capsys.readouterr().err


async def test_nodes_of_all_pools_name_their_pool(
    service: Service, shoal: Shoal, capsys: Captured
) -> None:
    service.on("GET", "/pools", (200, {"value": [{"id": "a"}, {"id": "b"}]}))
    for pool in "ab":
        url = f"http://h/pools/{pool}/nodes/n"
        page = {"value": [{"id": "n", "url": url, "state": "idle"}]}
        service.on("GET", f"/pools/{pool}/nodes", (200, page))
    assert await shoal("node", "list", "-o", "tsv") == 0
    lines = [line.split("\t")[:3] for line in capsys.readouterr().out.splitlines()]
    assert lines == [["n", "a", "idle"], ["n", "b", "idle"]]


async def test_a_node_is_named_by_the_beginning_of_its_id_as_tables_show_it(
    service: Service, shoal: Shoal, capsys: Captured
) -> None:
    ids = ["tvmps_" + digit * 64 + "_d" for digit in "ab"]
    service.on("GET", "/pools/p/nodes", (200, {"value": [{"id": an_id} for an_id in ids]}))
    service.on("POST", f"/pools/p/nodes/{ids[1]}/reboot", (202, None))
    assert await shoal("node", "list", "p") == 0
    shown = capsys.readouterr().out.splitlines()[2].strip()
    assert len(shown) < 20
    assert await shoal("node", "reboot", "p", shown) == 0
    assert service.seen("POST", f"/pools/p/nodes/{ids[1]}/reboot")
    assert await shoal("node", "reboot", "p", "tvmps_") == 2
    assert "the beginning of 2 nodes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "action", "body"),
    [
        (["reimage", "-y"], "reimage", None),
        (["reimage", "--running", "terminate"], "reimage", {"nodeReimageOption": "terminate"}),
        (["deallocate", "--running", "requeue"], "deallocate", {"nodeDeallocateOption": "requeue"}),
        (["start"], "start", None),
    ],
)
async def test_nodes_are_begun_anew_stopped_and_started(
    service: Service, shoal: Shoal, words: list[str], action: str, body: object
) -> None:
    service.on("GET", "/pools/p/nodes", (200, {"value": [{"id": "tvmps_a_d"}]}))
    service.on("POST", f"/pools/p/nodes/tvmps_a_d/{action}", (202, None))
    assert await shoal("node", words[0], "p", "tvmps_a", *words[1:]) == 0
    (sent,) = service.seen("POST", f"/pools/p/nodes/tvmps_a_d/{action}")
    assert (sent.body or None) == body


async def test_a_schedule_is_made_from_options_and_a_body(
    service: Service, shoal: Shoal, tmp_path: Path, capsys: Captured
) -> None:
    service.on("POST", "/jobschedules", (201, None))
    assert await shoal("schedule", "create", "s") == 2
    assert "--pool" in capsys.readouterr().err
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"jobSpecification": {"priority": 3}}))
    words = ["--pool", "p", "--every", "10m", "--body", str(body)]
    assert await shoal("schedule", "create", "s", *words) == 0
    (sent,) = service.seen("POST", "/jobschedules")
    assert sent.body == {
        "id": "s",
        "jobSpecification": {"priority": 3, "poolInfo": {"poolId": "p"}},
        "schedule": {"recurrenceInterval": "PT600S"},
    }


@pytest.mark.parametrize("part", ["schedule", "jobSpecification"])
async def test_a_part_of_a_schedule_that_is_no_object_is_not_dropped(
    service: Service, shoal: Shoal, tmp_path: Path, capsys: Captured, part: str
) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps({part: 3}))
    assert await shoal("schedule", "create", "s", "--pool", "p", "--body", str(body)) == 2
    assert f"'{part}'" in capsys.readouterr().err
    assert service.requests == []


async def test_schedules_are_moved_and_looked_at(
    service: Service, shoal: Shoal, capsys: Captured
) -> None:
    shown = {
        "id": "s",
        "state": "active",
        "schedule": {"recurrenceInterval": "PT10M"},
        "executionInfo": {"recentJob": {"id": "s:job-1"}},
        "jobSpecification": {"poolInfo": {"poolId": "p"}},
    }
    service.on("GET", "/jobschedules", (200, {"value": [shown]}))
    service.on("GET", "/jobschedules/s/jobs", (200, {"value": [{"id": "s:job-1"}]}))
    service.on("DELETE", "/jobschedules/s", (202, None))
    for action in ("disable", "enable", "terminate"):
        service.on("POST", f"/jobschedules/s/{action}", (204, None))
        assert await shoal("schedule", action, "s") == 0
        assert service.seen("POST", f"/jobschedules/s/{action}")
    assert await shoal("schedule", "delete", "s", "-y") == 0
    assert service.seen("DELETE", "/jobschedules/s")
    capsys.readouterr()
    assert await shoal("schedule", "list", "-o", "tsv") == 0
    assert capsys.readouterr().out.split("\t")[:3] == ["s", "active", "p"]
    assert await shoal("schedule", "jobs", "s", "-q") == 0
    assert capsys.readouterr().out == "s:job-1\n"


async def test_waiting_for_a_deletion_ends_when_it_is_gone(
    service: Service, shoal: Shoal, capsys: Captured
) -> None:
    service.on("DELETE", "/pools/p", (202, None))
    service.on("GET", "/pools/p", (200, {"id": "p", "state": "deleting"}))
    service.on("GET", "/pools/p", refuses(404, "PoolNotFound"))
    assert await shoal("pool", "delete", "p", "--wait") == 0
    assert capsys.readouterr().out == "pool 'p' has been deleted\n"


async def test_waiting_for_a_pool_tells_which_start_task_failed(
    service: Service, shoal: Shoal, capsys: Captured
) -> None:
    failure = {"code": "FailureExitCode", "message": "It failed."}
    node = {"id": "n", "state": "starttaskfailed", "startTaskInfo": {"failureInfo": failure}}
    service.on("POST", "/pools/p/resize", (202, None))
    service.on("GET", "/pools/p", (200, {"id": "p", "allocationState": "resizing"}))
    service.on("GET", "/pools/p", (200, {"id": "p", "allocationState": "steady"}))
    service.on("GET", "/pools/p/nodes", (200, {"value": [node]}))
    assert await shoal("pool", "resize", "p", "2", "--wait") == 1
    text = capsys.readouterr().err
    assert "node 'n' is starttaskfailed: FailureExitCode: It failed." in text
    assert "shoal file get --node p/n:startup/stderr.txt --to -" in text


async def test_watching_a_job_ends_with_what_became_of_it(
    service: Service, shoal: Shoal, capsys: Captured
) -> None:
    def counts(active: int, succeeded: int, failed: int) -> tuple[int, Any]:
        done = {"completed": succeeded + failed, "succeeded": succeeded, "failed": failed}
        return 200, {"taskCounts": {"active": active, "running": 0, **done}}

    service.on("GET", "/jobs/j", (200, {"id": "j", "state": "active"}))
    service.on("GET", "/jobs/j/taskcounts", counts(2, 0, 0), counts(0, 1, 1))
    assert await shoal("job", "watch", "j") == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0].startswith("0/2 (0%)")
    assert captured.out.splitlines()[-1].startswith("2/2 (100%)")
    assert "1 of 2 tasks failed" in captured.err


async def test_a_file_is_written_whole_or_not_at_all(
    service: Service, shoal: Shoal, tmp_path: Path
) -> None:
    path = "/jobs/j/tasks/t/files/wd%2Fout.bin"
    service.on("HEAD", path, lambda _: web.Response(headers={"Content-Length": "3"}))
    service.on("GET", path, lambda _: web.Response(body=b"abc"))
    assert await shoal("file", "get", "j/t:wd/out.bin") == 0
    assert (tmp_path / "out.bin").read_bytes() == b"abc"
    assert await shoal("file", "get", "j/t:wd/out.bin") == 1, "it would be overwritten"
    service.answers["GET", path] = [refuses(404, "FileNotFound")]
    assert await shoal("file", "get", "j/t:wd/out.bin", "--overwrite") == 1
    assert os.listdir(tmp_path) == ["out.bin"]  # noqa: PTH208  (no half file, whatever its name)


async def test_a_folder_is_listed_from_its_own_level(
    service: Service, shoal: Shoal, capsys: Captured
) -> None:
    names = ["wd/a.txt", "wd/sub", "wd/sub/b.txt", "wdx/c.txt"]
    page = {"value": [{"name": n, "isDirectory": n == "wd/sub"} for n in names]}
    service.on("GET", "/jobs/j/tasks/t/files", (200, page))
    assert await shoal("file", "list", "j/t:wd", "-q") == 0
    assert capsys.readouterr().out.split() == ["wd/a.txt", "wd/sub/"]
    assert service.requests[0].query["$filter"] == "startswith(name,'wd/')"


def test_a_target_of_a_schedules_job_is_understood() -> None:
    found = parse_target("s:job-1/t:wd/x:y", is_node=False)
    assert (found.owner, found.member, found.inner) == ("s:job-1", "t", "wd/x:y")
    assert found.url(found.inner) == "/jobs/s%3Ajob-1/tasks/t/files/wd%2Fx%3Ay"


@pytest.mark.parametrize("text", ["", "j", "/t", "j/", "j/:x", "j/t/x:y"])
def test_a_malformed_target_shows_the_form(text: str) -> None:
    with pytest.raises((UsageFault, click.BadParameter), match=r"JOB/TASK|not an id"):
        parse_target(text, is_node=False)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a//b", "", "a\0b", "."])
def test_a_name_that_leads_out_of_the_folder_is_not_fetched(name: str) -> None:
    with pytest.raises(Failed):
        safe_relative(name)
