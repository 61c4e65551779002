"""A scripted service: real HTTP on loopback, answers written by the test, signatures verified."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import RawTestServer

from shoal_cli.settings import Settings
from shoal_protocol.sharedkey import SignedParts, verify

KEY = b"a key of thirty-two bytes, here!"
ACCOUNT = "unit"


@dataclass
class Request:
    """What arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    content: bytes
    raw: web.BaseRequest

    @property
    def body(self) -> Any:
        """The JSON of the body, or None."""
        return json.loads(self.content) if self.content else None


Answer = tuple[int, Any] | Callable[[Request], web.StreamResponse]


@dataclass
class Service:
    """Answers by method and path, in order; the last one given is repeated for ever.

    token   good in place of a signature; empty: none is
    """

    answers: dict[tuple[str, str], list[Answer]] = field(default_factory=lambda: defaultdict(list))
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    token: str = ""

    def on(self, method: str, path: str, *answers: Answer) -> Service:
        """Script the answers of one route; `path` is percent-encoded, as sent."""
        self.answers[method, path] += answers
        return self

    @property
    def settings(self) -> Settings:
        """What a client of this service needs."""
        return Settings(self.url, ACCOUNT, KEY, sources={"endpoint": "the test"})

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a command line reads."""
        return {
            "AZURE_BATCH_ENDPOINT": self.url,
            "AZURE_BATCH_ACCOUNT": ACCOUNT,
            "AZURE_BATCH_ACCESS_KEY": base64.b64encode(KEY).decode(),
        }

    def seen(self, method: str, path: str) -> list[Request]:
        """Return the requests of one route, in order."""
        return [r for r in self.requests if (r.method, r.path) == (method, path)]

    async def handle(self, raw: web.BaseRequest) -> web.StreamResponse:
        """Verify, note and answer one request."""
        path, _, query = raw.raw_path.partition("?")
        headers = {name.lower(): value for name, value in raw.headers.items()}
        request = Request(raw.method, path, dict(raw.query), headers, await raw.read(), raw)
        self.requests.append(request)
        scheme, _, rest = headers.get("authorization", "").partition(" ")
        account, _, signature = rest.partition(":")
        parts = SignedParts(raw.method, path, query, headers)
        is_signed = scheme == "SharedKey" and verify([KEY], account, parts, signature)
        if not is_signed and not (scheme == "Bearer" and rest == self.token):
            return refusal(403, "AuthenticationFailed", "Server failed to authenticate.")
        if request.query.get("api-version") != "2025-06-01":
            return refusal(400, "MissingRequiredQueryParameter", "api-version")
        script = self.answers.get((raw.method, path))
        if not script:
            return refusal(501, "NotImplemented", f"the test has no {raw.method} {path}")
        answer = script.pop(0) if len(script) > 1 else script[0]
        if callable(answer):
            return answer(request)
        status, body = answer
        return web.json_response(body, status=status) if body else web.Response(status=status)


def refusal(status: int, code: str, text: str, **values: str) -> web.Response:
    """Return an error as the API writes it."""
    pairs = [{"key": key, "value": value} for key, value in values.items()]
    message = f"{text}\nRequestId:0000\nTime:2026-01-01T00:00:00.0000000Z"
    body = {"code": code, "message": {"lang": "en-US", "value": message}, "values": pairs}
    return web.json_response(body, status=status, reason=text)


def refuses(status: int, code: str, text: str = "No.", **values: str) -> Answer:
    """Return a scripted refusal."""
    return lambda _: refusal(status, code, text, **values)


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[Service]:
    """Serve on a free port while the block runs."""
    server = RawTestServer(lambda raw: service.handle(raw))
    await server.start_server()
    service.url = f"http://127.0.0.1:{server.port}"
    try:
        yield service
    finally:
        await server.close()
