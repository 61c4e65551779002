"""Both ends of a link over a pipe that loses, repeats and breaks: nothing lost, nothing twice."""

from __future__ import annotations

from collections import deque
from random import Random

import pytest

from shoal_protocol.codec import BadFrame, encode_frame, encode_message
from shoal_protocol.link import (
    BURST_BYTES,
    HEARTBEAT_INTERVAL_S,
    RESEND_AFTER_S,
    SILENCE_S_MAX,
    LinkEnd,
)
from shoal_protocol.messages import FileReply, KillTask, Ping, RunGone
from shoal_protocol.specs import RunId


class Peer:
    """A process with one end: it notes what it made durable, and may die and come again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lives = 0
        self.durable: list[RunId] = []  # what this process would find on its disk
        self.sent: list[RunId] = []
        self.begin()

    def begin(self) -> None:
        """Start anew: the end is lost; what must be sent is made up again from the disk."""
        self.lives += 1
        self.end = LinkEnd(f"{self.name}{self.lives}")
        self.waiting: deque[tuple[int, str]] = deque()  # delivered, not yet durable

    def say(self, number: int, now_s: float) -> None:
        self.sent.append(RunId(number, self.lives))
        self.end.send(KillTask(RunId(number, self.lives)), now_s)

    def hear(self, frame: bytes, now_s: float) -> None:
        for entry in self.end.receive(frame, now_s):
            assert isinstance(entry.message, KillTask)
            self.durable.append(entry.message.run)
            self.waiting.append((entry.seq, self.end.peer_incarnation))

    def store(self) -> None:
        while self.waiting:
            self.end.acknowledge(*self.waiting.popleft())


def connect(one: LinkEnd, other: LinkEnd, now_s: float) -> None:
    """The handshake: both tell who they are, whom they knew, and how far they came."""
    told = [(end.incarnation, end.peer_incarnation, end.received_seq) for end in (one, other)]
    one.disconnected()
    other.disconnected()
    other.connected(*told[0], now_s)
    one.connected(*told[1], now_s)


def carry(one: LinkEnd, other: LinkEnd, now_s: float) -> list[KillTask]:
    """Take all that `one` has to say to `other`, and return what is new there."""
    messages = [
        entry.message for frame in one.flush(now_s) for entry in other.receive(frame, now_s)
    ]
    return [message for message in messages if isinstance(message, KillTask)]


def a_pair() -> tuple[LinkEnd, LinkEnd]:
    one, other = LinkEnd("one"), LinkEnd("other")
    connect(one, other, 0.0)
    return one, other


def kill(number: int) -> KillTask:
    return KillTask(RunId(number, 1))


@pytest.mark.parametrize("seed", range(40))
def test_everything_arrives_once_and_in_order_whatever_the_pipe_does(seed: int) -> None:
    rng = Random(seed)
    now_s = 0.0
    peers = Peer("a"), Peer("b")
    pipes: tuple[list[bytes], list[bytes]] = ([], [])  # what flies towards peers[0], peers[1]
    connect(peers[0].end, peers[1].end, now_s)
    for step in range(600):
        now_s += rng.choice((0.0, 0.01, 0.5, 3.0))
        side = rng.randrange(2)
        peer, towards = peers[side], pipes[1 - side]
        match rng.randrange(10):
            case 0 | 1:
                peer.say(step, now_s)
            case 2 | 3:
                towards += peer.end.flush(now_s)
            case 4 | 5 | 6 if pipes[side]:
                frame = pipes[side].pop(0)
                if rng.random() < 0.1:  # lost
                    continue
                for _ in range(rng.choice((1, 1, 1, 2))):
                    peer.hear(frame, now_s)
            case 7:
                peer.store()
            case 8 if rng.random() < 0.2:  # what was heard and not stored is heard again
                for each in peers:
                    each.store()
                pipes[0].clear()
                pipes[1].clear()
                connect(peers[0].end, peers[1].end, now_s)
            case _:
                pass
    for _ in range(10):
        now_s += RESEND_AFTER_S + 1
        for side in (0, 1):
            for frame in peers[side].end.flush(now_s):
                peers[1 - side].hear(frame, now_s)
            peers[1 - side].store()
    for side in (0, 1):
        assert peers[1 - side].durable == peers[side].sent
        assert peers[side].end.unacked_messages == ()


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_lost_when_either_process_dies(seed: int) -> None:
    """A dead process finds its unacknowledged messages on its disk and says them again."""
    rng = Random(seed)
    now_s = 0.0
    peers = Peer("a"), Peer("b")
    wanted: tuple[list[int], list[int]] = ([], [])
    connect(peers[0].end, peers[1].end, now_s)
    for step in range(400):
        now_s += rng.choice((0.0, 0.01, 0.5, 3.0))
        side = rng.randrange(2)
        peer, other = peers[side], peers[1 - side]
        match rng.randrange(6):
            case 0 | 1:
                wanted[side].append(step)
                peer.say(step, now_s)
            case 2 | 3:
                for frame in peer.end.flush(now_s):
                    if rng.random() < 0.9:
                        other.hear(frame, now_s)
            case 4:
                peer.store()
            case 5 if rng.random() < 0.2:
                left = [message.run.serial for message in peer.end.unacked_messages]  # type: ignore[union-attr]
                peer.begin()
                for number in left:
                    peer.say(number, now_s)
                for each in peers:
                    each.store()
                connect(peers[0].end, peers[1].end, now_s)
            case _:
                pass
    for _ in range(10):
        now_s += RESEND_AFTER_S + 1
        for side in (0, 1):
            for frame in peers[side].end.flush(now_s):
                peers[1 - side].hear(frame, now_s)
            peers[1 - side].store()
    for side in (0, 1):
        heard = [run.serial for run in peers[1 - side].durable]
        assert set(heard) == set(wanted[side])
        assert list(dict.fromkeys(heard)) == wanted[side]


def test_an_acknowledgement_comes_only_after_the_owner_made_it_durable() -> None:
    one, other = a_pair()
    one.send(kill(1), 0.0)
    assert carry(one, other, 0.0) == [kill(1)]
    assert not other.has_output
    other.acknowledge(1, "one")
    assert other.has_output
    carry(other, one, 0.0)
    assert one.unacked_messages == ()


def test_a_repeat_of_what_is_durable_is_acknowledged_again() -> None:
    one, other = a_pair()
    one.send(kill(1), 0.0)
    carry(one, other, 0.0)
    other.acknowledge(1, "one")
    other.flush(0.0)  # the acknowledgement is lost
    assert carry(one, other, RESEND_AFTER_S + 1) == []
    carry(other, one, RESEND_AFTER_S + 1)
    assert one.unacked_messages == ()


def test_what_is_behind_a_lost_frame_waits_for_its_repeat() -> None:
    one, other = a_pair()
    one.send(kill(1), 0.0)
    one.flush(0.0)  # lost
    one.send(kill(2), 0.0)
    assert carry(one, other, 0.0) == []
    assert carry(one, other, RESEND_AFTER_S + 1) == [kill(1), kill(2)]


def test_what_was_delivered_and_not_durable_comes_again_after_a_reconnection() -> None:
    one, other = a_pair()
    one.send(kill(1), 0.0)
    assert carry(one, other, 0.0) == [kill(1)]
    connect(one, other, 1.0)
    assert carry(one, other, 1.0) == [kill(1)]


def test_a_peer_of_another_life_is_told_everything_from_1() -> None:
    one, other = a_pair()
    for number in (1, 2, 3):
        one.send(kill(number), 0.0)
    carry(one, other, 0.0)
    other.acknowledge(2, "one")
    carry(other, one, 0.0)
    reborn = LinkEnd("reborn")
    connect(one, reborn, 1.0)
    assert carry(one, reborn, 1.0) == [kill(3)]
    reborn.acknowledge(1, "one")
    carry(reborn, one, 1.0)
    assert one.unacked_messages == ()


def test_what_an_earlier_life_of_the_peer_had_is_not_sent_to_the_next() -> None:
    one, other = a_pair()
    for number in (1, 2, 3):
        one.send(kill(number), 0.0)
    carry(one, other, 0.0)
    other.acknowledge(2, "one")  # durable, but the acknowledgement is lost with the process
    reborn = LinkEnd("reborn")
    reborn.connected("one", "", 0, 1.0)
    one.connected("reborn", "", 0, 1.0, lambda message: message in (kill(1), kill(2)))
    assert carry(one, reborn, 1.0) == [kill(3)]
    reborn.acknowledge(1, "one")
    carry(reborn, one, 1.0)
    assert one.unacked_messages == ()


def test_an_acknowledgement_meant_for_an_earlier_life_of_the_peer_counts_for_nothing() -> None:
    one, other = a_pair()
    one.send(kill(1), 0.0)
    carry(one, other, 0.0)
    reborn = LinkEnd("reborn")
    connect(reborn, other, 1.0)
    reborn.send(kill(2), 1.0)
    other.acknowledge(1, "one")  # a commit that was under way when the first life ended
    assert carry(reborn, other, 1.0) == [kill(2)]
    carry(other, reborn, 1.0)
    assert reborn.unacked_messages == (kill(2),)


def test_messages_that_are_not_repeated_need_a_connection() -> None:
    one, other = LinkEnd("one"), LinkEnd("other")
    one.send(FileReply(1), 0.0)
    connect(one, other, 0.0)
    assert not one.has_output


def test_a_connection_on_which_nothing_is_said_beats_and_falls_silent() -> None:
    one, other = a_pair()
    assert one.flush(HEARTBEAT_INTERVAL_S / 2) == []
    (beat,) = one.flush(HEARTBEAT_INTERVAL_S + 1)
    assert other.receive(beat, HEARTBEAT_INTERVAL_S + 1) == []
    assert not other.is_silent(SILENCE_S_MAX + 1)
    assert one.is_silent(SILENCE_S_MAX + 1)


def test_a_burst_is_cut_into_frames_below_the_limit() -> None:
    one, other = a_pair()
    for _ in range(5):
        one.send(FileReply(1, data=bytes(BURST_BYTES // 2)), 0.0)
    frames = one.flush(0.0)
    assert len(frames) == 5
    assert sum(len(other.receive(frame, 0.0)) for frame in frames) == 5


@pytest.mark.parametrize(
    "frame",
    [
        encode_frame(1, []),  # acknowledges what was never sent
        encode_frame(0, [encode_message(0, RunGone(RunId(1, 1)))]),  # reliable, without a number
        encode_frame(0, [encode_message(1, Ping())]),  # with a number, though never repeated
        b"",
        b"junk",
    ],
)
def test_a_frame_against_the_rules_is_refused(frame: bytes) -> None:
    one, _ = a_pair()
    with pytest.raises(BadFrame):
        one.receive(frame, 0.0)
