"""What the pool loop may expect of a provider: create, list, delete, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from shoal_controller.core.errors import Unavailable
from shoal_controller.providers import local, processes
from shoal_controller.providers.base import NODE_ID, NodeOrder, Provider, node_id
from shoal_controller.providers.local import LocalProvider

AGENT = (sys.executable, "-IS", str(Path(__file__).with_name("an_agent.py")))
URL = "http://127.0.0.1:1"
NODE = node_id(bytes(32), is_dedicated=True)
NAMES = ("agent", "spawner", "task2", "task1", "wiped")


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    folder = tmp_path / "nodes"
    yield folder
    local.end_all(folder)


@contextlib.asynccontextmanager
async def a_provider(folder: Path, url: str = URL) -> AsyncIterator[LocalProvider]:
    provider = LocalProvider(folder, url, AGENT)
    await provider.start()
    try:
        yield provider
    finally:
        await provider.close(end_nodes=False)


@contextlib.contextmanager
def a_stranger(*command: str) -> Iterator[processes.Process]:
    """A process of this machine that has nothing to do with nodes; it must survive."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        found = processes.find(child.pid)
        assert found is not None
        yield found
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Look until it is so: what other processes do is announced by nobody."""
    async with asyncio.timeout(20):
        while not await is_so():
            await asyncio.sleep(0.01)


async def is_listed_alive(provider: LocalProvider) -> bool:
    return (await provider.list())[NODE].is_alive


async def pid(folder: Path, name: str, other_than: int = 0) -> int:
    """Return the number of a process of the node once it runs."""
    path = folder / NODE / "root" / f"pid.{name}"
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(OSError, ValueError):
                if (found := int(path.read_text())) != other_than:
                    return found
            await asyncio.sleep(0.01)


async def family(folder: Path) -> list[processes.Process]:
    found = [processes.find(await pid(folder, name)) for name in NAMES]
    return [process for process in found if process is not None]


async def is_gone(process: processes.Process) -> None:
    async with asyncio.timeout(20):
        await processes.ended(process)


async def test_a_created_node_runs_and_a_deleted_one_leaves_no_process_and_no_file(folder: Path):
    async with a_provider(folder) as provider:
        order: Provider = provider
        state = await order.create(NodeOrder(NODE, "token-1"))
        members = await family(folder)
        assert len(members) == 5
        listed = await order.list()
        assert listed[NODE].is_alive
        assert listed[NODE].state == state
        await order.delete(NODE, state)
        assert not any(processes.is_alive(process) for process in members)
        assert names(folder) == []
        assert await order.list() == {}
        await order.delete(NODE, state)  # what is not there is unmade


async def test_a_stopped_node_keeps_its_files_and_runs_again_when_it_is_ordered(folder: Path):
    async with a_provider(folder) as provider:
        order: Provider = provider
        state = await order.create(NodeOrder(NODE, "token-1"))
        members = await family(folder)
        kept = folder / NODE / "root" / "kept"
        kept.write_text("kept")
        await order.stop(NODE, state)
        assert not any(processes.is_alive(process) for process in members)
        assert not (await order.list())[NODE].is_alive
        await order.stop(NODE, state)
    async with a_provider(folder) as provider:  # a controller that starts does not start it
        await asyncio.sleep(0.3)
        assert not await is_listed_alive(provider)
        before = await pid(folder, "agent")
        await provider.create(NodeOrder(NODE, "token-2"))
        assert await pid(folder, "agent", before) != before
        assert kept.read_text() == "kept"
        await provider.stop(NODE, {})
        await provider.delete(NODE, {})
        assert names(folder) == []
        await provider.stop(NODE, {})  # what is not there does not run


async def test_secrets_are_readable_by_nobody_else_and_the_environment_is_a_chosen_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AZURE_BATCH_ACCESS_KEY", "secret")
    monkeypatch.setenv("SHOAL_NODE", "/outer")
    async with a_provider(folder) as provider:
        await provider.create(NodeOrder(NODE, "token-1"))
        await pid(folder, "agent")
        place = folder / NODE
        for name in ("agent.toml", "join_token", "agent.log", "agent.pid"):
            assert stat.S_IMODE((place / name).stat().st_mode) == 0o600, name
        assert stat.S_IMODE((place / "private").stat().st_mode) == 0o700
        inherited = (place / "root" / "environment").read_text().splitlines()
        assert local.AGENT_MARK in inherited
        assert "PATH" in inherited
        assert not {"AZURE_BATCH_ACCESS_KEY", "SHOAL_NODE"} & set(inherited)
        await provider.delete(NODE, {})


async def test_settings_of_all_nodes_reach_their_agents(folder: Path):
    provider = LocalProvider(folder, URL, AGENT, {"disk_reserved_percent": 3})
    await provider.start()
    try:
        await provider.create(NodeOrder(NODE, "token-1"))
        settings = tomllib.loads((folder / NODE / "agent.toml").read_text())
        assert settings["disk_reserved_percent"] == 3
    finally:
        await provider.close(end_nodes=True)


async def test_an_order_repeated_is_the_same_node_with_the_new_token(folder: Path):
    async with a_provider(folder) as provider:
        first = await provider.create(NodeOrder(NODE, "token-1"))
        agent, spawner = await pid(folder, "agent"), await pid(folder, "spawner")
        assert await provider.create(NodeOrder(NODE, "token-2")) == first
        await pid(folder, "agent", other_than=agent)
        assert (folder / NODE / "root" / "token").read_text() == "token-2"
        assert await pid(folder, "spawner") == spawner
        await provider.delete(NODE, {})


async def test_a_killed_agent_is_started_again_and_its_tasks_live_on(folder: Path):
    async with a_provider(folder) as provider:
        await provider.create(NodeOrder(NODE, "token-1"))
        members = await family(folder)
        os.kill(members[0].pid, signal.SIGKILL)
        again = await pid(folder, "agent", other_than=members[0].pid)
        assert all(processes.is_alive(process) for process in members[1:])
        assert (await provider.list())[NODE].is_alive
        await provider.delete(NODE, {})
        assert processes.find(again) is None


async def test_a_restarted_controller_takes_up_running_agents(folder: Path):
    async with a_provider(folder) as provider:
        await provider.create(NodeOrder(NODE, "token-1"))
        members = await family(folder)
    async with a_provider(folder) as provider:
        await until(lambda: is_listed_alive(provider))
        assert await family(folder) == members
        await provider.delete(NODE, {})
    assert not any(processes.is_alive(process) for process in members)


async def test_an_agent_whose_number_was_not_noted_is_found_by_its_mark(folder: Path):
    async with a_provider(folder) as provider:
        await provider.create(NodeOrder(NODE, "token-1"))
        members = await family(folder)
    (folder / NODE / "agent.pid").unlink()
    async with a_provider(folder) as provider:
        await until(lambda: is_listed_alive(provider))
        assert await family(folder) == members
        await provider.delete(NODE, {})


async def test_an_agent_that_dials_an_older_address_is_replaced_and_its_tasks_live_on(
    folder: Path,
):
    async with a_provider(folder) as provider:
        await provider.create(NodeOrder(NODE, "token-1"))
        members = await family(folder)
    async with a_provider(folder, "http://127.0.0.1:2") as provider:
        await pid(folder, "agent", other_than=members[0].pid)
        assert (folder / NODE / "root" / "url").read_text() == "http://127.0.0.1:2"
        assert all(processes.is_alive(process) for process in members[1:])
        await provider.delete(NODE, {})


async def test_a_node_whose_agent_died_with_the_controller_runs_again(folder: Path):
    async with a_provider(folder) as provider:
        await provider.create(NodeOrder(NODE, "token-1"))
        members = await family(folder)
    os.kill(members[0].pid, signal.SIGKILL)
    await is_gone(members[0])
    async with a_provider(folder) as provider:
        await pid(folder, "agent", other_than=members[0].pid)
        await provider.delete(NODE, {})


async def test_a_deletion_that_was_cut_short_is_finished_by_the_next(folder: Path):
    async with a_provider(folder) as provider:
        await provider.create(NodeOrder(NODE, "token-1"))
        members = await family(folder)
    # As if killed after the first step, with the family half ended: no spawner to lead to the rest.
    (folder / NODE / "node.json").unlink()
    os.kill(members[0].pid, signal.SIGKILL)
    async with a_provider(folder) as provider:
        assert not (await provider.list())[NODE].is_alive
        await provider.delete(NODE, {})
    assert not any(processes.is_alive(process) for process in members)
    assert names(folder) == []


async def test_a_hung_agent_does_not_keep_its_node_from_being_deleted(folder: Path):
    async with a_provider(folder) as provider:
        await provider.create(NodeOrder(NODE, "token-1"))
        members = await family(folder)
        for process in members[:2]:
            os.kill(process.pid, signal.SIGSTOP)
        await provider.delete(NODE, {})
        assert not any(processes.is_alive(process) for process in members)


async def test_a_number_that_was_given_to_another_process_is_left_alone(folder: Path):
    with a_stranger("sleep", "1000") as stranger:
        earlier = processes.Process(stranger.pid, stranger.start - 1)
        (folder / NODE / "root").mkdir(parents=True)
        (folder / NODE / "join_token").write_text("t")
        (folder / NODE / "node.json").write_text("{}")
        note = f'{{"pid": {earlier.pid}, "start": {earlier.start}}}'
        (folder / NODE / "agent.pid").write_text(note)
        processes.send(earlier, signal.SIGKILL)
        async with a_provider(folder) as provider:
            assert await pid(folder, "agent") != stranger.pid
            await provider.delete(NODE, {})


async def test_a_look_into_a_nodes_folder_from_outside_is_not_part_of_the_node(folder: Path):
    async with a_provider(folder) as provider:
        await provider.create(NodeOrder(NODE, "token-1"))
        await family(folder)
        watched = folder / NODE / "root" / "token"
        with a_stranger("tail", "-f", str(watched)):
            await provider.delete(NODE, {})


async def test_ended_nodes_are_gone_and_come_back_with_the_next_start(folder: Path):
    provider = LocalProvider(folder, URL, AGENT)
    await provider.start()
    await provider.create(NodeOrder(NODE, "token-1"))
    members = await family(folder)
    await provider.close(end_nodes=True)
    assert not any(processes.is_alive(process) for process in members)
    assert (folder / NODE / "node.json").exists()
    async with a_provider(folder) as provider:
        await pid(folder, "agent", other_than=members[0].pid)
        await provider.delete(NODE, {})


async def test_an_agent_that_ends_at_once_is_tried_again_ever_later(
    folder: Path, caplog: pytest.LogCaptureFixture
):
    async with a_provider(folder, URL + "/fails") as provider:
        await provider.create(NodeOrder(NODE, "token-1"))

        async def has_failed_twice() -> bool:
            return len(caplog.records) >= 2

        await until(has_failed_twice)
        assert [record.args[1] for record in caplog.records[:2]] == [0.25, 0.5]  # pyright: ignore
        await provider.delete(NODE, {})
    assert names(folder) == []


async def test_a_folder_that_cannot_be_made_is_an_outage(folder: Path):
    async with a_provider(folder) as provider:
        (folder / NODE).write_text("in the way")
        with pytest.raises(Unavailable):
            await provider.create(NodeOrder(NODE, "token-1"))


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_directories_closed_by_a_task_are_removed():
    nobody = 65534
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        tree, outside = Path(place, "node"), Path(place, "outside")
        outside.mkdir(mode=0o700)
        (tree / "a" / "b").mkdir(parents=True)
        (tree / "a" / "b" / "c").write_text("")
        (tree / "a" / "link").symlink_to(outside)
        for path in (tree / "a" / "b" / "c", tree / "a" / "b", tree / "a", tree):
            os.chown(path, nobody, nobody)
        (tree / "a" / "b").chmod(0)
        (tree / "a").chmod(0o500)
        child = os.fork()
        if child == 0:
            try:
                os.setuid(nobody)
                local.remove_tree(tree)
            finally:
                os._exit(1 if tree.exists() else 0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert stat.S_IMODE(outside.stat().st_mode) == 0o700


def test_a_tree_deeper_than_any_path_is_removed(tmp_path: Path) -> None:
    tree = tmp_path / "node"
    tree.mkdir()
    make = "import os\nfor _ in range(3000): os.mkdir('d'); os.chdir('d')"
    subprocess.run([sys.executable, "-c", make], cwd=tree, check=True)
    local.remove_tree(tree)
    assert not tree.exists()


def test_node_ids_have_the_services_form():
    assert NODE_ID.fullmatch(node_id(os.urandom(32), is_dedicated=False))
    assert node_id(bytes(32), is_dedicated=False).endswith("_p")
