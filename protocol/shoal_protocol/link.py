"""One end of a link: sequence numbers, acknowledgements, repeats and heartbeat deadlines. Pure:
never knows which end it is.

The owner tells it what happens (`send`, `receive`, `acknowledge`, `connected`, `tick`) and writes
out the frames that `flush` returns. A message stays here until the peer acknowledged it, and the
peer acknowledges only what it made durable, so a connection may break, and either process may die,
at any point. Order is kept: a message is delivered only after the one before it (go-back-N; a gap
is dropped and repeated by the sender after `RESEND_AFTER_S`).

An *incarnation* names one life of one process. A peer with a new incarnation remembers nothing:
what is not acknowledged is renumbered from 1 and sent again; applying it twice must be, and is,
harmless.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shoal_protocol.codec import BadFrame, Entry, decode_frame, encode_frame, encode_message
from shoal_protocol.messages import RELIABLE, Message, Ping

HEARTBEAT_INTERVAL_S: Final = 5.0
"""Something is sent at least this often on an open connection."""
SILENCE_S_MAX: Final = 20.0
"""A connection on which nothing arrived for so long is closed; the agent dials again."""
RESEND_AFTER_S: Final = 10.0
"""What was sent so long ago without an acknowledgement is sent again."""
BURST_BYTES: Final = 1 << 20
"""A frame is closed once it holds so many bytes, so that one burst becomes several frames well
below the limit.
"""


@dataclass(slots=True)
class _Pending:
    seq: int
    message: Message
    encoded: bytes


class LinkEnd:
    """One end of one link, living as long as its process; connections come and go beneath it."""

    def __init__(self, incarnation: str) -> None:
        """incarnation   new for every start of the owning process"""
        self.incarnation = incarnation
        self.peer_incarnation = ""
        self.is_connected = False
        self._next_seq = 1
        self._unacked: deque[_Pending] = deque()
        self._unsent: deque[bytes] = deque()  # encoded entries that the next flush takes along
        self._resend = False
        self._received_seq = 0  # delivered to the owner, in order
        self._durable_seq = 0  # the owner made it durable: what we acknowledge
        self._acked_out = 0  # the last acknowledgement we sent on this connection
        self._sent_s = 0.0
        self._heard_s = 0.0
        self._progress_s = (
            0.0  # the peer last acknowledged something, or the first unacked message was sent
        )

    # --- the connection ---------------------------------------------------------------------------

    @property
    def received_seq(self) -> int:
        """The last message made durable here, for the handshake: what the peer need not repeat."""
        return self._durable_seq

    def connected(
        self,
        peer_incarnation: str,
        we_were: str,
        peer_received_seq: int,
        now_s: float,
        has: Callable[[Message], bool] = lambda _: False,
    ) -> None:
        """A connection is open and the handshake is done.

        peer_incarnation   the peer's life; unlike the last one it remembers nothing of ours
        we_were            our incarnation as the peer last knew it; unlike ours its numbers mean
                           nothing
        peer_received_seq  the last of our messages that the peer made durable
        has                whether a peer that lost count shows that a message reached an earlier
                           life of it: such a one is not sent again
        """
        if peer_incarnation != self.peer_incarnation:
            self.peer_incarnation = peer_incarnation
            self._received_seq = self._durable_seq = 0
        if we_were == self.incarnation:
            self._drop_acked(min(peer_received_seq, self._next_seq - 1))
        else:
            self._unacked = deque(one for one in self._unacked if not has(one.message))
            self._renumber()
        self._received_seq = self._durable_seq  # what was delivered and not durable comes again
        self.is_connected = True
        self._acked_out = 0
        self._unsent.clear()
        self._resend = bool(self._unacked)
        self._sent_s = self._heard_s = self._progress_s = now_s

    def disconnected(self) -> None:
        """The connection is gone; what was not acknowledged waits for the next one."""
        self.is_connected = False
        self._unsent.clear()

    def is_silent(self, now_s: float) -> bool:
        """Whether the peer has said nothing for so long that the connection should be closed."""
        return self.is_connected and now_s - self._heard_s > SILENCE_S_MAX

    # --- sending ----------------------------------------------------------------------------------

    def send(self, message: Message, now_s: float) -> None:
        """Queue a message for the next flush; a reliable one is kept until acknowledged, others
        need a connection.
        """
        if type(message) in RELIABLE:
            pending = _Pending(self._next_seq, message, encode_message(self._next_seq, message))
            self._next_seq += 1
            if not self._unacked:
                self._progress_s = now_s
            self._unacked.append(pending)
            if self.is_connected and not self._resend:
                self._unsent.append(pending.encoded)
        elif self.is_connected:
            self._unsent.append(encode_message(0, message))

    def flush(self, now_s: float) -> list[bytes]:
        """Return the frames to write now, none when there is nothing to say."""
        if not self.is_connected:
            return []
        if not self._resend and self._unacked and now_s - self._progress_s > RESEND_AFTER_S:
            self._resend = True
        if self._resend:
            # Unreliable entries in _unsent lose their place in line to the repeats, which is
            # harmless.
            self._unsent = deque(pending.encoded for pending in self._unacked)
            self._resend = False
            self._progress_s = now_s
        if not self._unsent:
            if self._durable_seq == self._acked_out and now_s - self._sent_s < HEARTBEAT_INTERVAL_S:
                return []
            if self._durable_seq == self._acked_out:
                self._unsent.append(encode_message(0, Ping()))
        frames: list[bytes] = []
        while self._unsent or not frames:
            entries: list[bytes] = []
            size = 0
            while self._unsent and (not entries or size + len(self._unsent[0]) <= BURST_BYTES):
                entry = self._unsent.popleft()
                entries.append(entry)
                size += len(entry)
            frames.append(encode_frame(self._durable_seq, entries))
        self._acked_out = self._durable_seq
        self._sent_s = now_s
        return frames

    @property
    def has_output(self) -> bool:
        """Whether `flush` would return something at once (heartbeats aside)."""
        return self.is_connected and (
            self._resend or bool(self._unsent) or self._durable_seq != self._acked_out
        )

    @property
    def unacked_messages(self) -> tuple[Message, ...]:
        """What the peer has not acknowledged, oldest first."""
        return tuple(pending.message for pending in self._unacked)

    @property
    def unacked_count(self) -> int:
        """How many messages the peer has not acknowledged; they leave oldest first."""
        return len(self._unacked)

    # --- receiving --------------------------------------------------------------------------------

    def receive(self, frame: bytes, now_s: float) -> list[Entry]:
        """Return the entries to handle now, in order, without repeats; raise BadFrame for anything
        else.

        The owner calls `acknowledge` with the seq of a reliable entry, and the peer's incarnation
        at its receipt, once its
        effect is durable.
        """
        ack, entries = decode_frame(frame)
        self._heard_s = now_s
        if ack >= self._next_seq:
            raise BadFrame(f"acknowledges {ack}, sent were {self._next_seq - 1}")
        if self._drop_acked(ack):
            self._progress_s = now_s
        fresh: list[Entry] = []
        for entry in entries:
            if (type(entry.message) in RELIABLE) != (entry.seq > 0):
                raise BadFrame(f"{type(entry.message).__name__} with sequence number {entry.seq}")
            if entry.seq == 0:
                if not isinstance(entry.message, Ping):
                    fresh.append(entry)
            elif entry.seq == self._received_seq + 1:
                self._received_seq = entry.seq
                fresh.append(entry)
            elif entry.seq <= self._durable_seq:
                self._acked_out = (
                    0  # a repeat of something durable: the peer missed the acknowledgement
                )
        return fresh

    def acknowledge(self, seq: int, peer_incarnation: str) -> None:
        """Everything received up to `seq` from that life of the peer is durable here; the next
        flush tells it so.
        """
        if peer_incarnation == self.peer_incarnation:
            self._durable_seq = max(self._durable_seq, min(seq, self._received_seq))

    # --- inside -----------------------------------------------------------------------------------

    def _drop_acked(self, seq: int) -> bool:
        dropped = False
        while self._unacked and self._unacked[0].seq <= seq:
            self._unacked.popleft()
            dropped = True
        return dropped

    def _renumber(self) -> None:
        self._next_seq = 1
        for pending in self._unacked:
            pending.seq = self._next_seq
            pending.encoded = encode_message(self._next_seq, pending.message)
            self._next_seq += 1
