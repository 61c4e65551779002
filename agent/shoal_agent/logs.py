"""Uploads the agent's own log to where the controller says: what `uploadbatchservicelogs` asks for.

The log is what the agent prints, kept in a file by whoever started it; an older part of it has the
same name with `.1` behind.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp

from shoal_agent.steps.blobs import UploadFailed, put_blob
from shoal_agent.steps.containers import blob_url
from shoal_protocol.messages import LogsReply, LogsRequest

logger = logging.getLogger(__name__)

UPLOAD_S_MAX: Final = 25.0
"""The controller waits a little longer than this for the answer."""
_NO_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class LogUploader:
    """Answers requests one at a time, each a little later by one reply."""

    def __init__(
        self,
        log_file: Path | None,
        session: aiohttp.ClientSession,
        reply: Callable[[LogsReply], None],
    ) -> None:
        """log_file   None: what the agent prints goes elsewhere"""
        self._log_file = log_file
        self._session = session
        self._reply = reply
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def serve(self, request: LogsRequest) -> None:
        """Upload what a request wants, and reply."""
        task = asyncio.create_task(self._serve(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, request: LogsRequest) -> None:
        try:
            async with asyncio.timeout(UPLOAD_S_MAX), self._turn:
                reply = await self._upload(request)
        except UploadFailed as error:
            reply = LogsReply(request.request_id, error.code, str(error))
        except TimeoutError:
            reason = f"the upload took more than {UPLOAD_S_MAX:g} s"
            reply = LogsReply(request.request_id, "FileUploadTimedOut", reason)
        except OSError as error:
            reply = LogsReply(request.request_id, "failed", error.strerror or type(error).__name__)
        except Exception:
            logger.exception("the log cannot be uploaded")
            reply = LogsReply(request.request_id, "failed", "internal error of the agent")
        self._reply(reply)

    async def _upload(self, request: LogsRequest) -> LogsReply:
        if self._log_file is None:
            return LogsReply(request.request_id, "no_log", "the agent's messages go elsewhere")
        count = 0
        for path in list(chosen(self._log_file, request.begin, request.end)):
            fd = await asyncio.to_thread(os.open, path, _NO_FLAGS)
            try:
                url = blob_url(request.container_url, f"{request.directory}/{path.name}")
                await put_blob(self._session, url, fd, {"Content-Type": "text/plain"})
            finally:
                os.close(fd)
            count += 1
        return LogsReply(request.request_id, file_count=count)


def chosen(log_file: Path, begin: datetime, end: datetime | None) -> Iterator[Path]:
    """Yield the parts of a log that were written between two instants, the older one first.

    A part begins where the older one ends; the oldest begins at the begin of time.
    """
    part_begin = datetime.min.replace(tzinfo=UTC)
    for path in (log_file.with_name(log_file.name + ".1"), log_file):
        try:
            part_end = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except FileNotFoundError:
            continue
        if part_end >= begin and (end is None or part_begin <= end):
            yield path
        part_begin = part_end
