"""Finding directories of tasks that are no more (pure).

The order to delete a task's files waits in the controller's memory for a node that is away, and is
lost when the controller restarts; an earlier node of a task is never given one. So the agent tells
every life of the controller which tasks' directories it keeps, and now and then again.
"""

from __future__ import annotations

from typing import Final

from shoal_agent.core.directories import Directories
from shoal_agent.core.instructions import Clock
from shoal_agent.core.outbox import Outbox
from shoal_protocol.messages import FILES_KEPT_MAX, FilesKept, Message

PERIOD_S: Final = 3600.0
HURRY_PERIOD_S: Final = 60.0
"""While the disk is full: tasks are deleted to make room, and some of them ran here earlier."""


class Audit:
    """One page of serials is on its way at a time."""

    def __init__(self, directories: Directories, out: Outbox) -> None:
        self._directories = directories
        self._out = out
        self._controller = ""  # the life of it that is being told, or was
        self._left: list[int] = []
        self._page: FilesKept | None = None
        self._is_urgent = False
        self.due_s: float | None = None

    def connected(self, controller: str, clock: Clock) -> None:
        """A connection is open. controller: names this life of it."""
        if controller != self._controller:
            self._controller = controller
            self._begin(clock)

    def delivered(self, message: Message, clock: Clock) -> None:
        """The controller has answered a page: the next one goes out."""
        if message is self._page:
            self._go_on(clock)

    def hurry(self, is_urgent: bool, clock: Clock) -> None:
        """The disk became full, or has room again."""
        self._is_urgent = is_urgent
        if is_urgent and self.due_s is not None:
            self.due_s = clock.s

    def tick(self, clock: Clock) -> None:
        """Begin again when it is time."""
        if self.due_s is not None and self.due_s <= clock.s:
            self._begin(clock)

    def _begin(self, clock: Clock) -> None:
        self.due_s = None
        self._left = self._directories.serials()
        self._go_on(clock)

    def _go_on(self, clock: Clock) -> None:
        some = self._left[-FILES_KEPT_MAX:]
        del self._left[-FILES_KEPT_MAX:]
        if some:
            self._page = FilesKept(tuple(some))
            self._out.send(self._page)
        else:
            self._page = None
            self.due_s = clock.s + (HURRY_PERIOD_S if self._is_urgent else PERIOD_S)
