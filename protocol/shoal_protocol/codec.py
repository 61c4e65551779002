"""Bytes to messages and back.

A frame is one msgpack array: the sender's acknowledgement (a sequence number, 0 for none) followed
by one entry per message, `[seq, kind, fields]`; seq 0 marks a message that is not repeated. Unknown
fields are skipped, so that a newer peer may add some; unknown kinds and anything malformed raise
BadFrame, and the caller closes the link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

import msgpack  # pyright: ignore[reportMissingTypeStubs]
import msgspec

from shoal_protocol.messages import Message, ToAgent, ToController

FRAME_BYTES_MAX: Final = 4 << 20
"""A larger frame is refused. Senders cut bursts well below it; the largest message reads 1 MiB."""

# msgpack ships no types; these names are all we use of it.
_pack = cast("Callable[[Any], bytes]", msgpack.packb)  # pyright: ignore[reportUnknownMemberType]
_unpack = cast("Callable[..., Any]", msgpack.unpackb)  # pyright: ignore[reportUnknownMemberType]
_array_header = cast("Callable[[int], bytes]", msgpack.Packer().pack_array_header)  # pyright: ignore

_KINDS: Final[dict[str, type[Any]]] = {
    kind.__name__: kind for kind in (*get_args(ToAgent), *get_args(ToController))
}


class BadFrame(Exception):
    """What arrived is not a frame of this protocol; the peer is broken or hostile."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a frame with its sequence number (0: not repeated)."""

    seq: int
    message: Message


def encode_message(seq: int, message: Message) -> bytes:
    """Return the entry for one message, ready to be joined by `encode_frame`."""
    fields = msgspec.to_builtins(message, builtin_types=(bytes,))
    return _pack([seq, type(message).__name__, fields])


def encode_frame(ack: int, entries: Iterable[bytes]) -> bytes:
    """Join encoded entries into one frame."""
    parts = [_pack(ack), *entries]
    return _array_header(len(parts)) + b"".join(parts)


def decode_frame(frame: bytes) -> tuple[int, list[Entry]]:
    """Return the acknowledgement and the entries of a frame, or raise BadFrame."""
    if len(frame) > FRAME_BYTES_MAX:
        raise BadFrame(f"frame of {len(frame)} bytes, limit is {FRAME_BYTES_MAX}")
    try:
        parts = _unpack(frame, strict_map_key=True)
    except (ValueError, TypeError, RecursionError) as err:  # msgpack's own errors are ValueErrors
        raise BadFrame(f"not msgpack: {err}") from err
    if type(parts) is not list or not parts:
        raise BadFrame("a frame is an array that begins with an acknowledgement")
    ack, *rest = cast("list[Any]", parts)
    if not _is_seq(ack):
        raise BadFrame("a frame is an array that begins with an acknowledgement")
    return ack, [_decode_entry(part) for part in rest]


def _decode_entry(part: Any) -> Entry:
    if type(part) is not list or len(cast("list[Any]", part)) != 3:
        raise BadFrame("an entry is [seq, kind, fields]")
    seq, kind, fields = cast("list[Any]", part)
    if not _is_seq(seq) or type(kind) is not str:
        raise BadFrame("an entry is [seq, kind, fields]")
    shape = _KINDS.get(kind)
    if shape is None:
        raise BadFrame(f"unknown message kind {kind[:64]!r}")
    try:
        message: Message = msgspec.convert(fields, shape, builtin_types=(bytes,))
    except (msgspec.ValidationError, RecursionError) as err:
        raise BadFrame(f"malformed {kind}: {err}") from err
    return Entry(seq, message)


def _is_seq(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62
