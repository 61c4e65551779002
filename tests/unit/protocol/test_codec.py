"""Frames: what is sent arrives as it was; what is hostile is a BadFrame, and nothing else."""

from __future__ import annotations

import contextlib
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, get_args

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shoal_protocol.codec import (
    FRAME_BYTES_MAX,
    BadFrame,
    Entry,
    decode_frame,
    encode_frame,
    encode_message,
)
from shoal_protocol.messages import (
    HeldRun,
    Hello,
    Ping,
    RunEnded,
    RunPhase,
    RunTask,
    ToAgent,
    ToController,
)
from shoal_protocol.specs import (
    ErrorCategory,
    ExitInfo,
    FailureInfo,
    OutputFile,
    ResourceFile,
    RunId,
    TaskSpec,
)

NOON = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
RUN = RunId(7, 2)
KINDS = [kind.__name__ for kind in (*get_args(ToAgent), *get_args(ToController))]
MESSAGES = [
    Ping(),
    RunTask(
        RUN,
        TaskSpec(
            "j",
            "t",
            "echo 'ü'",
            resource_files=(ResourceFile(http_url="http://h/f", file_path="f"),),
            output_files=(OutputFile("*.txt", "http://h/c?sig=1"),),
            environment=(("A", "1"), ("B", "")),
            wall_clock_limit_s=1.5,
            retention_s=float("inf"),
        ),
    ),
    RunEnded(
        RUN,
        ExitInfo(
            NOON, NOON, -9, FailureInfo(ErrorCategory.USER_ERROR, "TaskEnded", "m", (("a", "b"),))
        ),
    ),
    Hello(
        1,
        "n",
        "b",
        NOON,
        "v",
        "i",
        "p",
        0,
        "10.0.0.1",
        4,
        (HeldRun(RUN, RunPhase.QUEUED, 1),),
    ),
]
# Values that MessagePack can carry, maps with keys of any kind among them.
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.sampled_from([*KINDS, "run", "spec", "serial", "attempt", "job_id"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.integers(0, 9) | st.none(), inner, max_size=4)
    ),
    max_leaves=12,
)
ENTRIES = st.tuples(
    st.integers(-2, 5) | ANYTHING,
    st.sampled_from(KINDS) | ANYTHING,
    st.dictionaries(
        st.sampled_from([field.name for kind in get_args(ToAgent) for field in fields(kind)]),
        ANYTHING,
        max_size=4,
    )
    | ANYTHING,
).map(list)


def decode_or_refuse(frame: bytes) -> None:
    """Return quietly for a frame and for a BadFrame; anything else is the test's failure."""
    with contextlib.suppress(BadFrame):
        ack, entries = decode_frame(frame)
        assert type(ack) is int
        assert all(type(entry) is Entry for entry in entries)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_arrives_as_it_was_sent(message: Any) -> None:
    frame = encode_frame(3, [encode_message(5, message), encode_message(0, Ping())])
    assert decode_frame(frame) == (3, [Entry(5, message), Entry(0, Ping())])


def test_fields_that_a_newer_peer_added_are_skipped() -> None:
    frame = msgpack.packb([0, [0, "Ping", {"mood": "good"}]])
    assert decode_frame(frame) == (0, [Entry(0, Ping())])


@pytest.mark.parametrize(
    "parts",
    [
        [],
        {},
        None,
        [-1],
        [True],
        [1.0],
        [1 << 62],
        ["0"],
        [0, []],
        [0, [0, "Ping"]],
        [0, [0, "Ping", {}, 1]],
        [0, [-1, "Ping", {}]],
        [0, [True, "Ping", {}]],
        [0, [0, "Pong", {}]],
        [0, [0, None, {}]],
        [0, [0, "Ping", []]],
        [0, [1, "KillTask", {}]],
        [0, [1, "KillTask", {"run": {"serial": "7", "attempt": 1}}]],
        [0, [1, "RunStarted", {"run": {"serial": 7, "attempt": 1}, "started_at": "noon"}]],
        [0, [0, "Ping", {1: 2}]],
    ],
    ids=repr,
)
def test_what_is_no_frame_is_refused(parts: Any) -> None:
    with pytest.raises(BadFrame):
        decode_frame(msgpack.packb(parts))


def test_a_frame_beyond_the_limit_is_refused_unread() -> None:
    with pytest.raises(BadFrame, match="limit"):
        decode_frame(b"\xc1" * (FRAME_BYTES_MAX + 1))


def test_a_frame_cut_short_is_refused() -> None:
    frame = encode_frame(1, [encode_message(1, MESSAGES[1])])
    for length in range(len(frame)):
        with pytest.raises(BadFrame):
            decode_frame(frame[:length])


@given(st.binary(max_size=200))
@example(b"\x91" * 2000 + b"\x00")  # arrays in arrays, deeper than any stack
@example(b"\xdd\xff\xff\xff\xff")  # an array of four thousand million
@example(b"\xc6\xff\xff\xff\xff")  # bytes without end
@example(b"\x92\x00\xc7\x04\xff\x00\x00\x00\x00")  # a timestamp extension
@example(b"\x92\x00\xc7\x0c\xff" + b"\xff" * 12)  # a timestamp beyond all calendars
@example(b"\x92\x00\xd4\x05\x00")  # an extension of nobody's
@example(b"\x92\x00\x93\x00\xa2\xff\xfe\x80")  # text that is not UTF-8
def test_any_bytes_are_a_frame_or_refused(frame: bytes) -> None:
    decode_or_refuse(frame)


@settings(max_examples=300)
@given(st.lists(ENTRIES | ANYTHING, max_size=4), st.integers(0, 9) | ANYTHING)
def test_any_values_are_a_frame_or_refused(entries: list[Any], ack: Any) -> None:
    decode_or_refuse(msgpack.packb([ack, *entries]))


@given(st.data())
def test_a_good_frame_with_flipped_bytes_is_a_frame_or_refused(data: st.DataObject) -> None:
    frame = bytearray(encode_frame(1, [encode_message(9, message) for message in MESSAGES]))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    decode_or_refuse(bytes(frame))
