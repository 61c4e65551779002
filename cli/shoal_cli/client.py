"""An HTTP caller of the Batch API: signs, sends, repeats what may be repeated, follows pages.

Requests and answers stay the API's own JSON. What a failure means to a person is in hints.py.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode, urlsplit

import aiohttp
from yarl import URL

from shoal_cli.failures import refusal, unreachable
from shoal_cli.faults import Fault, ServiceFault, Unreachable
from shoal_cli.hints import segments_of
from shoal_cli.settings import Settings
from shoal_cli.trust import connector
from shoal_protocol.sharedkey import SignedParts, sign

API_VERSION: Final = "2025-06-01"
PAGE_MAX: Final = 1000
REPEATABLE: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_CONTENT_TYPE: Final = "application/json; odata=minimalmetadata"
_CHUNK_BYTES: Final = 65_536
_BUSY: Final = frozenset({500, 502, 503, 504})
_FIRST_DELAY_S: Final = 0.1
_DELAY_S_MAX: Final = 3.0

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a HEAD of a file tells. `length` in bytes."""

    length: int
    headers: Mapping[str, str]


def path_of(*segments: str) -> str:
    """Return a URL path; each segment is escaped whole, so a file's inner path is one segment."""
    return "".join("/" + quote(segment, safe="") for segment in segments)


