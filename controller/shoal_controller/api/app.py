"""The HTTP application: what happens to every request, in order, before and after its handler."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Final

from aiohttp import web

from shoal_controller import serving
from shoal_controller.api.auth import Controller, authenticate
from shoal_controller.api.call import Call, check_length, parse_query, raw_path, unreadable
from shoal_controller.api.errors import error_response, of_http
from shoal_controller.api.issuers import Issuers
from shoal_controller.api.management import door as management
from shoal_controller.api.options import check_options
from shoal_controller.api.ownroutes import OWN_ROUTES
from shoal_controller.api.paging import integer_parameter
from shoal_controller.api.rate import Rates, Throttled
from shoal_controller.api.routes import ROUTES
from shoal_controller.api.routing import Router
from shoal_controller.api.versions import VERSIONS
from shoal_controller.core.conditions import NotModified
from shoal_controller.core.errors import Refused, Unavailable
from shoal_protocol.sharedkey import SignedParts

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)

_request_id: ContextVar[str] = ContextVar("request_id")
"""Of the request that this task answers now: streamed answers are prepared deep inside."""

STANDARD_HEADERS: Final = {
    "DataServiceVersion": "3.0",
    "Server": "Shoal",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
}
NO_HOST: Final = "localhost"
_CLIENT_ID_CHARACTERS_MAX: Final = 128


def create_app(
    controller: Controller, *, issuers: Issuers | None = None, rates: Rates | None = None
) -> web.Application:
    """Return the application that answers for the controller's accounts; `create_runner` serves it.

    issuers  whose tokens are trusted beside the controller's own
    rates    how many requests are taken; None: any number
    More middlewares may be put before its own.
    """
    clock = controller.clock
    door = _Door(controller, issuers or Issuers((), clock), rates or Rates(clock, 0, 0))
    app = web.Application(middlewares=[door.answer])
    app[_DOOR] = door
    app.on_response_prepare.append(_add_standard_headers)
    app.router.add_route("*", "/{path:.*}", door.dispatch)
    return app


def create_runner(app: web.Application) -> serving.Runner:
    """Return what serves an application of `create_app`, and refuses what never reaches it."""
    return serving.Runner(app, app[_DOOR].refuse_unread)


class _Door:
    """From a request to its handler, and from whatever happens there to an answer."""

    def __init__(self, controller: Controller, issuers: Issuers, rates: Rates) -> None:
        self._controller = controller
        self._issuers = issuers
        self._rates = rates
        self._router = Router((*ROUTES, *OWN_ROUTES))

    @web.middleware
    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        del handler  # whatever the router made of the target (`*`, `a:80`), credentials come first
        request_id = str(uuid.uuid4())
        _request_id.set(request_id)
        is_management = management.owns(request)
        try:
            if is_management:
                return await management.dispatch(
                    self._controller,
                    self._issuers,
                    self._rates,
                    request,
                    request_id,
                    base_url(request),
                )
            return await self.dispatch(request)
        except Refused as error:
            refused = error
        except NotModified:
            return web.Response(status=304)
        except Unavailable as error:
            refused = Refused("ServerBusy", Reason=str(error))  # the disk is full, or we are ending
        except web.HTTPException as error:
            refused = of_http(error.status)
        except RecursionError as error:
            # Of a document that could just be read, by whoever looked at it deeper in the stack.
            # Nothing of such a depth is ever stored, so no change of state is half done.
            refused = unreadable(error)
        except Exception as error:
            if serving.is_gone(request, error):
                raise
            path = raw_path(request)[0]
            log.exception("request %s failed: %s %s", request_id, request.method, path)
            refused = Refused("InternalError")
        now = self._controller.clock.now()
        if is_management:
            response = management.error_response(request, refused, request_id, now)
        else:
            is_head = request.method == "HEAD"
            response = error_response(refused, request_id, now, base_url(request), is_head=is_head)
        if isinstance(refused, Throttled):
            response.headers["Retry-After"] = str(refused.retry_after_s)
        return response

    def refuse_unread(self, code: str, reason: str) -> web.Response:
        """Return the answer to what is no request, of which nothing was understood."""
        request_id = str(uuid.uuid4())
        now = self._controller.clock.now()
        response = error_response(
            Refused(code, Reason=reason), request_id, now, f"http://{NO_HOST}"
        )
        response.headers.update(STANDARD_HEADERS)
        response.headers["request-id"] = request_id
        return response

    async def dispatch(self, request: web.Request) -> web.StreamResponse:
        path, query_text = raw_path(request)
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            headers.setdefault(name.lower(), value)
        parts = SignedParts(request.method, path, query_text, headers)
        caller = await authenticate(self._controller, self._issuers, parts)
        self._rates.take(caller.ctx.account.name)
        check_length(request)
        query = parse_query(query_text)
        version_name = query.get("api-version")
        if not version_name:
            raise Refused("MissingRequiredQueryParameter", QueryParameterName="api-version")
        version = VERSIONS.get(version_name)
        if version is None:
            raise Refused(
                "UnsupportedRequestVersion",
                QueryParameterName="api-version",
                QueryParameterValue=version_name[:256],
                Reason=f"Supported are {', '.join(VERSIONS)}.",
            )
        _check_timeout(query)
        route, arguments = self._router.find(request.method, path)
        caller.grant.check(route.role, arguments.get("jobId"))
        if not route.is_in(version.name):
            raise Refused(
                "ResourceNotFound",
                Reason=f"{route.method} {route.path} is no operation of api-version "
                f"{version.name}.",
            )
        check_options(route.name, query)
        if route.handler is None:
            raise Refused(
                "NotImplemented", Reason=f"Shoal does not offer {route.method} {route.path} yet."
            )
        call = Call(
            request,
            _request_id.get(),
            caller.ctx,
            version,
            route,
            arguments,
            query,
            base_url(request),
        )
        return await route.handler(call)


def base_url(request: web.Request) -> str:
    """Return scheme and host as the client used them.

    A proxy that ends TLS tells the scheme; whoever lies about it gets wrong links, and nobody else.
    """
    host = request.headers.get("Host", "")
    if not host.isascii() or not host.isprintable() or not host:
        host = NO_HOST
    told = request.headers.get("X-Forwarded-Proto", "").lower()
    return f"{told if told in ('http', 'https') else request.scheme}://{host}"


def _check_timeout(query: dict[str, str]) -> None:
    # Accepted for what it asks: every operation here answers well within the 30 s it may take.
    value = query.get("timeout")
    if value and integer_parameter("timeout", value) < 0:
        raise Refused(
            "OutOfRangeQueryParameterValue",
            QueryParameterName="timeout",
            QueryParameterValue=value,
            Reason="It is a number of seconds, 0 or more.",
        )


_DOOR: Final = web.AppKey("door", _Door)


async def _add_standard_headers(request: web.Request, response: web.StreamResponse) -> None:
    headers = response.headers
    request_id = _request_id.get("") or str(uuid.uuid4())
    if management.owns(request):
        management.add_headers(request, response, request_id)
        return
    headers.update(STANDARD_HEADERS)
    headers["request-id"] = request_id
    if request.headers.get("return-client-request-id", "").lower() == "true":
        client_id = request.headers.get("client-request-id", "")[:_CLIENT_ID_CHARACTERS_MAX]
        if client_id.isascii() and client_id.isprintable():
            headers["client-request-id"] = client_id
