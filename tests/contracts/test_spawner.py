"""The real spawner, driven over its socket: what it promises the agent."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from shoal_agent.core.slots import RunState
from shoal_agent.core.spawning import (
    Dropped,
    Event,
    Exited,
    Failed,
    Granted,
    Launch,
    Snapshot,
    Started,
)
from shoal_agent.spawnerclient import SOCKET_NAME, SpawnerClient

PATIENCE_S = 30.0

DAEMON = """
import os, signal, sys, time
pid_file, parent, environment = sys.argv[1:]
if environment != "wiped":
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if os.fork():
        while parent == "stays" or not os.path.exists(pid_file):
            time.sleep(0.01)
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.closerange(0, 100)
    if environment == "wipe":
        os.execve(sys.executable, [sys.executable, __file__, pid_file, parent, "wiped"], {})
with open(pid_file + ".new", "w") as file:
    file.write(str(os.getpid()))
os.rename(pid_file + ".new", pid_file)
while True:
    time.sleep(600)
"""


class Agent:
    """A client that remembers every event and can be asked to wait for one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[Event] = []
        self._arrived = asyncio.Condition()
        self._lost = asyncio.Event()
        self.client = SpawnerClient(folder, folder, self._take, self._lost.set)

    def _take(self, events: list[Event]) -> None:
        self.events += events
        self._wake = asyncio.create_task(self._notify())

    async def _notify(self) -> None:
        async with self._arrived:
            self._arrived.notify_all()

    async def until(self, is_enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S), self._arrived:
            await self._arrived.wait_for(is_enough)

    async def end_of(self, key: str) -> Exited | Failed | Dropped:
        """Wait for the terminal event of a run."""
        found: list[Exited | Failed | Dropped] = []

        def is_there() -> bool:
            found[:] = [
                event
                for event in self.events
                if isinstance(event, (Exited, Failed, Dropped)) and event.key == key
            ]
            return bool(found)

        await self.until(is_there)
        assert len(found) == 1
        return found[0]

    async def start_of(self, key: str) -> Started:
        def starts() -> list[Started]:
            return [e for e in self.events if isinstance(e, Started) and e.key == key]

        await self.until(lambda: bool(starts()))
        return starts()[0]

    def shell(self, script: str, **more: object) -> Launch:
        return Launch(["/bin/sh", "-c", script], str(self.folder), **more)  # pyright: ignore[reportArgumentType]

    def daemon(self, pid_file: Path, parent: str, environment: str) -> Launch:
        """A task whose daemon left session and parent, and perhaps its environment.

        parent       stays, or leaves once the daemon is there
        environment  keep or wipe
        """
        program = self.folder / "daemon.py"
        program.write_text(DAEMON)
        argv = [sys.executable, str(program), str(pid_file), parent, environment]
        return Launch(argv, str(self.folder))


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    agent = Agent(tmp_path)
    await agent.client.connect()
    agent.client.set_capacity(2)
    yield agent
    if not agent.client.is_connected:
        await agent.client.connect()
    await agent.client.stop()


async def look(folder: Path) -> Snapshot:
    """Return what the spawner holds, as another connection sees it."""
    client = Agent(folder).client
    snapshot = await client.connect()
    client.close()
    return snapshot


