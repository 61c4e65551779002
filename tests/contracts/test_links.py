"""Both ends of a link over a real WebSocket: nothing lost, nothing doubled, order kept."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import aiohttp
import pytest

from shoal_controller.core.errors import Unavailable
from shoal_controller.links import connection, registry
from shoal_controller.links.listener import JOIN_PATH, LINK_PATH
from shoal_protocol.codec import FRAME_BYTES_MAX, Entry, encode_frame, encode_message
from shoal_protocol.messages import (
    FileAction,
    FileReply,
    FileRequest,
    KillTask,
    RunEnded,
    RunTask,
)
from shoal_protocol.specs import RunId, TaskSpec

from .agents import CLOCK, REF, Agent, House, a_house, ended


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with a_house() as house:
        yield house


def a_run(serial: int) -> RunTask:
    return RunTask(RunId(serial, 1), TaskSpec("j", str(serial), "/bin/true"))


LIST = FileRequest(0, FileAction.LIST, "shared")


async def test_a_join_with_the_right_token_gives_a_key_and_any_other_is_refused(house: House):
    async def join(**body: object) -> tuple[int, dict[str, str]]:
        async with session.post(house.url + JOIN_PATH, json=body) as answer:
            return answer.status, await answer.json()

    async with aiohttp.ClientSession() as session:
        assert await join(node_id=REF.node_id, token="once") == (200, {"key": "acc:key"})
        assert (await join(node_id=REF.node_id, token="other"))[0] == 403
        assert (await join(node_id="x"))[0] == 400
        assert (await join(node_id=1, token=[]))[0] == 400
        assert (await join(node_id="x" * 5000, token="once"))[0] == 400
        async with session.post(house.url + JOIN_PATH, data=b"\xff{") as answer:
            assert answer.status == 400
        async with session.post(
            house.url + JOIN_PATH, data=b"no gzip", headers={"Content-Encoding": "gzip"}
        ) as answer:
            assert answer.status == 400


async def test_a_link_without_the_nodes_key_is_refused_before_the_upgrade(house: House):
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic acc:key"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(house.url + LINK_PATH, headers=headers)
            assert refused.value.status == 403
        authorized = {"Authorization": "Bearer acc:key"}
        async with session.get(house.url + LINK_PATH, headers=authorized) as plain:
            assert plain.status == 400
        async with session.get(house.url + "/pools") as other:
            assert other.status == 404


async def test_messages_queued_before_and_during_a_connection_arrive_in_order(house: House):
    agent = Agent()
    for serial in range(1, 4):
        house.links.send(REF.serial, a_run(serial))
    async with house.socket() as socket:
        await agent.shake_hands(socket)
        await agent.take(socket)
        house.links.send(REF.serial, a_run(4))
        await agent.take(socket)
    assert [message.run.serial for message in agent.told] == [1, 2, 3, 4]  # pyright: ignore


async def test_a_burst_of_messages_leaves_as_one_frame(house: House):
    agent = Agent()
    async with house.socket() as socket:
        await agent.shake_hands(socket)
        for serial in range(1, 501):
            house.links.send(REF.serial, a_run(serial))
        await agent.take(socket)
    assert len(agent.told) == 500


async def test_reports_are_acknowledged_only_after_their_commit_and_in_order(house: House):
    agent, events = Agent(), house.events
    events.commit.clear()
    async with house.socket() as socket:
        await agent.shake_hands(socket)
        for serial in (1, 2, 3):
            agent.send(ended(serial))
            await agent.flush(socket)
        await events.until(lambda: len(events.taken) == 3)  # handed on while the first waits
        assert house.registry.node(REF.account, REF.serial).end.received_seq == 0
        events.commit.set()
        while agent.end.unacked_messages:
            await agent.take(socket)
    assert events.taken == [ended(1), ended(2), ended(3)]


async def test_a_failed_commit_closes_the_link_and_the_report_comes_again(house: House):
    agent, events = Agent(), house.events

    def refuse(entries: Sequence[Entry]) -> None:
        raise Unavailable("disk full")

    events.on_entries = refuse
    async with house.socket() as socket:
        await agent.shake_hands(socket)
        agent.send(ended(1))
        await agent.flush(socket)
        while await agent.take(socket):
            pass
        assert socket.close_code == aiohttp.WSCloseCode.TRY_AGAIN_LATER
    assert agent.end.unacked_messages == (ended(1),)
    events.on_entries = lambda entries: None
    async with house.socket() as socket:
        await agent.shake_hands(socket)
        await agent.flush(socket)
        while agent.end.unacked_messages:
            await agent.take(socket)
    assert events.taken == [ended(1)]


async def test_a_later_frame_is_not_acknowledged_when_an_earlier_one_failed(house: House):
    agent, events = Agent(), house.events
    events.commit.clear()

    def refuse_first(entries: Sequence[Entry]) -> None:
        if entries[0].message == ended(1):
            raise Unavailable("disk full")

    async with house.socket() as socket:
        await agent.shake_hands(socket)
        events.on_entries = refuse_first
        agent.send(ended(1))
        first = agent.end.flush(CLOCK.monotonic())
        agent.send(ended(2))
        second = agent.end.flush(CLOCK.monotonic())
        await socket.send_bytes(first[0])
        await socket.send_bytes(second[0])
        events.commit.set()
        while await agent.take(socket):
            pass
    assert house.registry.node(REF.account, REF.serial).end.received_seq == 0


async def test_garbage_closes_that_link_is_logged_once_and_the_next_connection_works(
    house: House, caplog: pytest.LogCaptureFixture
):
    hello = encode_message(0, Agent().hello())
    garbage = [
        b"",
        b"\xc1",
        b"\x93" * 100_000,
        encode_frame(0, []),
        encode_frame(9, [hello]),
        encode_frame(0, [encode_message(1, ended(1))]),
        encode_frame(0, [encode_message(0, a_run(1))]),
    ]
    caplog.set_level(logging.INFO)
    for first in garbage[:4]:
        async with house.socket() as socket:
            await socket.send_bytes(first)
            await socket.receive(timeout=20)
            assert socket.close_code == aiohttp.WSCloseCode.PROTOCOL_ERROR
    for later in garbage:
        agent = Agent()
        async with house.socket() as socket:
            await agent.shake_hands(socket)
            if later == encode_frame(0, []) or b"RunEnded" in later:
                later = encode_frame(0, [encode_message(0, ended(1))])  # reliable without a number
            await socket.send_bytes(later)
            while await agent.take(socket):
                pass
            assert socket.close_code == aiohttp.WSCloseCode.PROTOCOL_ERROR
    async with house.socket() as socket:
        await socket.send_str("hello")
        await socket.receive(timeout=20)
    count = house.registry.counts.bad_frame_count
    assert count == len(garbage) + 5
    assert len([one for one in caplog.records if one.levelno >= logging.WARNING]) <= 4
    assert house.events.taken == []
    async with house.socket() as socket:
        agent = Agent()
        await agent.shake_hands(socket)


async def test_a_frame_above_the_limit_closes_the_link(house: House):
    agent = Agent()
    async with house.socket() as socket:
        await agent.shake_hands(socket)
        with contextlib.suppress(ConnectionError):  # it need not read it to the end
            await socket.send_bytes(bytes(FRAME_BYTES_MAX + 4096))
            assert not await agent.take(socket)
        await house.events.until(lambda: house.events.disconnected_count == 1)
    assert house.registry.counts.bad_frame_count == 1


async def test_a_hello_of_another_node_or_protocol_is_refused(house: House):
    hello = Agent().hello()
    for wrong in (replace(hello, node_id="tvmps_2_d"), replace(hello, protocol_version=99)):
        async with house.socket() as socket:
            await socket.send_bytes(encode_frame(0, [encode_message(0, wrong)]))
            await socket.receive(timeout=20)
            assert socket.close_code == aiohttp.WSCloseCode.POLICY_VIOLATION
    assert house.events.hellos == []


async def test_a_connection_that_says_nothing_is_closed(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection, "HANDSHAKE_S_MAX", 0.01)
    async with house.socket() as socket:
        message = await socket.receive(timeout=20)
        assert message.type == aiohttp.WSMsgType.CLOSE


async def test_a_peer_that_stops_reading_and_talking_is_closed(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection, "WRITE_S_MAX", 0.05)
    agent = Agent()
    async with house.socket() as socket:
        await agent.shake_hands(socket)
        spec = TaskSpec("j", "t", "x" * 200_000)
        for serial in range(1, 101):
            house.links.send(REF.serial, RunTask(RunId(serial, 1), spec))
        await house.events.until(lambda: house.events.disconnected_count == 1)
    end = house.registry.node(REF.account, REF.serial).end
    assert len(end.unacked_messages) == 100  # kept for the next connection


async def test_a_silent_peer_is_closed(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "TICK_S", 0.01)
    monkeypatch.setattr("shoal_protocol.link.SILENCE_S_MAX", 0.05)
    agent = Agent()
    async with house.socket() as socket:
        await agent.shake_hands(socket)
        while await agent.take(socket):
            pass
    assert house.registry.counts.silent_count == 1
    assert house.events.disconnected_count == 1


async def test_a_second_connection_of_a_node_replaces_the_first(house: House):
    agent, again = Agent(), Agent()
    async with house.socket() as first, house.socket() as second:
        await agent.shake_hands(first)
        again.end = agent.end
        await again.shake_hands(second)
        assert (await first.receive(timeout=20)).type == aiohttp.WSMsgType.CLOSE
        house.links.send(REF.serial, a_run(1))
        await again.take(second)
    assert again.told == [a_run(1)]
    assert house.registry.counts.replaced_count == 1


async def test_the_newest_connection_begins_after_the_commits_of_the_one_it_replaces(house: House):
    agent, events = Agent(), house.events
    events.commit.clear()
    async with house.socket() as first, house.socket() as second:
        await agent.shake_hands(first)
        agent.send(ended(1))
        await agent.flush(first)
        await events.until(lambda: len(events.taken) == 1)
        shaking = asyncio.create_task(agent.shake_hands(second))
        # A tally tells nobody that it rose.
        while house.registry.counts.replaced_count == 0:
            await asyncio.sleep(0)
        assert not shaking.done()
        assert len(events.hellos) == 1
        events.commit.set()
        welcome = await shaking
    assert welcome.received_seq == 1
    assert agent.end.unacked_messages == ()
    assert events.taken == [ended(1)]


async def test_a_request_gets_its_own_answer(house: House):
    agent = Agent()
    agent.replies = lambda message: (
        FileReply(message.request_id, reason=message.path)
        if isinstance(message, FileRequest)
        else None
    )
    async with house.socket() as socket:
        await agent.shake_hands(socket)
        taking = asyncio.create_task(_take_all(agent, socket))
        answers = await asyncio.gather(
            *(
                house.links.request(REF.serial, FileRequest(0, FileAction.STAT, str(number)))
                for number in range(20)
            )
        )
        assert [answer.reason for answer in answers] == [str(number) for number in range(20)]
        await socket.close()
        await taking


async def _take_all(agent: Agent, socket: aiohttp.ClientWebSocketResponse) -> None:
    while await agent.take(socket):
        pass


async def test_a_request_fails_when_the_node_is_away_or_leaves_or_does_not_answer(house: House):
    with pytest.raises(Unavailable):
        await house.links.request(REF.serial, LIST)
    agent = Agent()
    async with house.socket() as socket:
        await agent.shake_hands(socket)
        with pytest.raises(Unavailable):
            await house.links.request(REF.serial, LIST, timeout_s=0.01)
        late = asyncio.create_task(house.links.request(REF.serial, LIST))
        while len(agent.told) < 2:
            await agent.take(socket)
    with pytest.raises(Unavailable):
        await late
    assert house.registry.node(REF.account, REF.serial).replies == {}


async def test_requests_that_wait_for_one_node_are_limited(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(registry, "REQUESTS_MAX", 2)
    agent = Agent()
    async with house.socket() as socket:
        await agent.shake_hands(socket)
        waiting = [
            asyncio.create_task(house.links.request(REF.serial, LIST, 0.2)) for _ in range(3)
        ]
        done = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(one, Unavailable) for one in done)
    assert sum("already wait" in str(one) for one in done) == 1


async def test_a_forgotten_node_loses_its_connection_and_its_messages(house: House):
    agent = Agent()
    async with house.socket() as socket:
        await agent.shake_hands(socket)
        house.links.forget(REF.serial)
        assert not await agent.take(socket)
    assert list(house.registry) == []


async def test_a_welcome_that_got_lost_leaves_both_ends_able_to_talk(house: House):
    agent = Agent()
    # The agent had a link with an earlier life of the controller, and messages numbered in it.
    agent.end.connected("controller-0", agent.end.incarnation, 0, CLOCK.monotonic())
    for serial in range(1, 6):
        agent.send(ended(serial))
    first, last = agent.end.flush(CLOCK.monotonic()), ended(6)
    assert first
    agent.send(last)
    agent.end.connected("controller-0", agent.end.incarnation, 5, CLOCK.monotonic())
    async with house.socket() as socket:
        await socket.send_bytes(encode_frame(0, [encode_message(0, agent.hello())]))
        await house.events.until(lambda: len(house.events.hellos) == 1)
    async with house.socket() as socket:
        await agent.shake_hands(socket)
        await agent.flush(socket)
        while agent.end.unacked_messages:
            await agent.take(socket)
    assert house.events.taken == [last]


@pytest.mark.parametrize("seed", range(5))
async def test_connections_that_break_at_random_lose_nothing_and_double_nothing(
    house: House, seed: int
):
    """Agents die too: a new life repeats what its journal holds, so doubles come only then."""
    random_ = random.Random(seed)
    agent, events = Agent(), house.events
    total, sent, lives = 300, 0, 1

    def is_quiet() -> bool:
        return not (
            agent.end.unacked_messages
            or house.registry.node(REF.account, REF.serial).end.unacked_messages
        )

    while sent < total or not is_quiet():
        async with house.socket() as socket:
            await agent.shake_hands(socket)
            for _ in range(random_.randrange(12)):
                for _ in range(random_.randrange(min(8, total - sent + 1))):
                    sent += 1
                    agent.send(ended(sent))
                    house.links.send(REF.serial, KillTask(RunId(sent, 1)))
                await agent.flush(socket)
                if random_.random() < 0.7 and agent.end.unacked_messages:
                    await agent.take(socket)
            if random_.random() < 0.5:
                assert socket._conn is not None
                assert socket._conn.transport is not None
                socket._conn.transport.abort()  # no closing handshake, buffers lost
        agent.end.disconnected()
        if random_.random() < 0.2:
            lives += 1
            journal = agent.end.unacked_messages
            told = agent.told
            agent = Agent(f"agent-{lives}")
            agent.told = told
            agent.send(*journal)
    reported = [message.run.serial for message in events.taken if isinstance(message, RunEnded)]
    assert list(dict.fromkeys(reported)) == list(range(1, total + 1))
    killed = [message.run.serial for message in agent.told if isinstance(message, KillTask)]
    assert list(dict.fromkeys(killed)) == list(range(1, total + 1))
    if lives == 1:
        assert len(reported) == len(killed) == total
