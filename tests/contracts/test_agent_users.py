"""Tasks as users of their own, on a machine where this test may make users."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from shoal_agent.users import Users
from shoal_controller.providers.base import node_id
from shoal_controller.providers.local import LocalProvider
from shoal_protocol.specs import (
    AutoUserScope,
    ElevationLevel,
    ResourceFile,
    StartTaskSpec,
    UserIdentity,
)
from shoal_protocol.users import root_of
from tests.contracts.agent_node import AgentNode
from tests.contracts.conftest import CONFIG

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("useradd") is None or "SHOAL_TEST_USERS" not in os.environ,
    reason="makes users on this machine: needs root and SHOAL_TEST_USERS=1",
)
WHO = "/bin/sh -c 'id -un; stat -c %U . ..; echo $AZ_BATCH_TASK_USER_IDENTITY $HOME; touch made'"


@pytest.fixture
async def users_node() -> AsyncIterator[AgentNode]:
    folder = Path(tempfile.mkdtemp(prefix="shoal-users-"))
    folder.chmod(0o755)
    start_task = StartTaskSpec("/bin/sh -c 'id -un > who'")
    node = AgentNode(folder, replace(CONFIG, start_task=start_task), users="create")
    await node.begin()
    try:
        await node.controller.ready()
        yield node
    finally:
        await node.end()
        shutil.rmtree(folder)


def said(node: AgentNode, name: object) -> list[str]:
    return (node.task(name) / "stdout.txt").read_text().splitlines()  # pyright: ignore[reportArgumentType]


async def test_auto_users_own_what_is_theirs(users_node: AgentNode) -> None:
    node = users_node
    admin = ElevationLevel.ADMIN
    pool, root, own, own_root = [
        node.run(WHO, user=user)
        for user in (
            UserIdentity(),
            UserIdentity(elevation=admin),
            UserIdentity(scope=AutoUserScope.TASK),
            UserIdentity(scope=AutoUserScope.TASK, elevation=admin),
        )
    ]
    ends = await node.controller.results(pool, root, own, own_root)
    assert [end.exit.failure for end in ends] == [None] * 4
    assert said(node, pool)[:4] == [
        "_azbatch", "_azbatch", "_azbatch", f"PoolNonAdmin {node.task(pool)}/wd",
    ]  # fmt: skip
    assert said(node, root)[0] == said(node, own_root)[0] == "root"
    name, wd_owner, task_owner, identity = said(node, own)
    assert name == wd_owner == task_owner
    assert name.startswith("_azb")
    assert identity.startswith("TaskNonAdmin")
    assert (node.root / "startup" / "wd" / "who").read_text() == "_azbatch\n"
    # The account is removed a moment after its task.
    await node.controller.results(node.run("/bin/sleep 0.3"))
    with pytest.raises(KeyError):
        pwd.getpwnam(name)


async def test_a_task_cannot_read_the_agents_secrets_or_anothers_work(
    users_node: AgentNode,
) -> None:
    node = users_node
    admin = node.run(
        "/bin/sh -c 'echo s > secret'", user=UserIdentity(elevation=ElevationLevel.ADMIN)
    )
    await node.controller.results(admin)
    spy = node.run(f"/bin/cat {node.folder}/private/node.key {node.task(admin)}/wd/secret")
    (end,) = await node.controller.results(spy)
    assert end.exit.exit_code == 1
    assert said(node, spy) == []


async def test_an_unknown_user_is_a_failure_of_its_run(users_node: AgentNode) -> None:
    run = users_node.run("/bin/true", user=UserIdentity(user_name="nobody-here"))
    (end,) = await users_node.controller.results(run)
    assert end.exit.failure is not None
    assert end.exit.failure.code == "CommandLaunchFailed"


async def test_a_stopped_node_leaves_no_user_of_a_task(users_node: AgentNode) -> None:
    node = users_node
    command = "/bin/sh -c 'id -un > who; exec sleep 1000'"
    run = node.run(command, user=UserIdentity(scope=AutoUserScope.TASK))
    name = await node.file(node.task(run) / "wd" / "who")
    assert root_of(name, pwd.getpwnam(name).pw_gecos) == str(node.root)
    await asyncio.to_thread(node.stop)
    assert not _is_user(name)


async def test_an_agent_removes_the_users_of_nodes_that_are_no_more(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="shoal-users-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        roots = [folder / node_id for node_id in ("n1", "n2", "n3")]
        for root in roots:
            root.mkdir()
        gone, there, own = [Users("create", root, root.name) for root in roots]
        names = [users.task_account(f"7.{n}").name for n, users in enumerate((gone, there, own))]
        try:
            roots[0].rmdir()
            own.prepare((), ["7.2"])
            assert [_is_user(name) for name in names] == [False, True, True]
            own.prepare((), [])
            assert [_is_user(name) for name in names] == [False, True, False]
        finally:
            there.remove_all()
        assert not _is_user(names[1])


def _is_user(name: str) -> bool:
    return name in {entry.pw_name for entry in pwd.getpwall()}


async def test_a_deleted_local_node_leaves_no_user_of_a_task(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="shoal-users-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        kept, gone = [node_id(bytes([n] * 32), is_dedicated=True) for n in (1, 2)]
        for node in (kept, gone):
            (folder / node / "root").mkdir(parents=True)
        users = {node: Users("create", folder / node / "root", node) for node in (kept, gone)}
        names = {node: users[node].task_account("1.1").name for node in (kept, gone)}
        try:
            provider = LocalProvider(folder, "http://127.0.0.1:1")
            await provider.delete(gone, {})
            assert (_is_user(names[kept]), _is_user(names[gone])) == (True, False)
        finally:
            users[kept].remove_all()


async def test_resource_files_belong_to_the_task(users_node: AgentNode) -> None:
    node = users_node
    url = f"{node.controller.url}/shoal/v1/join"  # any answer but 404 would do: this is a 405
    run = node.run("/bin/true", resource_files=(ResourceFile(http_url=url, file_path="a/b"),))
    (end,) = await node.controller.results(run)
    assert end.exit.failure is not None
    assert (node.task(run) / "wd").owner() == "_azbatch"