async def until_gone(pid: int) -> None:
    """Wait for the end of any process; a zombie has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(fd, ended.set)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await ended.wait()
    finally:
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)


async def pid_in(path: Path) -> int:
    """Return the number in a file that a task writes whole, once it is there."""
    async with asyncio.timeout(PATIENCE_S):
        while not path.exists():
            await asyncio.sleep(0.01)
    return int(path.read_text())


async def test_a_run_is_started_and_its_end_told_with_times_and_usage(agent: Agent) -> None:
    agent.client.enqueue("a", 1, agent.shell("exit 3"))
    end = await agent.end_of("a")
    assert isinstance(end, Exited)
    assert end.exit_code == 3
    assert end.started_at == (await agent.start_of("a")).started_at
    assert end.ended_at >= end.started_at
    assert end.duration_s >= 0
    assert end.rss_bytes_max > 0
    assert not end.timed_out
    assert not end.killed


async def test_output_goes_to_new_files_and_directories_come_first(agent: Agent) -> None:
    task = agent.folder / "task"
    precious = agent.folder / "precious"
    precious.write_text("untouched")
    launch = Launch(
        ["sh", "-c", "pwd; echo oops >&2; umask; cat; ls /proc/self/fd | wc -l"],
        str(task / "wd"),
        env={"PATH": "/usr/bin:/bin"},
        stdout=str(task / "stdout.txt"),
        stderr=str(task / "stderr.txt"),
        directories=[(str(task), 0o751, -1, -1), (str(task / "wd"), 0o777, -1, -1)],
    )
    task.mkdir()  # of an earlier try, with a trap in it
    (task / "stdout.txt").symlink_to(precious)
    agent.client.enqueue("a", 1, launch)
    await agent.end_of("a")
    assert (task / "stdout.txt").read_text().split() == [str(task / "wd"), "0022", "4"]
    assert (task / "stderr.txt").read_text() == "oops\n"
    assert (task / "wd").stat().st_mode & 0o7777 == 0o777
    assert precious.read_text() == "untouched"


async def test_environments_are_layered_and_the_marks_cannot_be_forged(agent: Agent) -> None:
    agent.client.register_environment("base", {"A": "base", "B": "base", "PATH": "/usr/bin:/bin"})
    out = agent.folder / "out"
    agent.client.enqueue("a", 1, Launch(
        ["env"], str(agent.folder), base="base", stdout=str(out),
        env={"B": "own", "SHOAL_RUN": "forged"},
    ))  # fmt: skip
    await agent.end_of("a")
    assert sorted(out.read_text().splitlines()) == [
        "A=base", "B=own", "PATH=/usr/bin:/bin", f"SHOAL_NODE={agent.folder}", "SHOAL_RUN=a",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "cwd", "number", "stage", "is_missing"),
    [
        (["no-such-program"], ".", errno.ENOENT, "program", True),
        (["./no/such"], ".", errno.ENOENT, "program", True),
        (["./plain"], ".", errno.EACCES, "program", False),
        (["./script"], ".", errno.ENOEXEC, "program", False),
        (["true"], "nowhere", errno.ENOENT, "cwd", False),
        (["tr\0ue"], ".", errno.EINVAL, "program", False),
    ],
)
async def test_what_cannot_be_launched_is_told_by_its_stage(
    agent: Agent, argv: list[str], cwd: str, number: int, stage: str, is_missing: bool
) -> None:
    (agent.folder / "plain").write_text("no program")
    (agent.folder / "script").write_text("exit 0")
    (agent.folder / "script").chmod(0o755)
    agent.client.enqueue("a", 1, Launch(argv, str(agent.folder / cwd)))
    end = await agent.end_of("a")
    assert isinstance(end, Failed)
    assert end == Failed("a", number, stage)
    assert end.is_program_missing == is_missing


async def test_a_directory_or_file_that_cannot_be_made_fails_the_run(agent: Agent) -> None:
    (agent.folder / "file").touch()
    path = str(agent.folder / "file")
    agent.client.enqueue("a", 1, agent.shell(":", directories=[(path, 0o755, -1, -1)]))
    agent.client.enqueue("b", 1, agent.shell(":", stdout=f"{path}/out"))
    agent.client.enqueue("c", 1, agent.shell(":", base="unheard-of"))
    assert await agent.end_of("a") == Failed("a", errno.ENOTDIR, "directories")
    assert await agent.end_of("b") == Failed("b", errno.ENOTDIR, "output")
    assert await agent.end_of("c") == Failed("c", errno.EINVAL, "environment")


@pytest.mark.parametrize("environment", ["keep", "wipe"])
async def test_a_daemon_dies_with_its_run_at_the_limit(agent: Agent, environment: str) -> None:
    pid_file = agent.folder / "pid"
    agent.client.enqueue("a", 1, agent.daemon(pid_file, "stays", environment))
    pid = await pid_in(pid_file)
    agent.client.limit("a", 0.0)
    end = await agent.end_of("a")
    assert isinstance(end, Exited)
    assert (end.exit_code, end.timed_out, end.killed) == (-signal.SIGKILL, True, False)
    await until_gone(pid)


@pytest.mark.parametrize("environment", ["keep", "wipe"])
async def test_a_daemon_dies_with_its_killed_run_and_no_other(
    agent: Agent, environment: str
) -> None:
    agent.client.enqueue("a", 1, agent.daemon(agent.folder / "pid", "stays", environment))
    pid = await pid_in(agent.folder / "pid")
    agent.client.enqueue("b", 1, agent.daemon(agent.folder / "other", "stays", environment))
    other = await pid_in(agent.folder / "other")
    agent.client.kill("a")
    end = await agent.end_of("a")
    assert isinstance(end, Exited)
    assert (end.exit_code, end.timed_out, end.killed) == (-signal.SIGKILL, False, True)
    if environment == "keep":  # who wiped every mark may be the other's, and ends with the last
        await until_gone(pid)
    os.kill(other, 0)
    agent.client.kill("b")
    await agent.end_of("b")
    await until_gone(pid)
    await until_gone(other)


async def test_a_daemon_does_not_outlive_the_normal_end_of_its_run(agent: Agent) -> None:
    pid_file = agent.folder / "pid"
    agent.client.enqueue("a", 1, agent.daemon(pid_file, "leaves", "keep"))
    end = await agent.end_of("a")
    assert isinstance(end, Exited)
    assert end.exit_code == 0
    await until_gone(int(pid_file.read_text()))


async def test_a_limit_counts_what_was_used_before(agent: Agent) -> None:
    agent.client.enqueue("a", 1, agent.shell("sleep 600", limit_s=3600.0, used_s=3600.0))
    end = await agent.end_of("a")
    assert isinstance(end, Exited)
    assert end.timed_out


async def test_a_run_without_a_launch_is_granted_and_then_launched_or_released(
    agent: Agent,
) -> None:
    for key in ("a", "b", "c"):
        agent.client.enqueue(key, 1)
    await agent.until(lambda: Granted("a") in agent.events and Granted("b") in agent.events)
    assert Granted("c") not in agent.events
    agent.client.release("a")
    assert await agent.end_of("a") == Dropped("a")
    await agent.until(lambda: Granted("c") in agent.events)
    agent.client.launch("b", agent.shell("exit 4"))
    end = await agent.end_of("b")
    assert isinstance(end, Exited)
    assert end.exit_code == 4
    agent.client.kill("c")
    assert await agent.end_of("c") == Dropped("c")


async def test_a_queued_run_is_dropped_when_it_is_killed(agent: Agent) -> None:
    agent.client.enqueue("big", 2, agent.shell("sleep 600"))
    agent.client.enqueue("next", 1, agent.shell("true"))
    await agent.start_of("big")
    agent.client.kill("next")
    assert await agent.end_of("next") == Dropped("next")
    agent.client.kill("big")
    await agent.end_of("big")


async def test_held_slots_wait_for_their_release(agent: Agent) -> None:
    agent.client.set_capacity(1)
    agent.client.enqueue("a", 1, agent.shell("true", hold=True))
    agent.client.enqueue("b", 1, agent.shell("true"))
    await agent.end_of("a")
    agent.client.ack(["a"])
    snapshot = await look(agent.folder)
    assert snapshot.runs["a"].held == 1
    assert snapshot.runs["b"].state is RunState.QUEUED
    agent.client.release("a")
    await agent.end_of("b")


async def test_an_end_is_kept_until_it_is_acknowledged(agent: Agent) -> None:
    agent.client.enqueue("a", 1, agent.shell("exit 5"))
    end = await agent.end_of("a")
    snapshot = await look(agent.folder)
    assert snapshot.runs["a"].end == end
    agent.client.ack(["a"])
    agent.client.enqueue("b", 1, agent.shell("true"))  # so that the acknowledgement has arrived
    await agent.end_of("b")
    assert "a" not in (await look(agent.folder)).runs


async def test_an_agent_that_was_gone_finds_everything_in_the_list(agent: Agent) -> None:
    agent.client.enqueue("long", 1, agent.shell("read line < gate"))
    agent.client.enqueue("short", 1, agent.shell("exit 6"))
    os.mkfifo(agent.folder / "gate")
    started = await agent.start_of("long")
    agent.client.enqueue("third", 2, agent.shell("true"))
    await agent.end_of("short")
    agent.client.close()
    later = Agent(agent.folder)
    snapshot = await later.client.connect()
    assert snapshot.capacity == 2
    assert snapshot.runs["long"].started == started
    assert isinstance(snapshot.runs["short"].end, Exited)
    assert snapshot.runs["third"].state is RunState.QUEUED
    await asyncio.to_thread((agent.folder / "gate").write_text, "go\n")
    await later.end_of("third")
    later.client.close()


async def test_two_thousand_quick_runs_are_each_reported_once(agent: Agent) -> None:
    count = 2000
    for number in range(count):
        agent.client.enqueue(str(number), 1, Launch(["/bin/true"], "/"))
        agent.client.enqueue(str(number), 1, Launch(["/bin/false"], "/"))

    def ends() -> list[Exited]:
        return [event for event in agent.events if isinstance(event, Exited)]

    await agent.until(lambda: len(ends()) >= count)
    assert [end.exit_code for end in ends()] == [0] * count
    started = [event.key for event in agent.events if isinstance(event, Started)]
    assert started == [str(number) for number in range(count)]
    assert sorted(end.key for end in ends()) == sorted(started)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff\xfe garbage\n",
        b"{}\n",
        b'[["no such command"]]\n',
        b'[["enqueue","k",1,{"argv":"true"}]]\n',
        b'[["enqueue","k",true,null]]\n',
        b'[["enqueue","k\\u0000",1,null]]\n',
        b'[["enqueue",["k"],1,null]]\n',
        b'[["limit","k",NaN]]\n',
        b'[["limit","k",1e400]]\n',
        b'[["env","e",{"A=B":"c"}]]\n',
        b'[["enqueue","k",1,{"argv":["true"],"cwd":"/","env":{"\\ud800":"x"}}]]\n',
        b"[" * 100_000 + b"\n",
        b"[" + b"1" * 10_000 + b"]\n",
        b"x" * (9 << 20),
    ],
    ids=range(14),
)
async def test_garbage_ends_its_connection_and_nothing_else(agent: Agent, garbage: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(PATIENCE_S)
        link.connect(str(agent.folder / SOCKET_NAME))

        def talk() -> None:
            try:
                link.sendall(garbage)
                while link.recv(65536):
                    pass
            except (ConnectionResetError, BrokenPipeError):
                pass

        await asyncio.to_thread(talk)
    agent.client.enqueue("a", 1, agent.shell("true"))
    assert isinstance(await agent.end_of("a"), Exited)


async def test_a_killed_spawner_leaves_nothing_once_the_next_one_is_there(agent: Agent) -> None:
    agent.client.enqueue("a", 1, agent.daemon(agent.folder / "pid", "stays", "keep"))
    daemon = await pid_in(agent.folder / "pid")
    task = (await agent.start_of("a")).pid
    first = await look(agent.folder)
    os.kill(first.pid, signal.SIGKILL)
    await until_gone(first.pid)
    second = await look(agent.folder)
    assert second.pid != first.pid
    assert second.runs == {}
    await until_gone(task)
    await until_gone(daemon)


async def test_only_one_spawner_lives_per_node(agent: Agent) -> None:
    agent.client.enqueue("a", 1, agent.shell("sleep 600"))
    await agent.start_of("a")
    script = str(Path(sys.modules["shoal_agent"].__path__[0]) / "spawner.py")
    second = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", script, str(agent.folder / SOCKET_NAME), str(agent.folder)
    )
    assert await second.wait() == 3
    agent.client.kill("a")
    await agent.end_of("a")


async def test_stop_kills_everything_and_takes_the_socket_away(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    pid = (await agent.client.connect()).pid
    agent.client.set_capacity(1)
    agent.client.enqueue("a", 1, agent.daemon(tmp_path / "pid", "stays", "wipe"))
    daemon = await pid_in(tmp_path / "pid")
    await agent.client.stop()
    await until_gone(pid)
    await until_gone(daemon)
    assert not (tmp_path / SOCKET_NAME).exists()


async def test_a_node_deep_in_the_file_system_can_be_reached(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["a-long-name-of-a-folder"] * 8)
    folder.mkdir(parents=True)
    agent = Agent(folder)
    await agent.client.connect()
    assert (folder / SOCKET_NAME).stat().st_mode & 0o777 == 0o600
    await agent.client.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="another user needs root")
async def test_a_task_of_another_user_runs_as_that_user_alone(agent: Agent) -> None:
    for parent in (agent.folder, *agent.folder.parents[:2]):
        parent.chmod(0o755)
    task = agent.folder / "task"
    launch = Launch(
        ["sh", "-c", "id -u; id -g; id -G; touch mine; rm ../precious"],
        str(task / "wd"),
        env={"PATH": "/usr/bin:/bin"},
        stdout=str(task / "out"),
        directories=[(str(task), 0o755, -1, -1), (str(task / "wd"), 0o700, 12345, 12345)],
        uid=12345, gid=12345, groups=[12346],
    )  # fmt: skip
    agent.client.enqueue("a", 1, launch)
    end = await agent.end_of("a")
    assert isinstance(end, Exited)
    assert end.exit_code != 0
    assert (task / "out").read_text().split() == ["12345", "12345", "12345", "12346"]
    assert (task / "wd" / "mine").stat().st_uid == 12345
    agent.client.enqueue("b", 1, Launch(
        ["/nonexistent"], "/", uid=12345, gid=12345,
    ))  # fmt: skip
    assert await agent.end_of("b") == Failed("b", errno.ENOENT, "program")
