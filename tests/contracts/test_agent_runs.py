"""A node from the controller's side: what runs, what is told, and what survives whose death."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from shoal_protocol.messages import (
    ChangeLimits,
    KillTask,
    RecallTask,
    RunEnded,
    RunGone,
    RunLost,
    RunPhase,
    RunReturned,
    RunStarted,
)
from shoal_protocol.specs import RunId
from tests.contracts.agent_node import AgentNode

GATE = "/bin/sh -c 'echo $$ > started; while [ ! -e go ]; do sleep 0.02; done; echo out'"
DAEMON = (
    f'{sys.executable} -c "import os, signal, time; '
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); os.setsid() if os.getppid() != "
    "int(os.environ.get('P', 0)) and os.fork() == 0 else None; "
    "print('up', flush=True); time.sleep(1000)\""
)


async def test_a_task_runs_in_its_directory_and_reports_once(node: AgentNode) -> None:
    run = node.run("/bin/sh -c 'pwd; echo err >&2; echo x > file'")
    (end,) = await node.controller.results(run)
    assert (end.exit.exit_code, end.exit.failure) == (0, None)
    assert end.exit.started_at is not None
    assert end.exit.started_at <= end.exit.ended_at
    assert (node.task(run) / "stdout.txt").read_text() == f"{node.task(run)}/wd\n"
    assert (node.task(run) / "stderr.txt").read_text() == "err\n"
    assert (node.task(run) / "wd" / "file").read_text() == "x\n"


async def test_a_task_sees_the_documented_environment_and_nothing_of_the_agents(
    node: AgentNode,
) -> None:
    run = node.run(
        "/usr/bin/env",
        environment=(("DATA", "$AZ_BATCH_NODE_SHARED_DIR/d"), ("AZ_BATCH_POOL_ID", "mine")),
    )
    await node.controller.results(run)
    lines = (node.task(run) / "stdout.txt").read_text().splitlines()
    seen = {name: value for name, _, value in (line.partition("=") for line in lines)}
    assert seen["AZ_BATCH_TASK_ID"] == f"t{run.serial}"
    assert seen["AZ_BATCH_JOB_ID"] == "job"
    assert seen["AZ_BATCH_TASK_WORKING_DIR"] == seen["PWD"] == seen["HOME"]
    assert seen["AZ_BATCH_POOL_ID"] == "pool"
    assert seen["DATA"] == f"{node.root}/shared/d"
    assert "VIRTUAL_ENV" not in seen


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("no-such-program", "CommandProgramNotFound"),
        ("/etc/passwd", "CommandLaunchFailed"),
        ("echo 'unbalanced", "CommandLaunchFailed"),
        ("", "CommandLaunchFailed"),
    ],
)
async def test_a_command_that_cannot_start_fails_its_run_alone(
    node: AgentNode, command: str, code: str
) -> None:
    bad, good = node.run(command), node.run("/bin/true")
    first, second = await node.controller.results(bad, good)
    assert first.exit.failure is not None
    assert (first.exit.failure.code, first.exit.exit_code) == (code, None)
    assert command in dict(first.exit.failure.details)["CommandLine"]
    assert second.exit.failure is None
    assert bad in [m.run for m in node.controller.all(RunStarted)]


async def test_a_quote_that_is_never_closed_is_told_with_its_position(node: AgentNode) -> None:
    (end,) = await node.controller.results(node.run("/bin/sh -c 'echo hello"))
    assert end.exit.failure is not None
    assert dict(end.exit.failure.details) == {
        "CommandLine": "/bin/sh -c 'echo hello",
        "Message": "the quote ' at position 12 of the command line is never closed",
    }


async def test_a_nonzero_exit_and_a_signal_are_reported_as_they_were(node: AgentNode) -> None:
    runs = node.run("/bin/sh -c 'exit 3'"), node.run("/bin/sh -c 'kill -KILL $$'")
    exits = [end.exit for end in await node.controller.results(*runs)]
    assert [e.exit_code for e in exits] == [3, -9]
    assert {e.failure.code for e in exits if e.failure} == {"FailureExitCode"}


async def test_a_burst_of_short_tasks_is_one_message_each(node: AgentNode) -> None:
    runs = [node.run("/bin/true") for _ in range(300)]
    await node.controller.results(*runs)
    assert len(node.controller.all(RunEnded)) == 300
    # Those that a busy machine kept running longer than the hold-back are told as well.
    assert len(node.controller.all(RunStarted)) < 150


async def test_a_long_task_is_announced_and_outlives_its_agent(node: AgentNode) -> None:
    run = node.run(GATE)
    await node.controller.hear(RunStarted)
    pid = await node.file(node.task(run) / "wd" / "started")
    node.kill()
    (node.task(run) / "wd" / "go").touch()
    node.start()
    (end,) = await node.controller.results(run)
    assert end.exit.failure is None
    assert (node.task(run) / "wd" / "started").read_text().strip() == pid
    assert len(node.controller.all(RunEnded)) == 1
    hello = node.controller.hellos[-1]
    assert hello.boot_id == node.controller.hellos[0].boot_id


async def test_queued_tasks_run_while_no_agent_lives(node: AgentNode) -> None:
    gates = [node.run(GATE), node.run(GATE)]
    waiting = [node.run(f"/bin/sh -c 'echo {n} > done'") for n in range(5)]
    last = node.run("/bin/true")
    for gate in gates:
        await node.file(node.task(gate) / "wd" / "started")
    await node.controller.until(lambda: not node.controller.link.unacked_messages)
    node.kill()
    for gate in gates:
        (node.task(gate) / "wd" / "go").touch()
    await node.file(node.task(waiting[-1]) / "wd" / "done")
    node.start()
    ends = await node.controller.results(*gates, *waiting, last)
    assert all(end.exit.failure is None for end in ends)
    assert len(node.controller.all(RunEnded)) == len(ends)


async def test_a_result_is_told_until_it_is_acknowledged(node: AgentNode) -> None:
    node.controller.acknowledges = False
    run = node.run("/bin/true")
    await node.controller.results(run)
    node.kill()
    node.controller.heard.clear()
    node.controller.acknowledges = True
    node.start()
    await node.controller.results(run)
    assert run in [held.run for held in node.controller.hellos[-1].runs]
    # It is forgotten once it is acknowledged.
    node.kill(signal.SIGTERM)
    node.start()
    await node.controller.until(lambda: len(node.controller.hellos) == 3)
    assert node.controller.hellos[-1].runs == ()


async def test_a_known_run_is_left_as_it_is(node: AgentNode) -> None:
    run = node.run("/bin/sh -c 'echo ran >> $AZ_BATCH_NODE_SHARED_DIR/count'")
    node.run("/bin/false", serial=run.serial)
    other = node.run("/bin/true")
    await node.controller.results(run, other)
    assert (node.root / "shared" / "count").read_text() == "ran\n"


async def test_a_wall_clock_limit_ends_the_whole_process_tree(node: AgentNode) -> None:
    run = node.run(DAEMON, wall_clock_limit_s=0.6)
    (end,) = await node.controller.results(run)
    assert end.exit.exit_code == -9
    assert end.exit.failure is not None
    assert (end.exit.failure.code, end.exit.failure.category) == ("TaskEnded", "UserError")
    assert "up" in (node.task(run) / "stdout.txt").read_text()
    assert node.marked_pids() == []


async def test_a_new_limit_counts_from_the_same_start(node: AgentNode) -> None:
    run = node.run("/bin/sleep 1000")
    await node.controller.hear(RunStarted)
    node.controller.tell(ChangeLimits(run, 0.1, 60.0))
    (end,) = await node.controller.results(run)
    assert end.exit.failure is not None
    assert end.exit.failure.code == "TaskEnded"


async def test_a_killed_run_is_gone_with_its_processes_and_has_no_result(node: AgentNode) -> None:
    run = node.run(DAEMON)
    await node.controller.hear(RunStarted)
    node.controller.tell(KillTask(run))
    await node.controller.hear(RunGone)
    assert node.marked_pids() == []
    await node.controller.results(node.run("/bin/true"))
    assert run not in [end.run for end in node.controller.all(RunEnded)]


async def test_killing_what_is_unknown_queued_or_ended_is_answered(node: AgentNode) -> None:
    gates = [node.run(GATE), node.run(GATE)]
    queued = node.run("/bin/true")
    node.controller.tell(KillTask(RunId(77, 1)), KillTask(queued))
    gone = await node.controller.hear(RunGone, 2)
    assert {message.run for message in gone} == {RunId(77, 1), queued}
    for gate in gates:
        node.controller.tell(KillTask(gate))
    await node.controller.hear(RunGone, 4)
    ended = node.run("/bin/true")
    await node.controller.results(ended)
    node.controller.tell(KillTask(ended))
    await node.controller.hear(RunGone, 5)


async def test_a_kill_is_finished_by_the_next_agent(node: AgentNode) -> None:
    run = node.run(GATE)
    await node.controller.hear(RunStarted)
    os.kill(node.spawner_pid(), signal.SIGSTOP)
    node.controller.tell(KillTask(run))
    await node.controller.until(lambda: not node.controller.link.unacked_messages)
    node.kill()
    os.kill(node.spawner_pid(), signal.SIGCONT)
    node.start()
    await node.controller.hear(RunGone)
    assert node.marked_pids() == []


async def test_only_a_run_without_slots_is_given_back(node: AgentNode) -> None:
    gates = [node.run(GATE), node.run(GATE)]
    queued = node.run("/bin/true")
    await node.controller.hear(RunStarted, 2)
    node.controller.tell(RecallTask(gates[0]), RecallTask(queued))
    (returned,) = await node.controller.hear(RunReturned)
    assert returned.run == queued
    for gate in gates:
        (node.task(gate) / "wd" / "go").touch()
    await node.controller.results(*gates)
    assert len(node.controller.all(RunReturned)) == 1


async def test_hello_tells_what_is_held_and_how_far_it_is(node: AgentNode) -> None:
    gates = [node.run(GATE), node.run(GATE)]
    queued = node.run("/bin/true")
    await node.controller.hear(RunStarted, 2)
    await node.controller.hang_up()
    await node.controller.until(lambda: len(node.controller.hellos) == 2)
    phases = {held.run: held.phase for held in node.controller.hellos[-1].runs}
    assert phases == {
        gates[0]: RunPhase.RUNNING, gates[1]: RunPhase.RUNNING, queued: RunPhase.QUEUED,
    }  # fmt: skip


async def test_a_killed_spawner_loses_its_runs_and_the_node_goes_on(node: AgentNode) -> None:
    run = node.run(DAEMON)
    await node.controller.hear(RunStarted)
    os.kill(node.spawner_pid(), signal.SIGKILL)
    (lost,) = await node.controller.hear(RunLost)
    assert lost.run == run
    assert node.marked_pids() == []
    (end,) = await node.controller.results(node.run("/bin/true"))
    assert end.exit.failure is None


async def test_agent_and_spawner_killed_together_is_a_new_boot(node: AgentNode) -> None:
    run = node.run(GATE)
    await node.controller.hear(RunStarted)
    node.kill()
    os.kill(node.spawner_pid(), signal.SIGKILL)
    node.start()
    (lost,) = await node.controller.hear(RunLost)
    assert lost.run == run
    first, second = node.controller.hellos
    assert first.boot_id != second.boot_id
    await node.controller.results(node.run("/bin/true"))


async def test_a_second_attempt_finds_an_empty_directory(node: AgentNode) -> None:
    first = node.run("/bin/sh -c 'echo old > left; exit 1'")
    await node.controller.results(first)
    second = node.run("/bin/ls -A", serial=first.serial, attempt=2)
    (end,) = await node.controller.results(second)
    assert end.exit.failure is None
    assert (node.task(second) / "stdout.txt").read_text() == ""


async def test_an_attempt_waits_until_the_one_before_it_has_left_the_directory(
    node: AgentNode,
) -> None:
    first = node.run(GATE)
    await node.file(node.task(first) / "wd" / "started")
    second = node.run("/bin/ls -A", serial=first.serial, attempt=2)
    other = node.run("/bin/true")
    await node.controller.results(other)
    node.controller.tell(KillTask(first))
    (end,) = await node.controller.results(second)
    assert end.exit.failure is None
    assert (node.task(second) / "stdout.txt").read_text() == ""


async def test_garbage_from_the_controller_costs_a_connection_and_no_task(
    node: AgentNode,
) -> None:
    run = node.run(GATE)
    await node.controller.hear(RunStarted)
    for number, garbage in enumerate((b"\xc1garbage", b"", b"\x92\x00\x93\x01\xa1x\x80")):
        await node.controller.write(garbage)
        await node.controller.until(lambda n=number: len(node.controller.hellos) == n + 2)
    (node.task(run) / "wd" / "go").touch()
    (end,) = await node.controller.results(run)
    assert end.exit.failure is None


async def test_hostile_ids_fail_their_run_and_touch_nothing(node: AgentNode) -> None:
    from shoal_protocol.messages import RunTask
    from shoal_protocol.specs import TaskSpec

    names = [RunId(900 + n, 1) for n in range(4)]
    ids = [("..", "t"), ("job", "../../x"), ("a/b", "t"), ("job", "")]
    for name, (job_id, task_id) in zip(names, ids, strict=True):
        node.controller.tell(RunTask(name, TaskSpec(job_id, task_id, "/bin/true")))
    ends = await node.controller.results(*names)
    assert all(end.exit.failure is not None for end in ends)
    assert list((node.root / "workitems").iterdir()) == []
