"""The aiohttp application: one handler that takes requests apart, and sends the answers."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Final

import aiohttp
from aiohttp import web

from shoal_controller import serving
from shoal_controller.blobgateway.errors import StorageError, bad_header
from shoal_controller.blobgateway.names import is_visible
from shoal_controller.blobgateway.sas import VERSION, VERSION_MIN, parse_time
from shoal_controller.blobgateway.storage.store import Clock
from shoal_controller.blobgateway.web import access, xml
from shoal_controller.blobgateway.web.call import (
    Answer,
    Call,
    StorageAccount,
    parse_target,
    single_values,
)
from shoal_controller.blobgateway.web.headers import refuse_unprovided
from shoal_controller.blobgateway.web.routes import find_route
from shoal_controller.blobgateway.web.sources import new_session

WRITE_WAIT_S: Final = 120.0
COLLECT_INTERVAL_S: Final = 3600.0
log = logging.getLogger(__name__)


def create_app(accounts: Mapping[str, StorageAccount], clock: Clock) -> web.Application:
    """The gateway for `accounts`, by name; `create_runner` or `serve` serves it.

    The mapping is read at each request, so an account may come or go meanwhile. The stores stay
    the caller's: the app neither opens nor closes them.
    """
    gateway = _Gateway(accounts, clock)
    app = web.Application(middlewares=[gateway.handle])
    app[_GATEWAY] = gateway
    app.cleanup_ctx.append(gateway.run)
    return app


def create_runner(app: web.Application) -> serving.Runner:
    """What serves an app of `create_app`, and refuses what never reaches it."""
    # A body with Content-Encoding is stored as it is, never unpacked.
    return serving.Runner(app, app[_GATEWAY].refuse_unread, auto_decompress=False)


async def serve(app: web.Application, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Listen on `host`; returns the runner (await its cleanup to stop) and the port it got."""
    runner = create_runner(app)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner, runner.addresses[0][1]


