"""Those who speak with the spawner: their commands, a line at a time, and the events they are told.

Knows when to read and when to write, not what a command or an event means.
"""

from __future__ import annotations

import math
import select
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from shoal_agent.spawnersocket import BadPeer, Connection, Door, commands_from

FLUSH_INTERVAL_S: Final = 0.01
"""Under load, ends of runs go out so often and no more, since each write wakes the agent; after a
silence at once. "started" waits so long for its "exited".
"""
ABANDONED_CHECK_S: Final = 10.0


class Peers:
    """All connections of one spawner.

    due_s         when `work` wants to be called, by the monotonic clock; 0.0: lines are waiting
    is_abandoned  the socket's name is gone: the node was deleted, nobody can come any more
    """

    def __init__(
        self,
        door: Door,
        poll: select.epoll,
        greeting: list[Any],
        obey: Callable[[Connection, object], None],
    ) -> None:
        """
        greeting  the event that each connection is told first
        obey      takes a command; raises BadPeer or ValueError for one that is none
        """
        self._door = door
        self._poll = poll
        self._greeting = greeting
        self._obey = obey
        self._connections: dict[int, Connection] = {}
        self._lines: deque[tuple[Connection, bytes]] = deque()
        self._events: list[Any] = []
        self._flushed_s = 0.0
        self._flush_at_s = math.inf
        self._look_at_s = 0.0  # at the door's name, while nobody is here
        self.is_abandoned = False
        poll.register(door.fileno(), select.EPOLLIN)

    @property
    def due_s(self) -> float:
        if self._lines:
            return 0.0
        return self._flush_at_s if self._connections else min(self._flush_at_s, self._look_at_s)

    def work(self, now_s: float) -> None:
        """Send what is due; with nobody here, look whether anybody can still come."""
        if now_s >= self._flush_at_s:
            self.flush()
        if not self._connections and now_s >= self._look_at_s:
            self._look_at_s = now_s + ABANDONED_CHECK_S
            self.is_abandoned = not self._door.is_reachable()

    # --- in ---------------------------------------------------------------------------------------

    def attend(self, fd: int, happened: int) -> None:
        """See to the door or a connection, where epoll has something to say of them."""
        if fd == self._door.fileno():
            self._welcome()
        elif (connection := self._connections.get(fd)) is not None:
            self._converse(connection, happened)

    def obey_line(self) -> bool:
        """Carry out the next line of commands; False when there is none."""
        if not self._lines:
            return False
        connection, line = self._lines.popleft()
        try:
            for command in commands_from(line):
                self._obey(connection, command)
        except Exception as error:
            # Whatever a peer sends ends its connection at most: tasks depend on this process.
            self._break_off(connection, error)
        else:
            self._pump(connection)
        return True

    def _welcome(self) -> None:
        connection = self._door.accept(len(self._connections))
        if connection is None:
            return
        self._connections[connection.fileno()] = connection
        self._poll.register(connection.fileno(), select.EPOLLIN)
        connection.queue([self._greeting])
        self._pump(connection)

    def _converse(self, connection: Connection, happened: int) -> None:
        try:
            if happened & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and not self._lines:
                self._lines.extend((connection, line) for line in connection.receive())
        except (OSError, BadPeer) as error:
            self._break_off(connection, error)
        else:
            self._pump(connection)

    def _break_off(self, connection: Connection, error: Exception) -> None:
        if not isinstance(error, OSError):
            print(f"spawner: connection closed: {error!r}", file=sys.stderr, flush=True)
        self._part(connection)

    # --- out --------------------------------------------------------------------------------------

    def tell(self, event: list[Any], at_s: float) -> None:
        """Send an event at this time by the monotonic clock, together with its neighbours."""
        self._events.append(event)
        if at_s < self._flush_at_s:
            self._flush_at_s = at_s

    def tell_end(self, event: list[Any]) -> None:
        """Send at once after a silence; under load, when the next write is due."""
        self.tell(event, self._flushed_s + FLUSH_INTERVAL_S)

    def flush(self) -> None:
        """Send all that was told."""
        events, self._events = self._events, []
        self._flush_at_s = math.inf
        self._flushed_s = time.monotonic()
        for connection in list(self._connections.values()):
            if events:
                connection.queue(events)
            self._pump(connection)

    def _pump(self, connection: Connection) -> None:
        if self._connections.get(connection.fileno()) is not connection:
            return  # it has left, and what it said before is still being obeyed
        if connection.send():
            interest = connection.new_interest()
            if interest is not None:
                self._poll.modify(connection.fileno(), interest)
        else:
            self._part(connection)

    def _part(self, connection: Connection) -> None:
        if self._connections.get(connection.fileno()) is connection:
            del self._connections[connection.fileno()]
            self._poll.unregister(connection.fileno())
            connection.close()
            self._look_at_s = time.monotonic() + ABANDONED_CHECK_S
