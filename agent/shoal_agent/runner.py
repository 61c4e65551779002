"""The agent's hands: it gives the core what happened, and carries out what the core answers.

Everything that happens within one turn of the event loop is one batch: one write to the journal,
then one line to the spawner and one flush of the link. A message of the controller is acknowledged
only after its batch is in the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from shoal_agent.core.agent import AgentCore
from shoal_agent.core.instructions import (
    Ack,
    Append,
    BeginStep,
    CancelStep,
    Clock,
    Delivered,
    DiskMeasured,
    Enqueue,
    Event,
    Instruction,
    Kill,
    Limit,
    MakeDirectory,
    MoveToTrash,
    Redial,
    RegisterEnvironment,
    Release,
    RemoveIfEmpty,
    RestartSpawner,
    Send,
    SetCapacity,
    SpawnerDown,
    SpawnerUp,
    StartProcess,
    StepEnded,
    Tick,
)
from shoal_agent.core.records import Record
from shoal_agent.core.spawning import Event as SpawnerEvent
from shoal_agent.journal import Journal
from shoal_agent.spawnerclient import SpawnerClient, SpawnerUnreachable
from shoal_agent.stepping import Steps
from shoal_protocol.codec import Entry
from shoal_protocol.link import LinkEnd
from shoal_protocol.messages import (
    RELIABLE,
    Message,
    NodeReport,
    Reply,
    Request,
    Welcome,
)

logger = logging.getLogger(__name__)

ROUND_EVENTS: Final = 64
"""So much is handled in one go, a few milliseconds; then the loop is free for others."""
JOURNAL_RETRY_S: Final = 1.0
DISK_PERIOD_S: Final = 5.0
SPAWNER_RETRY_S: Final = 1.0
JOB_DIRECTORY_MODE: Final = 0o755


def read_clock() -> Clock:
    """Return the time now; the only place of the agent that reads both clocks."""
    return Clock(datetime.now(UTC), time.monotonic())


class Runner:
    """Ties core, journal, spawner, link and steps together; lives in one event loop.

    on_output    called when the link has something to flush
    on_redial    called when a new connection is wanted
    on_request   called with the controller's requests
    make_tree    makes what is missing of the node's directories, quickly; may raise OSError
    wipe_tree    puts aside whatever is in them, quickly; may raise OSError
    """

    def __init__(
        self,
        core: AgentCore,
        journal: Journal,
        link: LinkEnd,
        machine: str,
        clock: Callable[[], Clock] = read_clock,
    ) -> None:
        self.clock = clock
        self._core = core
        self._journal = journal
        self._machine = machine
        self.link = link
        self.on_output: Callable[[], None] = lambda: None
        self.on_redial: Callable[[], None] = lambda: None
        self.on_request: Callable[[Request], None] = lambda _: None
        self.make_tree: Callable[[], None] = lambda: None
        self.wipe_tree: Callable[[], None] = lambda: None
        self.spawner: SpawnerClient | None = None
        self.steps: Steps | None = None
        # What happened, and between it how far the controller's messages go: (seq, its life).
        self._inbox: deque[Event | tuple[int, str]] = deque()
        self._sent: deque[Message] = deque()  # reliable ones, as the link holds them
        self._is_scheduled = False
        self._stalled: tuple[list[Record], list[Instruction], tuple[int, str] | None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._compaction: asyncio.Task[None] | None = None
        self._bringing_up: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._is_closed = False
        self.is_up = asyncio.Event()  # the core has met its spawner: it knows its boot
        self._trash_numbers = itertools.count()
        self._hands: dict[type[Any], Callable[[Any], None]] = {
            Send: self._send,
            Enqueue: lambda i: self._to_spawner.enqueue(i.key, i.slots, i.launch),
            StartProcess: lambda i: self._to_spawner.launch(i.key, i.launch),
            Release: lambda i: self._to_spawner.release(i.key),
            Kill: lambda i: self._to_spawner.kill(i.key),
            Limit: lambda i: self._to_spawner.limit(i.key, i.limit_s),
            Ack: lambda i: self._to_spawner.ack(i.keys),
            RegisterEnvironment: lambda i: self._to_spawner.register_environment(
                i.name, i.variables
            ),
            SetCapacity: lambda i: self._to_spawner.set_capacity(i.slots),
            BeginStep: lambda i: self._steps.begin(i.key, i.step),
            CancelStep: lambda i: self._steps.cancel(i.key),
            MoveToTrash: self._move_to_trash,
            MakeDirectory: self._make_directory,
            RemoveIfEmpty: self._remove_if_empty,
            RestartSpawner: lambda _: self.bring_up_spawner(restart=True),
            Redial: lambda _: self.on_redial(),
        }

    # --- what happens -----------------------------------------------------------------------------

    def post(self, events: Iterable[Event | tuple[int, str]]) -> None:
        """Let the core know; it happens with everything else of this turn of the loop."""
        self._inbox.extend(events)
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._pump)

    def spawner_events(self, events: Sequence[SpawnerEvent]) -> None:
        """From the spawner's client."""
        self.post(events)

    def spawner_lost(self) -> None:
        """From the spawner's client: its connection broke."""
        if self._bringing_up is None and not self._is_closed:
            logger.warning("the spawner is gone or hung up; reaching for it")
            self.post([SpawnerDown()])
            self.bring_up_spawner()

    def step_ended(self, event: StepEnded) -> None:
        """From the steps."""
        self.post([event])

    def reply(self, reply: Reply) -> None:
        """From the file server: an answer for the controller, lost when the link is."""
        self.link.send(reply, self.clock().s)
        self.on_output()

    def connected(self, welcome: Welcome, now_s: float) -> None:
        """A connection's handshake is done."""
        self.link.connected(
            welcome.incarnation, welcome.peer_incarnation, welcome.received_seq, now_s
        )
        self._note_delivered()
        self.post([welcome])
        self.on_output()

    def received(self, frame: bytes, now_s: float) -> None:
        """A frame arrived; raises BadFrame for what is none."""
        entries: list[Entry] = self.link.receive(frame, now_s)
        self._note_delivered()
        events: list[Event | tuple[int, str]] = []
        for entry in entries:
            if isinstance(entry.message, Request):
                self.on_request(entry.message)
            else:
                events.append(entry.message)  # pyright: ignore[reportArgumentType]
                if entry.seq and len(events) % ROUND_EVENTS == 0:
                    events.append((entry.seq, self.link.peer_incarnation))
        if entries and entries[-1].seq:
            events.append((entries[-1].seq, self.link.peer_incarnation))
        if events:
            self.post(events)

    def bring_up_spawner(self, restart: bool = False) -> None:
        """Reach or start the spawner, for ever; SpawnerUp is posted when it is done."""
        if self._bringing_up is not None:
            self._bringing_up.cancel()
        self._bringing_up = asyncio.create_task(self._bring_up(restart))

    def watch_disk(self, measure: Callable[[], Awaitable[DiskMeasured | None]]) -> None:
        """Measure the disk now and then, for ever."""

        async def watch() -> None:
            while True:
                await asyncio.sleep(DISK_PERIOD_S)
                if (measured := await measure()) is not None:
                    self._disk_measured(measured)

        self._watching = asyncio.create_task(watch())

    async def close(self) -> None:
        """Leave everything as it is: spawner and tasks go on."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in (self._bringing_up, self._watching):
            if task is not None:
                task.cancel()
        await self._steps.close()
        if self._compaction is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._compaction
        self._to_spawner.close()
        self._journal.close()

    # --- a batch ----------------------------------------------------------------------------------

    def _pump(self) -> None:
        self._is_scheduled = False
        if self._is_closed or self._stalled is not None:
            return
        events: list[Event] = []
        received: tuple[int, str] | None = None
        while self._inbox and len(events) < ROUND_EVENTS:
            event = self._inbox.popleft()
            if isinstance(event, tuple):
                received = event
            else:
                events.append(event)
        if self._inbox:
            self.post(())  # others have their turn in between
        instructions = self._core.handle(events, self.clock())
        records = [i.record for i in instructions if type(i) is Append]
        self._carry_out(records, instructions, received)

    def _carry_out(
        self,
        records: list[Record],
        instructions: list[Instruction],
        received: tuple[int, str] | None,
    ) -> None:
        if records:
            try:
                self._journal.append(records)
            except OSError as error:
                # Nothing may happen before it is written down, so everything waits. The link
                # goes on with its heartbeats, tasks with their work.
                logger.error("cannot write the journal, trying again: %s", error)
                self._stalled = (records, instructions, received)
                asyncio.get_running_loop().call_later(JOURNAL_RETRY_S, self._retry_stalled)
                return
            if self._journal.wants_compaction and self._compaction is None:
                self._compact()
        if received is not None:
            self.link.acknowledge(*received)
        hands = self._hands
        for instruction in instructions:
            if type(instruction) is not Append:
                hands[type(instruction)](instruction)
        if self.link.has_output:
            self.on_output()
        self._set_timer()

    def _retry_stalled(self) -> None:
        if self._stalled is None or self._is_closed:
            return
        stalled, self._stalled = self._stalled, None
        self._carry_out(*stalled)
        if self._stalled is None:
            self.post(())

    def _disk_measured(self, measured: DiskMeasured) -> None:
        if self._stalled is None:
            self.post([measured])
            return
        # The journal waits for room. That there is none is told all the same, or nobody would know
        # why nothing goes on; a report of the node's condition needs no record.
        records, instructions, _ = self._stalled
        for instruction in self._core.handle([measured], self.clock()):
            if type(instruction) is Send and type(instruction.message) is NodeReport:
                self._send(instruction)
            else:
                instructions.append(instruction)
                if type(instruction) is Append:
                    records.append(instruction.record)
        if self.link.has_output:
            self.on_output()

    def _set_timer(self) -> None:
        due_s = self._core.next_due_s
        if due_s is None:
            return
        if self._timer is not None:
            if self._timer.when() <= due_s:
                return  # it sets the timer anew
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(max(due_s, loop.time()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.post([Tick()])

    def _note_delivered(self) -> None:
        while len(self._sent) > self.link.unacked_count:
            self.post([Delivered(self._sent.popleft())])

    def _compact(self) -> None:
        try:
            number = self._journal.begin_compaction()
        except OSError as error:
            logger.debug("cannot compact the journal: %s", error)  # asked for at each batch
            return
        records = self._core.snapshot()

        async def write() -> None:
            try:
                await asyncio.to_thread(self._journal.write_base, number, records)
            except OSError as error:
                logger.error("cannot compact the journal: %s", error)
            finally:
                self._compaction = None

        self._compaction = asyncio.create_task(write())

    # --- hands ------------------------------------------------------------------------------------

    @property
    def _to_spawner(self) -> SpawnerClient:
        assert self.spawner is not None
        return self.spawner

    @property
    def _steps(self) -> Steps:
        assert self.steps is not None
        return self.steps

    def _send(self, instruction: Send) -> None:
        message = instruction.message
        self.link.send(message, self.clock().s)
        if type(message) in RELIABLE:
            self._sent.append(message)

    def _move_to_trash(self, instruction: MoveToTrash) -> None:
        name = f"{time.time_ns():x}.{os.getpid():x}.{next(self._trash_numbers):x}"
        try:
            os.rename(instruction.path, f"{self._core.paths.removed}/{name}")  # noqa: PTH104
        except FileNotFoundError:
            pass
        except OSError as error:
            logger.error("cannot put a task directory aside: %s", error)

    def _make_directory(self, instruction: MakeDirectory) -> None:
        # What goes wrong here goes wrong in the spawner again, and is the run's failure there.
        with contextlib.suppress(OSError):
            os.mkdir(instruction.path, JOB_DIRECTORY_MODE)  # noqa: PTH102

    def _remove_if_empty(self, instruction: RemoveIfEmpty) -> None:
        with contextlib.suppress(OSError):
            os.rmdir(instruction.path)  # noqa: PTH106

    async def _bring_up(self, restart: bool) -> None:
        if restart:
            await self._steps.cancel_all()
        while True:
            try:
                snapshot = await self._to_spawner.connect()
                if restart or self._core.must_stop_spawner:
                    await self._to_spawner.stop()
                    restart = False
                    snapshot = await self._to_spawner.connect()
                break
            except (SpawnerUnreachable, OSError) as error:
                logger.error("%s", error)
                await asyncio.sleep(SPAWNER_RETRY_S)
        while self._core.must_wipe:
            try:
                self.wipe_tree()
                break
            except OSError as error:
                logger.error("the node's tree cannot be emptied, trying again: %s", error)
                await asyncio.sleep(SPAWNER_RETRY_S)
        try:
            self.make_tree()  # after a reboot no task is left that could take it away again
        except OSError as error:
            logger.error("the node's directories cannot be made: %s", error)
        self._bringing_up = None
        self.post([SpawnerUp(f"{self._machine}.{snapshot.pid}", snapshot)])
        asyncio.get_running_loop().call_soon(self.is_up.set)
