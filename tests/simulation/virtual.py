"""Virtual time, and processes that can die between any two steps.

`VirtualLoop` is an asyncio loop whose clock jumps to the next timer instead of waiting. Whatever a
`Process` starts (tasks, timers, callbacks) carries its name in a context variable; once it is dead
none of that runs any more, not even a `finally`: that is what `kill -9` means.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
STEPS_MAX: Final = 3_000_000
"""More loop turns than any seed needs: something spins."""

_CLOSES_MAX: Final = 20


class Crash(BaseException):
    """Raised inside a process that just died, so that its present callback goes no further."""


class Stuck(Exception):
    """Nothing is left that could ever happen, or something happens without end."""


class Process:
    """One simulated process: alive until `kill`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_dead = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task of this process, whoever asks."""
        context = contextvars.Context()
        context.run(_process.set, self)
        return asyncio.get_running_loop().create_task(work, context=context)

    def kill(self) -> None:
        """Nothing of this process runs any more."""
        self.is_dead = True

    def bury(self) -> None:
        """Take the frozen tasks apart, at the very end; what they still do reaches nobody."""
        for task in list(self._tasks):
            work = task.get_coro()
            assert inspect.iscoroutine(work)
            for _ in range(_CLOSES_MAX):
                with contextlib.suppress(BaseException):  # a `finally` that awaits, or fails
                    work.close()
                if inspect.getcoroutinestate(work) == inspect.CORO_CLOSED:
                    break
            task._log_destroy_pending = False  # pyright: ignore[reportAttributeAccessIssue]
        self._tasks.clear()

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Count a task that was started within this process."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def run(self, callback: Callable[..., object], *args: object) -> None:
        """Do what was scheduled within this process, if it still lives."""
        if not self.is_dead:
            callback(*args)


_process: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


def current_process() -> Process | None:
    """Return the process that runs now; None: the world itself."""
    return _process.get()


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that owns time. `after_step` is called after each of its turns."""

    def __init__(self) -> None:
        self._now_s = 1000.0
        self.step_count = 0
        self.after_step: Callable[[], None] = lambda: None
        super().__init__(_NoSelector(self))
        self.set_task_factory(_start)

    def time(self) -> float:
        return self._now_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_s += seconds

    def later(self, delay_s: float, callback: Callable[..., object], *args: object) -> Any:
        """Schedule for the world itself, even when called within a process."""
        return super().call_at(
            self._now_s + delay_s, callback, *args, context=contextvars.Context()
        )

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        process = _process.get() if context is None else context.get(_process)
        if process is not None:
            return super().call_soon(process.run, callback, *args, context=context)
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        process = _process.get() if context is None else context.get(_process)
        if process is not None:
            return super().call_at(when, process.run, callback, *args, context=context)
        return super().call_at(when, callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        raise AssertionError("a thread has no place in virtual time")

    def _run_once(self) -> None:
        super()._run_once()  # pyright: ignore[reportAttributeAccessIssue]
        self.step_count += 1
        if self.step_count > STEPS_MAX:
            raise Stuck("no end in sight")
        self.after_step()


class _NoSelector(selectors.SelectSelector):
    """Waits for nothing: a wait is a jump of the clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Stuck("everything waits and nothing will come")
        if timeout > 0:
            self._loop.advance(timeout)
        return []


def _start(
    loop: asyncio.AbstractEventLoop, work: Any, context: contextvars.Context | None = None
) -> asyncio.Task[Any]:
    process = _process.get() if context is None else context.get(_process)
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, context=context)
    if process is not None:
        process.adopt(task)
    return task


def wall_time(loop: VirtualLoop) -> datetime:
    """Return the world's wall clock."""
    return EPOCH + timedelta(seconds=loop.time())
