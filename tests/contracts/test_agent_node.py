"""A node's own life: joining, start task, reboot, the end of everything, and its files."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from shoal_protocol.messages import (
    FileAction,
    FileReply,
    FileRequest,
    FilesKept,
    NodeReport,
    RebootNode,
    RemoveTaskFiles,
    RunLost,
    RunStarted,
    StartTaskReport,
    TasksGone,
)
from shoal_protocol.specs import RunId, StartTaskSpec
from tests.contracts.agent_node import AgentNode
from tests.contracts.conftest import CONFIG
from tests.contracts.scripted_controller import TOKEN

COUNTING = "/bin/sh -c 'echo run >> $AZ_BATCH_NODE_SHARED_DIR/starts; {then}'"


async def started(tmp_path: Path, spec: StartTaskSpec) -> AgentNode:
    node = AgentNode(tmp_path, replace(CONFIG, start_task=spec))
    await node.begin()
    return node


async def test_a_node_joins_once_and_keeps_its_key_to_itself(node: AgentNode) -> None:
    assert node.controller.joins == [{"node_id": "tvmps_1_d", "token": TOKEN}]
    key = node.folder / "private" / "node.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    node.kill()
    node.start()
    await node.controller.until(lambda: len(node.controller.hellos) == 2)
    assert len(node.controller.joins) == 1


async def test_an_agent_says_why_its_token_is_refused_and_takes_the_right_one(
    tmp_path: Path,
) -> None:
    node = AgentNode(tmp_path, CONFIG)
    await node.begin(token="spoiled-secret")
    try:
        await node.controller.until(lambda: len(node.controller.joins) >= 2)
        log = (node.folder / "agent.log").read_text()
        assert "it answers 403: The join token is another's." in log
        assert "spoiled-secret" not in log
        (node.folder / "token").write_text(TOKEN)
        await node.controller.ready()
    finally:
        await node.end()


async def test_a_start_task_is_retried_after_a_nonzero_exit(tmp_path: Path) -> None:
    command = COUNTING.format(then="test $(wc -l < $AZ_BATCH_NODE_SHARED_DIR/starts) = 2")
    node = await started(tmp_path, StartTaskSpec(command, retry_count_max=3))
    try:
        await node.controller.ready()
        reports: list[StartTaskReport] = node.controller.all(StartTaskReport)
        told = [(r.running, r.final, r.retry_count) for r in reports]
        assert told == [
            (True, False, 0), (False, False, 0), (True, False, 1), (False, True, 1),
        ]  # fmt: skip
        assert reports[1].exit is not None
        assert reports[1].exit.exit_code == 1
        assert reports[-1].exit is not None
        assert reports[-1].exit.failure is None
        assert reports[-1].last_retry_at is not None
    finally:
        await node.end()


async def test_a_failed_start_task_leaves_the_node_without_tasks(tmp_path: Path) -> None:
    node = await started(tmp_path, StartTaskSpec("no-such-program", retry_count_max=3))
    try:
        reports = await node.controller.hear(StartTaskReport, 2)
        assert (reports[-1].final, reports[-1].running) == (True, False)
        assert reports[-1].exit.failure.code == "CommandProgramNotFound"
        node.run("/bin/true")
        await node.controller.until(lambda: not node.controller.link.unacked_messages)
        assert not any(report.ready for report in node.controller.all(NodeReport))
        assert list((node.root / "workitems").iterdir()) == []
    finally:
        await node.end()


async def test_a_start_task_that_is_not_waited_for_runs_beside_tasks(tmp_path: Path) -> None:
    node = await started(tmp_path, StartTaskSpec("/bin/sleep 1000", wait_for_success=False))
    try:
        await node.controller.ready()
        await node.controller.results(node.run("/bin/true"))
        assert [report.running for report in node.controller.all(StartTaskReport)] == [True]
    finally:
        await node.end()


async def test_a_running_start_task_outlives_its_agent(tmp_path: Path) -> None:
    then = "while [ ! -e $AZ_BATCH_NODE_SHARED_DIR/go ]; do sleep 0.02; done"
    command = COUNTING.format(then=then)
    node = await started(tmp_path, StartTaskSpec(command))
    try:
        await node.file(node.root / "shared" / "starts")
        node.kill()
        (node.root / "shared" / "go").touch()
        node.start()
        await node.controller.ready()
        assert (node.root / "shared" / "starts").read_text() == "run\n"
    finally:
        await node.end()


async def test_a_reboot_ends_everything_keeps_files_and_runs_the_start_task_again(
    tmp_path: Path,
) -> None:
    node = await started(tmp_path, StartTaskSpec(COUNTING.format(then="echo x > wd-file")))
    try:
        first = await node.controller.ready()
        done = node.run("/bin/true")
        await node.controller.results(done)
        running = node.run("/bin/sleep 1000")
        await node.controller.hear(RunStarted)
        node.controller.tell(RebootNode(first.boot_id), RebootNode(first.boot_id))
        (lost,) = await node.controller.hear(RunLost)
        assert lost.run == running
        again: Callable[[], NodeReport | None] = lambda: next(  # noqa: E731
            (r for r in node.controller.all(NodeReport) if r.ready and r.boot_id != first.boot_id),
            None,
        )
        second = await node.controller.until(again)
        assert node.controller.hellos[-1].boot_id == second.boot_id
        assert (node.root / "shared" / "starts").read_text() == "run\nrun\n"
        assert node.task(done).exists()
        await node.controller.results(node.run("/bin/true"))
        assert len({report.boot_id for report in node.controller.all(NodeReport)}) == 2
    finally:
        await node.end()


async def test_a_wiped_node_begins_anew_with_its_start_task_and_nothing_else(
    tmp_path: Path,
) -> None:
    node = await started(tmp_path, StartTaskSpec(COUNTING.format(then="echo x > wd-file")))
    try:
        first = await node.controller.ready()
        done = node.run("/bin/true")
        await node.controller.results(done)
        closed = node.root / "volatile" / "closed"
        closed.mkdir()
        closed.chmod(0)
        (node.root / "shared" / "link").symlink_to("/etc")
        node.run("/bin/sleep 1000")
        await node.controller.hear(RunStarted)
        node.controller.tell(RebootNode(first.boot_id, wipes=True))
        await node.controller.hear(RunLost)
        await node.controller.until(
            lambda: any(
                r.ready and r.boot_id != first.boot_id for r in node.controller.all(NodeReport)
            )
        )
        assert (node.root / "shared" / "starts").read_text() == "run\n"
        assert [path.name for path in (node.root / "shared").iterdir()] == ["starts"]
        assert list((node.root / "workitems").iterdir()) == []
        assert not closed.exists()
        again = node.run("/bin/true", serial=done.serial, attempt=2)
        await node.controller.results(again)
        assert node.task(again).exists()
        node.kill()  # the next agent does not do it once more
        node.start()
        await node.controller.results(node.run("/bin/true"))
        assert node.task(again).exists()
        async with asyncio.timeout(30):
            while any((node.root / "volatile" / "removed").iterdir()):
                await asyncio.sleep(0.1)
    finally:
        await node.end()


async def test_a_wipe_that_the_agent_did_not_survive_is_done_by_the_next_one(
    node: AgentNode,
) -> None:
    first = await node.controller.ready()
    (node.root / "shared" / "old").write_text("old")
    spawner = node.spawner_pid()
    os.kill(spawner, signal.SIGSTOP)
    node.controller.tell(RebootNode(first.boot_id, wipes=True))
    await node.controller.until(lambda: not node.controller.link.unacked_messages)
    node.kill()
    assert (node.root / "shared" / "old").exists()
    os.kill(spawner, signal.SIGCONT)
    node.start()
    await node.controller.until(
        lambda: any(r.ready and r.boot_id != first.boot_id for r in node.controller.all(NodeReport))
    )
    assert list((node.root / "shared").iterdir()) == []
    await node.controller.results(node.run("/bin/true"))


async def test_a_reboot_makes_the_nodes_directories_anew(node: AgentNode) -> None:
    first = await node.controller.ready()
    gone = [node.root / name for name in ("shared", "startup", "workitems", "volatile")]
    for folder in gone:
        shutil.rmtree(folder)
    node.controller.tell(RebootNode(first.boot_id))
    await node.controller.until(
        lambda: any(r.ready and r.boot_id != first.boot_id for r in node.controller.all(NodeReport))
    )
    assert [folder for folder in gone if not folder.is_dir()] == []
    assert (node.root / "volatile" / "removed").is_dir()
    done = node.run("/bin/true")
    await node.controller.results(done)


async def test_a_reboot_that_the_agent_did_not_survive_is_done_by_the_next_one(
    node: AgentNode,
) -> None:
    first = await node.controller.ready()
    running = node.run("/bin/sleep 1000")
    await node.controller.hear(RunStarted)
    spawner = node.spawner_pid()
    os.kill(spawner, signal.SIGSTOP)
    node.controller.tell(RebootNode(first.boot_id))
    await node.controller.until(lambda: not node.controller.link.unacked_messages)
    node.kill()
    os.kill(spawner, signal.SIGCONT)
    node.start()
    (lost,) = await node.controller.hear(RunLost)
    assert lost.run == running
    assert node.controller.hellos[-1].boot_id != first.boot_id
    assert node.marked_pids() == []
    await node.controller.results(node.run("/bin/true"))


async def test_files_of_a_deleted_task_leave_the_tree_and_a_namesake_stays(
    node: AgentNode,
) -> None:
    run, other = node.run("/bin/true"), node.run("/bin/true")
    await node.controller.results(run, other)
    node.controller.tell(
        RemoveTaskFiles("job", f"t{other.serial}", other.serial + 50),
        RemoveTaskFiles("job", f"t{run.serial}", run.serial),
    )
    await node.controller.until(lambda: not node.controller.link.unacked_messages)
    assert node.task(other).exists()
    assert not node.task(run).exists()


async def test_a_new_life_of_the_controller_learns_of_files_whose_tasks_are_gone(
    node: AgentNode,
) -> None:
    run, other = node.run("/bin/true"), node.run("/bin/true")
    await node.controller.results(run, other)
    await node.controller.restart()
    (kept,) = await node.controller.hear(FilesKept)
    assert set(kept.serials) == {run.serial, other.serial}
    node.controller.tell(TasksGone((run.serial, 77)))
    async with asyncio.timeout(30):
        while node.task(run).exists():
            await asyncio.sleep(0.1)
    assert node.task(other).exists()


async def ask(node: AgentNode, action: FileAction, path: str, **fields: object) -> FileReply:
    number = len(node.controller.all(FileReply)) + 1
    node.controller.tell(FileRequest(number, action, path, **fields))  # pyright: ignore[reportArgumentType]
    return (await node.controller.hear(FileReply, number))[-1]


async def test_files_are_listed_and_read_while_their_task_runs(node: AgentNode) -> None:
    run = node.run("/bin/sh -c 'echo hello; mkdir d; echo 1 > d/f; echo . > ready; sleep 1000'")
    await node.file(node.task(run) / "wd" / "ready")
    folder = f"workitems/job/job-1/t{run.serial}"
    listed = await ask(node, FileAction.LIST, folder, recursive=True)
    assert [entry.name for entry in listed.entries] == [
        "stderr.txt", "stdout.txt", "wd", "wd/d", "wd/d/f", "wd/ready",
    ]  # fmt: skip
    page = await ask(node, FileAction.LIST, folder, recursive=True, after="wd", entries_max=2)
    assert ([entry.name for entry in page.entries], page.more) == (["wd/d", "wd/d/f"], True)
    read = await ask(node, FileAction.READ, f"{folder}/stdout.txt", offset=1, length=3)
    assert read.data == b"ell"
    facts = await ask(node, FileAction.STAT, f"{folder}/wd/d")
    assert facts.entries[0].is_directory
    assert (await ask(node, FileAction.DELETE, f"{folder}/wd/d")).error == "not_empty"
    assert (await ask(node, FileAction.DELETE, f"{folder}/wd/d", recursive=True)).error == ""
    assert (await ask(node, FileAction.STAT, f"{folder}/wd/d")).error == "not_found"


async def test_the_file_server_shows_nothing_but_the_tree(node: AgentNode) -> None:
    (node.root / "shared" / "out").symlink_to("/etc")
    (node.root / "shared" / "up").symlink_to("../../private")
    (node.root / "shared" / "in").symlink_to("../startup")
    paths = ["../private/node.key", "/etc/passwd", "shared/out/passwd", "shared/up/node.key"]
    for path in paths:
        assert (await ask(node, FileAction.READ, path, length=10)).error == "refused", path
    assert (await ask(node, FileAction.READ, "shared/\0", length=1)).error == "refused"
    assert (await ask(node, FileAction.DELETE, "shared/out/passwd")).error == "refused"
    assert (await ask(node, FileAction.DELETE, "workitems", recursive=True)).error == "refused"
    assert (await ask(node, FileAction.LIST, "volatile/removed")).error == "not_found"
    listed = await ask(node, FileAction.LIST, "shared")
    assert [entry.name for entry in listed.entries] == ["in"]


async def test_stopping_the_node_leaves_no_process(tmp_path: Path) -> None:
    node = AgentNode(tmp_path, CONFIG)
    await node.begin()
    await node.controller.ready()
    run = node.run("/bin/sh -c 'setsid sleep 1000 & echo x > wait; sleep 1000'")
    await node.file(node.task(run) / "wd" / "wait")
    node.kill(signal.SIGTERM)
    assert len(node.marked_pids()) >= 2
    await node.end()
    assert run == RunId(1, 1)