class _Gateway:
    """State of one app: accounts, clock, client for copies, and the count of requests."""

    def __init__(self, accounts: Mapping[str, StorageAccount], clock: Clock) -> None:
        self.accounts = accounts
        self.clock = clock
        self._http: aiohttp.ClientSession | None = None
        self._epoch = 0
        self._count = 0

    @property
    def http(self) -> aiohttp.ClientSession:
        assert self._http is not None, "the app is running"
        return self._http

    def new_id(self) -> str:
        self._count += 1
        digits = f"{self._epoch:016x}{self._count:016x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    async def run(self, _: web.Application) -> AsyncIterator[None]:
        """Around the app's life: the client for copies, and an hourly clean-up of the stores."""
        self._epoch = int(self.clock.now().timestamp() * 1_000_000)
        async with new_session() as self._http:
            collecting = asyncio.create_task(self._collect(), name="blobgateway-collect")
            yield
            collecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await collecting

    @web.middleware
    async def handle(self, request: web.Request, handler: object) -> web.StreamResponse:
        """Answer one request. A middleware, so that no path is refused by a router before us."""
        del handler
        request_id = self.new_id()
        try:
            answer = await self.dispatch(self._call(request, request_id))
        except StorageError as error:
            answer = self._refusal(error, request_id)
        except web.RequestPayloadError:
            answer = self._refusal(StorageError("InvalidInput", serving.BROKEN_BODY), request_id)
        except (ConnectionError, aiohttp.ClientPayloadError):
            # The caller is gone; nobody will read this.
            answer = Answer(400)
        except Exception:
            log.exception("blob gateway: request %s failed", request_id)
            error = StorageError("InternalError", "The server encountered an internal error.")
            answer = self._refusal(error, request_id)
        for name, value in self._common(request.headers, request_id).items():
            answer.headers.setdefault(name, value)
        return await _send(request, answer)

    def refuse_unread(self, code: str, reason: str) -> web.Response:
        """Return the answer to what is no request, of which nothing was understood."""
        request_id = self.new_id()
        answer = self._refusal(StorageError(code, reason), request_id)
        headers = answer.headers | self._common({}, request_id)
        return web.Response(status=answer.status, headers=headers, body=answer.body)

    async def dispatch(self, call: Call) -> Answer:
        """Authenticate first, whatever the route; then route, authorize and carry out."""
        access.authenticate(call)
        version = call.version
        if version is None and call.grant is None:
            raise StorageError(
                "MissingRequiredHeader",
                "An HTTP header that's mandatory for this request is not specified.",
                HeaderName="x-ms-version",
            )
        if version is not None:
            _check_version(version)
        call.query = single_values(call.target.query)
        route = find_route(call.method, call.target, call.query)
        access.authorize(call, route)
        refuse_unprovided(call.headers)
        return await route.handler(call)

    def _call(self, request: web.Request, request_id: str) -> Call:
        headers: dict[str, str] = {}
        metadata: list[tuple[str, str]] = []
        for name, value in request.headers.items():
            lower = name.lower()
            headers[lower] = f"{headers[lower]},{value}" if lower in headers else value
            if lower.startswith("x-ms-meta-"):
                metadata.append((name[len("x-ms-meta-") :], value))
        return Call(
            method=request.method,
            target=parse_target(request.raw_path),
            version=headers.get("x-ms-version"),
            headers=headers,
            metadata=metadata,
            body=request.content,
            remote=request.remote,
            secure=request.secure,
            now=self.clock.now(),
            request_id=request_id,
            gateway=self,
        )

    def _refusal(self, error: StorageError, request_id: str) -> Answer:
        told = {"x-ms-error-code": error.code}
        if error.status == 401:
            told["WWW-Authenticate"] = "SharedKey"
        if error.status == 304:
            return Answer(304, told)
        moment = self.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        message = f"{error.message}\nRequestId:{request_id}\nTime:{moment}"
        told["Content-Type"] = "application/xml"
        return Answer(error.status, told, xml.error(error.code, message, error.details))

    def _common(self, headers: Mapping[str, str], request_id: str) -> dict[str, str]:
        version = headers.get("x-ms-version", "")
        told = {
            "x-ms-request-id": request_id,
            "x-ms-version": version if _is_version(version) else VERSION,
            "Server": "shoal-blobgateway",
        }
        client_id = headers.get("x-ms-client-request-id", "")
        if client_id and len(client_id) <= 1024 and is_visible(client_id):
            told["x-ms-client-request-id"] = client_id
        return told

    async def _collect(self) -> None:
        while True:
            for account in list(self.accounts.values()):
                try:
                    await account.store.collect()
                except Exception:
                    log.exception("blob gateway: clean-up failed, trying again in an hour")
            await asyncio.sleep(COLLECT_INTERVAL_S)


_GATEWAY: Final = web.AppKey("gateway", _Gateway)


async def _send(request: web.Request, answer: Answer) -> web.StreamResponse:
    reader = answer.reader
    if reader is not None and reader.small is not None:
        answer.body = reader.small
        await reader.__aexit__()
        reader = None
    if reader is None and request.method != "HEAD":
        answer.headers.pop("Content-Length", None)
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
    answer.headers.setdefault("Content-Length", str(len(answer.body)))
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    if reader is None:
        # HEAD: the length of a body that stays here.
        return response
    async with reader:
        await response.prepare(request)
        try:
            async for piece in reader.pieces():
                async with asyncio.timeout(WRITE_WAIT_S):
                    await response.write(piece)
        except (OSError, TimeoutError):
            # The status is out already: only a broken connection can tell that bytes are missing.
            if request.transport is not None:
                request.transport.abort()
        return response


def _check_version(version: str) -> None:
    if not _is_version(version):
        raise bad_header("x-ms-version", version[:40], f"a date from {VERSION_MIN} on")


def _is_version(version: str) -> bool:
    try:
        parse_time(version)
    except ValueError:
        return False
    return len(version) == 10 and version >= VERSION_MIN