class Client:
    """One connection to one account. Use as `async with`.

    patience_s  how long a request that may be repeated goes on trying while the service does not
                answer or is busy; commands that follow something set it higher
    sleep       waits between tries; tests bring their own
    """

    def __init__(
        self,
        settings: Settings,
        *,
        patience_s: float = 1.5,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.settings = settings
        self.patience_s = patience_s
        self._sleep = sleep
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Client:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
        # trust_env stays off: a proxy in the environment must not see what loopback carries.
        self._http = aiohttp.ClientSession(timeout=timeout, connector=connector(self.settings))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()

    # --- JSON -------------------------------------------------------------------------------------

    async def get(self, path: str, **query: str) -> Json:
        """Return one resource."""
        return await self._json("GET", path, query)

    async def post(self, path: str, body: Json | None = None, **query: str) -> Json:
        """Do an action or create something; returns the answer's JSON, `{}` if it has none."""
        return await self._json("POST", path, query, body)

    async def put(self, path: str, body: Json | None = None, **query: str) -> Json:
        """Make a resource what the body says; returns it."""
        return await self._json("PUT", path, query, body)

    async def patch(self, path: str, body: Json, **query: str) -> None:
        """Change properties of a resource."""
        await self._json("PATCH", path, query, body)

    async def delete(self, path: str, **query: str) -> None:
        """Delete a resource. One that an earlier try already deleted counts as deleted."""
        try:
            await self._json("DELETE", path, query)
        except ServiceFault as fault:
            if not (fault.is_repeat and _is_gone(fault)):
                raise

    async def exists(self, path: str) -> bool:
        """Return whether GET finds the resource."""
        try:
            await self.get(path)
        except ServiceFault as fault:
            if fault.status == 404:
                return False
            raise
        return True

    async def pages(
        self, path: str, *, limit: int | None = None, **query: str
    ) -> AsyncIterator[list[Json]]:
        """Yield a list's pages until its end, or until `limit` elements were given."""
        if limit is not None:
            query["maxresults"] = str(max(1, min(limit, PAGE_MAX)))
        left = limit
        link: str | None = None
        while True:
            page = await self._json("GET", path, query, link=link)
            values: list[Json] = page.get("value") or []
            if left is not None:
                values = values[:left]
                left -= len(values)
            yield values
            link = page.get("odata.nextLink") or page.get("nextLink")
            if not link or left == 0:
                return
            link = self._own_link(link)

    def _own_link(self, link: str) -> str:
        """Return a continuation on the endpoint we were given.

        The link names the service's public host; we keep to the address that works from here, and
        never sign a request for another host than the one configured.
        """
        parts = urlsplit(link)
        return f"{self.settings.endpoint}{parts.path}?{parts.query}"

    # --- files ------------------------------------------------------------------------------------

    async def file_facts(self, path: str, *, explains: bool = True) -> FileFacts:
        """Return a file's size and headers.

        explains  a refusal is asked for again with GET: the answer to a HEAD has no body, so it
                  cannot say why
        """
        try:
            async with self._answer("HEAD", path, {}) as answer:
                length = int(answer.headers.get("Content-Length", "0"))
                return FileFacts(length, answer.headers.copy())
        except ServiceFault:
            if explains:
                async with self._answer("GET", path, {}, headers={"ocp-range": "bytes=0-0"}):
                    pass
            raise

    async def read_file(
        self, path: str, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield a file's bytes from `start` up to, not including, `end`.

        Without `end` it is read whole as it is now. A connection lost on the way is taken up again
        where it broke.
        """
        if end is None:
            end = (await self.file_facts(path)).length
        position = start
        barren_count = 0
        while position < end:
            ranged = {"ocp-range": f"bytes={position}-{end - 1}"}
            before = position
            try:
                async with self._answer("GET", path, {}, headers=ranged) as answer:
                    async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
                        chunk = chunk[: end - position]
                        position += len(chunk)
                        yield chunk
                if position == before:
                    return  # it became shorter meanwhile
            except (aiohttp.ClientError, TimeoutError) as err:
                barren_count = 0 if position > before else barren_count + 1
                if barren_count > 2:
                    raise self._unreachable("GET", path, err) from err

    # --- one request ------------------------------------------------------------------------------

    async def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Json | None = None,
        *,
        link: str | None = None,
    ) -> Json:
        sending = self._answer(method, path, query, body=body, link=link, is_whole=True)
        async with sending as answer:
            content = await answer.read()
        if not content:
            return {}
        try:
            found = json.loads(content)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Fault(
                "the answer is not JSON",
                where=f"{method} {path}",
                mend=f"is {self.settings.endpoint} really a Batch service?",
            )
        return found

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        body: Json | None = None,
        headers: Mapping[str, str] | None = None,
        link: str | None = None,
        is_whole: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; the answer's connection is free again when the block is left."""
        url = link or self.settings.endpoint + path + "?" + urlencode(
            {"api-version": API_VERSION, **query}, quote_via=quote, safe="$'(),"
        )
        content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        segments = segments_of(path, new_id=(body or {}).get("id"))
        answer = await self._send(
            method, path, url, content, headers or {}, segments, is_whole=is_whole
        )
        try:
            yield answer
        finally:
            answer.release()

    async def _send(
        self,
        method: str,
        path: str,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        segments: Mapping[str, str],
        *,
        is_whole: bool,
    ) -> aiohttp.ClientResponse:
        """Send one request, again where that is safe, and return a success.

        segments  the resources it is about, for hints
        is_whole  the answer's body is read too, and an answer that breaks off counts as none
        raises    ServiceFault for a refusal, Unreachable where nothing answers
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self.patience_s
        delay = _FIRST_DELAY_S
        is_repeat = False
        while True:
            failure: Exception
            try:
                answer = await self._send_once(method, url, body, headers)
                if answer.status < 300:
                    if is_whole:
                        await answer.read()
                    return answer
                failure = await self._refusal(method, path, answer, segments)
                failure.is_repeat = is_repeat
                # With a Retry-After it was turned away at the door: nothing was done yet.
                wait_s = _retry_after_s(answer.headers)
                may_repeat = answer.status in _BUSY and (method in REPEATABLE or wait_s > 0)
                delay = max(delay, wait_s)
            except aiohttp.ClientConnectorError as err:  # never arrived: safe for every method
                failure, may_repeat = self._unreachable(method, path, err), _may_pass(err)
            except (aiohttp.ClientError, TimeoutError) as err:
                failure, may_repeat = self._unreachable(method, path, err), method in REPEATABLE
            if not may_repeat or loop.time() + delay > give_up:
                raise failure
            # Jitter: many who wait for one service must not return in step.
            await self._sleep(delay * random.uniform(0.75, 1.25))
            delay = min(delay * 2, _DELAY_S_MAX)
            is_repeat = True

    async def _send_once(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        assert self._http is not None, "use Client as a context manager"
        sent = {**headers, "ocp-date": format_datetime(datetime.now(UTC), usegmt=True)}
        sent["Accept-Encoding"] = "identity"  # files must arrive byte by byte as they are
        sent["Accept"] = "application/json" if method != "HEAD" else "*/*"
        if method not in ("GET", "HEAD"):
            sent["Content-Length"] = str(len(body))
        if body:
            sent["Content-Type"] = _CONTENT_TYPE
        if not self.settings.admin_socket:
            sent["Authorization"] = self._credentials(method, url, sent)
        return await self._http.request(
            method,
            URL(url, encoded=True),
            data=body or None,
            headers=sent,
            allow_redirects=False,
            skip_auto_headers=("Content-Type",),
        )

    async def _refusal(
        self, method: str, path: str, answer: aiohttp.ClientResponse, segments: Mapping[str, str]
    ) -> ServiceFault:
        content = await answer.content.read(_CHUNK_BYTES)
        answer.release()
        return refusal(
            self.settings,
            f"{method} {unquote(path)}",
            answer.status,
            answer.reason or "",
            answer.headers,
            content,
            segments,
        )

    def _unreachable(self, method: str, path: str, err: BaseException) -> Unreachable:
        return unreachable(self.settings, f"{method} {unquote(path)}", err)

    def _credentials(self, method: str, url: str, headers: Mapping[str, str]) -> str:
        if self.settings.token:
            return f"Bearer {self.settings.token}"
        parts = urlsplit(url)
        lower = {name.lower(): value for name, value in headers.items()}
        signed = SignedParts(method, parts.path, parts.query, lower)
        return sign(self.settings.key, self.settings.account, signed)


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """Return how long the service asks to wait; 0 where it does not say."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0


def _is_gone(failure: ServiceFault) -> bool:
    return failure.status == 404 or failure.code.endswith("BeingDeleted")


def _may_pass(err: aiohttp.ClientConnectorError) -> bool:
    """Return whether trying again can help: a wrong certificate stays wrong."""
    return not isinstance(
        err,
        aiohttp.ClientConnectorCertificateError
        | aiohttp.ClientConnectorSSLError
        | aiohttp.ClientConnectorDNSError,
    )
