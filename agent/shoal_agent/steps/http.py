"""What downloads and uploads share: tries, waits, and how an HTTP answer is judged."""

from __future__ import annotations

import asyncio
import os
import random
import ssl
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


def told(error: BaseException) -> str:
    """Return what went wrong with a request, for texts that users read.

    Not aiohttp's own words: they repeat whole URLs, with the signature, and settings of ours.
    """
    match error:
        case aiohttp.ClientConnectorCertificateError():
            reason = _system_text(error.certificate_error)
            return f"cannot connect to {error.host}:{error.port}: {reason}"
        case aiohttp.ClientConnectorError():
            return f"cannot connect to {error.host}:{error.port}: {_system_text(error.os_error)}"
        case aiohttp.ConnectionTimeoutError():
            return "connecting took too long"
        case aiohttp.TooManyRedirects():
            return "too many redirects"
        case aiohttp.InvalidURL():
            return "not a URL that can be asked"
        case aiohttp.ClientResponseError():
            return f"{error.status} {error.message}"
        case _:
            return str(error) or type(error).__name__


def _system_text(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):  # its number is not the system's
        return getattr(error, "verify_message", "") or error.reason or str(error)
    if isinstance(error, OSError) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
