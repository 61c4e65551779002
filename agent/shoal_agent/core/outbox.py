"""Where the parts of the agent core put what is to be done, in order (pure)."""

from __future__ import annotations

from shoal_agent.core.instructions import Ack, Append, Instruction, Send
from shoal_agent.core.records import Record
from shoal_protocol.messages import Message


class Outbox:
    """Instructions of one batch of events."""

    __slots__ = ("_acks", "_items")

    def __init__(self) -> None:
        self._items: list[Instruction] = []
        self._acks: list[str] = []

    def append(self, record: Record) -> None:
        """Write down."""
        self._items.append(Append(record))

    def send(self, message: Message) -> None:
        """Tell the controller."""
        self._items.append(Send(message))

    def add(self, instruction: Instruction) -> None:
        """Anything else."""
        self._items.append(instruction)

    def ack(self, key: str) -> None:
        """Let the spawner forget a run; all of a batch are told at once, at its end."""
        self._acks.append(key)

    def take(self) -> list[Instruction]:
        """Return everything and begin anew."""
        items = self._items
        if self._acks:
            items.append(Ack(tuple(self._acks)))
            self._acks = []
        self._items = []
        return items
