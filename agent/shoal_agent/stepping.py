"""Runs the steps: each beside everything else, one at a time for a key, ending in one StepEnded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import aiohttp

from shoal_agent.core.failures import failure
from shoal_agent.core.instructions import (
    Cancelled,
    Done,
    EmptyTrash,
    Prepared,
    PrepareFiles,
    PrepareUsers,
    RemoveUser,
    Step,
    StepEnded,
    StepFailed,
    StepOutcome,
    UploadOutputs,
    UsersReady,
)
from shoal_agent.steps.cleanup import empty_trash
from shoal_agent.steps.outputs import upload_outputs
from shoal_agent.steps.resource_files import prepare_files
from shoal_agent.users import Users, UsersFailed

logger = logging.getLogger(__name__)

CLOSE_S_MAX: Final = 5.0


class Steps:
    """All steps that run now."""

    def __init__(
        self,
        users: Users,
        session: aiohttp.ClientSession,
        root: Path,
        removed: Path,
        transfers_max: int,
        on_ended: Callable[[StepEnded], None],
    ) -> None:
        """removed   where directories lie that are to be deleted"""
        self._users = users
        self._session = session
        self._root = str(root)
        self._removed = removed
        self._transfers = asyncio.Semaphore(transfers_max)
        self._on_ended = on_ended
        self._tasks: dict[str, asyncio.Task[None]] = {}
        # Deleting is slow and may wait; it must not keep a task's files from being written.
        self._cleaner = ThreadPoolExecutor(1, "cleanup")

    def begin(self, key: str, step: Step) -> None:
        """Start a step; a running one of the same key is stopped, its end goes unheard."""
        previous = self._tasks.pop(key, None)
        if previous is not None:
            previous.cancel()
        self._tasks[key] = asyncio.create_task(self._run(key, step), name=key)

    def cancel(self, key: str) -> None:
        """Stop a step; its StepEnded comes when it does nothing any more."""
        task = self._tasks.get(key)
        if task is not None:
            task.cancel()

    async def cancel_all(self) -> None:
        """Stop all steps; return when none does anything any more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Stop everything for good."""
        self._on_ended = lambda _: None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S_MAX):
                await self.cancel_all()
        self._cleaner.shutdown(wait=False, cancel_futures=True)

    async def _run(self, key: str, step: Step) -> None:
        outcome: StepOutcome
        try:
            outcome = await self._do(step)
        except asyncio.CancelledError:
            outcome = Cancelled()
        except UsersFailed as error:
            logger.error("%s", error)
            outcome = StepFailed(failure("Unknown", Message=str(error)))
        except Exception:
            # A bug of ours must not leave a run without an end.
            logger.exception("step %s of %s failed", type(step).__name__, key)
            outcome = StepFailed(failure("Unknown", Message="internal error of the agent"))
        if self._tasks.get(key) is asyncio.current_task():
            del self._tasks[key]
            self._on_ended(StepEnded(key, outcome))

    async def _do(self, step: Step) -> StepOutcome:
        match step:
            case PrepareUsers(users, keep):
                return UsersReady(await asyncio.to_thread(self._users.prepare, users, keep))
            case PrepareFiles():
                account = step.account
                if account is None:
                    assert step.task_user is not None
                    account = await asyncio.to_thread(self._users.task_account, step.task_user)
                reason = await prepare_files(
                    step, account, self._root, self._session, self._transfers
                )
                return Prepared(account) if reason is None else StepFailed(reason)
            case UploadOutputs():
                account = step.account
                if account is None and step.task_user is not None:
                    account = await asyncio.to_thread(self._users.task_account, step.task_user)
                reason = await upload_outputs(
                    step, account, self._root, self._session, self._transfers
                )
                return Done() if reason is None else StepFailed(reason)
            case RemoveUser(name):
                await asyncio.to_thread(self._users.remove, name)
                return Done()
            case EmptyTrash():
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._cleaner, empty_trash, self._removed)
                return Done()
