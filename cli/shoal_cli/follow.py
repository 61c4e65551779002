"""Following files, tasks and other resources until something is so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from shoal_cli.faults import ServiceFault

if TYPE_CHECKING:
    from shoal_cli.client import Client

_FIRST_S: Final = 0.1
_MOST_S: Final = 1.0


async def follow_file(
    client: Client,
    path: str,
    write: Callable[[bytes], None],
    ended: asyncio.Event,
    *,
    restarted: Callable[[], None] = lambda: None,
) -> bool:
    """Give a growing file's bytes to `write` until `ended` is set and all has been read.

    ended      set when nothing more will be written
    restarted  called when the file became shorter: the task runs again, from its beginning
    returns    whether the file was ever there
    """
    position = 0
    delay = _FIRST_S
    was_there = False
    while True:
        # Asked before reading: what was written until then is read in this round.
        is_last = ended.is_set()
        try:
            length = (await client.file_facts(path, explains=False)).length
            was_there = True
            if length < position:
                restarted()
                position = 0
            if length > position:
                delay = _FIRST_S
            async for chunk in client.read_file(path, position, length):
                write(chunk)
                position += len(chunk)
        except ServiceFault as fault:
            # Not there yet, or its node is restarting. A file in hand may vanish with its task.
            if fault.status not in (404, 409, 416):
                raise
        if is_last:
            return was_there
        await _pause(ended, delay)
        delay = min(delay * 1.5, _MOST_S)


async def until(
    fetch: Callable[[], Awaitable[dict[str, Any]]],
    accept: Callable[[dict[str, Any]], bool],
    *,
    stop: asyncio.Event | None = None,
    most_s: float = _MOST_S,
) -> dict[str, Any]:
    """Return the first answer of `fetch` that `accept` takes; asks seldom after a while.

    stop  when set, the next answer is returned whatever it is
    """
    delay = _FIRST_S / 2
    while True:
        is_last = stop is not None and stop.is_set()
        answer = await fetch()
        if is_last or accept(answer):
            return answer
        await _pause(stop, delay)
        delay = min(delay * 1.3, most_s)


def is_completed(task: dict[str, Any]) -> bool:
    """Return whether a task has ended."""
    return task.get("state") == "completed"


def has_begun(task: dict[str, Any]) -> bool:
    """Return whether a task runs or has ended: its files may be there."""
    return task.get("state") in ("running", "completed")


async def wait_gone(client: Client, path: str) -> None:
    """Return when the resource does not exist any more."""

    async def gone() -> bool:
        return not await client.exists(path)

    await poll(gone)


async def poll(check: Callable[[], Awaitable[bool]]) -> None:
    """Return when `check` gives True; asks seldom after a while."""
    delay = _FIRST_S
    while not await check():
        await asyncio.sleep(delay)
        delay = min(delay * 1.5, _MOST_S)


async def _pause(event: asyncio.Event | None, seconds: float) -> None:
    if event is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
