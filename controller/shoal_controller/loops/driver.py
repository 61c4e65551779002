"""Runs a loop's round when it is woken, or when its period ends; one round at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from shoal_controller.core.errors import Unavailable
from shoal_controller.operations.context import Context

log = logging.getLogger(__name__)

_failures: dict[str, str] = {}
"""What failed last, and how: so that a round every second does not fill the log."""
FAILURE_PAUSE_S: Final = 1.0
"""After a round that failed; what it left undone is found again, as intent is in the store."""


@dataclass(frozen=True, slots=True)
class Loop:
    """One thing that happens without being asked.

    name      the wake that starts a round at once
    period_s  a round is run at least so often
    round     does what there is to do, and returns whether more is left
    """

    name: str
    period_s: float
    round: Callable[[Context], Awaitable[bool]]


@contextlib.contextmanager
def contained(what: str) -> Iterator[None]:
    """Let the round go on with others when one thing fails; it is tried again in a later round.

    The same failure is logged with its traceback once.
    """
    try:
        yield
    except Unavailable:
        raise  # the store's trouble is everybody's
    except Exception as err:
        is_new = _failures.get(what) != repr(err)
        _failures[what] = repr(err)
        log.log(
            logging.ERROR if is_new else logging.DEBUG,
            "%s: %s; trying again",
            what,
            err,
            exc_info=is_new,
        )
    else:
        _failures.pop(what, None)


async def run(ctx: Context, loop: Loop) -> None:
    """Run rounds for ever."""
    event, what = ctx.wakes.event(loop.name), f"{loop.name} of {ctx.account.name}"
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(loop.period_s):
                await event.wait()
        event.clear()
        try:
            if await loop.round(ctx):
                event.set()
            _failures.pop(what, None)
        except Unavailable as err:
            # This may go on for days, and the log may be on the very disk that is full.
            is_new = _failures.get(what) != str(err)
            _failures[what] = str(err)
            level = logging.WARNING if is_new else logging.DEBUG
            log.log(level, "%s: %s; trying again", what, err)
            await asyncio.sleep(FAILURE_PAUSE_S)
            event.set()
        except Exception:
            log.exception("%s failed; trying again", loop.name)
            await asyncio.sleep(FAILURE_PAUSE_S)
            event.set()
