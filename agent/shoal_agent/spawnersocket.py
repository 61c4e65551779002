"""The spawner's end of its Unix socket: who may connect, lines in, lines out, with limits on both.

Knows lines of JSON and keys, not what they mean.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
from typing import Any, Final

CONNECTIONS_MAX: Final = 8
KEY_CHARS_MAX: Final = 200
LINE_BYTES_MAX: Final = 8 << 20
OUTBOX_BYTES_PAUSE: Final = 1 << 20
"""A peer that does not read so much of its answers is not listened to until it does."""
OUTBOX_BYTES_MAX: Final = 32 << 20
"""A peer that lets so much lie is cut off. It loses nothing: after connecting again it lists."""
_READ_BYTES: Final = 1 << 18

_encode: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_decode: Final = json.loads


class BadPeer(Exception):
    """The peer broke the rules of the conversation; its connection is to be closed."""


def key_from(value: object) -> str:
    """Return the key of a run as a peer sent it; BadPeer when it is none."""
    if type(value) is not str or not 0 < len(value) <= KEY_CHARS_MAX:
        raise BadPeer("a key is a short text")
    if not (value.isascii() and value.isprintable()):
        raise BadPeer("a key is printable ASCII")
    return value


def commands_from(line: bytes) -> list[Any]:
    """Return the commands of a line; BadPeer when it is no array, ValueError when not JSON."""
    commands = _decode(line)
    if type(commands) is not list:
        raise BadPeer("a line is an array")
    return commands


class Door:
    """The listening socket, in a private folder; only our own user and root come in."""

    def __init__(self, folder: str, name: str) -> None:
        """Listen at `name`, relative to the working directory, which is `folder`."""
        self._path = os.path.join(folder, name)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        if os.path.lexists(name):
            os.unlink(name)
        mask = os.umask(0o177)
        try:
            self._socket.bind(name)
        finally:
            os.umask(mask)
        self._inode = os.lstat(name).st_ino
        self._socket.listen(16)

    def fileno(self) -> int:
        return self._socket.fileno()

    def accept(self, connection_count: int) -> Connection | None:
        """Let one peer in; None when there is none, it may not enter, or the house is full."""
        try:
            peer = self._socket.accept()[0]
        except OSError:
            return None
        size = struct.calcsize("3i")
        _, uid, _ = struct.unpack(
            "3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        )
        if uid not in (os.geteuid(), 0) or connection_count >= CONNECTIONS_MAX:
            peer.close()
            return None
        return Connection(peer)

    def is_reachable(self) -> bool:
        """Whether the socket still has its name, so that somebody could come."""
        try:
            return os.lstat(self._path).st_ino == self._inode
        except OSError:
            return False

    def close(self) -> None:
        """Take the name away and listen no more."""
        if self.is_reachable():
            os.unlink(self._path)
        self._socket.close()


class Connection:
    """One peer, never waited for."""

    def __init__(self, peer: socket.socket) -> None:
        peer.setblocking(False)
        self._socket = peer
        self._fd = peer.fileno()
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._interest = select.EPOLLIN

    def fileno(self) -> int:
        return self._fd

    def receive(self) -> list[bytes]:
        """Return the lines that are complete now.

        raises  BadPeer (too long), OSError (gone)
        """
        try:
            data = self._socket.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return []
        if not data:
            raise ConnectionResetError("the peer has gone")
        if b"\n" not in data:
            self._inbox += data
            if len(self._inbox) > LINE_BYTES_MAX:
                raise BadPeer("a line is too long")
            return []
        *whole, rest = (bytes(self._inbox) + data).split(b"\n")
        self._inbox = bytearray(rest)
        return whole

    def queue(self, events: list[Any]) -> None:
        """Add one line to what the next `send` writes."""
        self._outbox += _encode(events).encode()
        self._outbox += b"\n"

    def send(self) -> bool:
        """Write what the peer takes; False when the connection is of no use any more."""
        if self._outbox:
            try:
                del self._outbox[: self._socket.send(self._outbox)]
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                return False
        return len(self._outbox) <= OUTBOX_BYTES_MAX

    def new_interest(self) -> int | None:
        """Return the epoll events to wait for, when they have changed since the last call."""
        interest = 0 if len(self._outbox) > OUTBOX_BYTES_PAUSE else select.EPOLLIN
        if self._outbox:
            interest |= select.EPOLLOUT
        if interest == self._interest:
            return None
        self._interest = interest
        return interest

    def close(self) -> None:
        self._socket.close()
