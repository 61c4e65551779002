"""Joining: a one-time token becomes the node's own key, once in the node's life.

The key is on disk, whole and closed to others, before it is first used. Until then the controller
answers a repeated join with the same token, so a crash in between costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from pathlib import Path
from typing import Any, Final

import aiohttp

from shoal_agent.config import Config

logger = logging.getLogger(__name__)

PATH: Final = "/shoal/v1/join"
ANSWER_BYTES_MAX: Final = 64 * 1024
MESSAGE_CHARACTERS_MAX: Final = 500
JOIN_S_MAX: Final = 20.0
BACKOFF_S_MIN: Final = 0.1
BACKOFF_S_MAX: Final = 15.0


class CannotJoin(Exception):
    """The node has neither a key nor a token; the message says where they were looked for."""


async def node_key(config: Config, session: aiohttp.ClientSession) -> str:
    """Return the node's key, joining the pool first if it has none yet; tries for ever.

    The token is read anew each time: a right one in the place of a wrong one mends it.
    raises   CannotJoin
    """
    try:
        return (await asyncio.to_thread(config.key_file.read_text)).strip()
    except FileNotFoundError:
        pass
    backoff_s = BACKOFF_S_MIN
    while True:
        token = await asyncio.to_thread(_token, config)
        try:
            key = await _join(config, session, token)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            logger.warning("cannot join %s: %s", config.controller_url, error or "no answer")
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))
            backoff_s = min(BACKOFF_S_MAX, backoff_s * 2)
            continue
        await asyncio.to_thread(_store, config.key_file, key)
        return key


def _token(config: Config) -> str:
    if config.join_token_file is None:
        raise CannotJoin(f"no key in {config.key_file}, and no join_token_file is set")
    try:
        return config.join_token_file.read_text().strip()
    except OSError as error:
        raise CannotJoin(
            f"no key in {config.key_file}, and cannot read the token: {error}"
        ) from error


async def _join(config: Config, session: aiohttp.ClientSession, token: str) -> str:
    async with asyncio.timeout(JOIN_S_MAX):
        url = config.controller_url.rstrip("/") + PATH
        body = {"node_id": config.node_id, "token": token}
        async with session.post(url, json=body, allow_redirects=False) as answer:
            if (answer.content_length or 0) > ANSWER_BYTES_MAX:
                raise ValueError("its answer is too long")
            fields = await _fields(answer)
    if answer.status != 200:
        said = str(fields.get("message") or answer.reason)[:MESSAGE_CHARACTERS_MAX]
        raise ValueError(
            f"it answers {answer.status}: {said if said.isprintable() else repr(said)}"
        )
    key = fields.get("key")
    if type(key) is not str or not key or not key.isascii() or not key.isprintable():
        raise ValueError("its answer holds no key")
    return key


async def _fields(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    """Return the JSON object of an answer; an empty one for an error without any."""
    try:
        fields = await answer.json()
    except (aiohttp.ContentTypeError, ValueError):
        if answer.status == 200:
            raise
        fields = None
    return fields if isinstance(fields, dict) else {}


def _store(path: Path, key: str) -> None:
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(key + "\n")
        file.flush()
        os.fsync(fd)
    temporary.rename(path)
    folder_fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder_fd)
    finally:
        os.close(folder_fd)
