"""What downloads and uploads share: tries, waits, and how an HTTP answer is judged."""

from __future__ import annotations

import asyncio
import random
from typing import Final

import aiohttp
from yarl import URL

from shoal_protocol.specs import FailureInfo

TRIES_MAX: Final = 5
BACKOFF_S_MIN: Final = 0.2
BACKOFF_S_MAX: Final = 10.0
TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=20.0, sock_read=60.0)
NETWORK_ERRORS: Final = (aiohttp.ClientError, OSError, TimeoutError)
_TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class TransferFailed(Exception):
    """A file cannot be fetched or sent; `failure` is for users to read."""

    def __init__(self, failure: FailureInfo) -> None:
        super().__init__(failure.code)
        self.failure = failure


def is_transient(status: int) -> bool:
    """Whether the same request may succeed a little later."""
    return status in _TRANSIENT


def is_hopeless(error: BaseException) -> bool:
    """Whether a request could not even be made, so that trying again is of no use."""
    return isinstance(error, (aiohttp.InvalidURL, aiohttp.TooManyRedirects))


async def wait_before_retry(tries: int) -> None:
    """Wait after the try number `tries` (1 for the first) with exponential backoff and jitter."""
    wait_s = min(BACKOFF_S_MAX, BACKOFF_S_MIN * 2.0 ** (tries - 1))
    await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))


def with_query(url: str, query: str) -> URL:
    """Return a URL with more of a query in front of the one it has, which stays as it is: the
    signature in it was made over exactly these characters.
    """
    base, _, given = url.partition("?")
    return URL(f"{base}?{query}&{given}" if given else f"{base}?{query}", encoded=True)


def without_secrets(url: str) -> str:
    """Return a URL without its query, which may hold a signature, for texts that users read."""
    return url.partition("?")[0]
