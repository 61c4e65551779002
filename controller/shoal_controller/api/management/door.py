"""From a management request to its handler, and from a refusal to what its clients read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from aiohttp import web

from shoal_controller.api.auth import Controller
from shoal_controller.api.call import Call, check_length, encode, parse_query, printable, raw_path
from shoal_controller.api.issuers import Issuers
from shoal_controller.api.management.access import authenticate
from shoal_controller.api.management.routes import OPTIONS, VERSIONS, find_route
from shoal_controller.api.management.wire import JSON_TYPE
from shoal_controller.api.options import check_options
from shoal_controller.api.rate import Rates
from shoal_controller.api.versions import NEWEST, Version
from shoal_controller.api.versions import VERSIONS as BATCH_VERSIONS
from shoal_controller.api.wire.values import timestamp
from shoal_controller.core.errors import Refused
from shoal_protocol.sharedkey import SignedParts

_PREFIX: Final = "/subscriptions/"
_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CLIENT_ID_CHARACTERS_MAX: Final = 128
_STANDARD_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Expires": "-1",
    "Pragma": "no-cache",
    "Server": "Shoal",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
}
_CODES: Final[Mapping[str, tuple[int, str]]] = {
    "AuthenticationFailed": (401, "AuthenticationFailed"),
    "InvalidAuthenticationInfo": (401, "AuthenticationFailed"),
    "InsufficientAccountPermissions": (403, "AuthorizationFailed"),
}
"""Where this interface says it differently: status and code, by the Batch service's code."""
_TARGET: Final = "BatchAccount"


def owns(request: web.Request) -> bool:
    """Return whether a request is one of the management interface."""
    return raw_path(request)[0].lower().startswith(_PREFIX)


async def dispatch(
    controller: Controller,
    issuers: Issuers,
    rates: Rates,
    request: web.Request,
    request_id: str,
    base: str,
) -> web.StreamResponse:
    """Answer a request, or raise Refused: who is calling comes first, whatever is asked for."""
    path, query_text = raw_path(request)
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers.setdefault(name.lower(), value)
    parts = SignedParts(request.method, path, query_text, headers)
    wrong: Refused | None = None
    route, arguments = None, dict[str, str]()
    try:
        route, arguments = find_route(request.method, path)
    except Refused as error:
        wrong = error
    account_name = arguments.get("accountName")
    caller = await authenticate(controller, issuers, request, parts, account_name)
    rates.take(caller.ctx.account.name)
    check_length(request)
    query = parse_query(query_text)
    version = _version(query.get("api-version", ""))
    if route is None:
        raise wrong or Refused("ResourceNotFound")
    caller.grant.check(route.role, None)
    check_options(route.name, query, OPTIONS)
    if route.handler is None:
        raise Refused(
            "NotImplemented", Reason=f"Shoal does not offer {route.method} {route.path} yet."
        )
    return await route.handler(
        Call(request, request_id, caller.ctx, version, route, arguments, query, base)
    )


def _version(name: str) -> Version:
    if not name:
        raise Refused("MissingApiVersionParameter")
    if name not in VERSIONS:
        raise Refused(
            "InvalidApiVersionParameter",
            f"The api-version '{name[:64]}' is invalid. The supported versions are "
            f"'{','.join(VERSIONS)}'.",
        )
    return replace(BATCH_VERSIONS[NEWEST], name=name)


def error_response(
    request: web.Request, refused: Refused, request_id: str, now: datetime
) -> web.Response:
    """Return the answer to a refused request, in Resource Manager's form.

    What went wrong with values stands in `details`, a code and a message each.
    """
    status, code = _CODES.get(refused.code, (refused.status, refused.code))
    headers = {"WWW-Authenticate": 'Bearer realm="Shoal"'} if status == 401 else {}
    if request.method == "HEAD":
        return web.Response(status=status, headers=headers)
    message = f"{printable(refused.message)}\nRequestId:{request_id}\nTime:{timestamp(now)}"
    error: dict[str, object] = {"code": code, "message": message, "target": _TARGET}
    if refused.details:
        error["details"] = [
            {"code": key, "message": printable(str(value))}
            for key, value in refused.details.items()
        ]
    body = encode({"error": error})
    return web.Response(status=status, body=body, headers=headers | {"Content-Type": JSON_TYPE})


def add_headers(request: web.Request, response: web.StreamResponse, request_id: str) -> None:
    """Add the headers that every answer has."""
    headers = response.headers
    headers.update(_STANDARD_HEADERS)
    headers["x-ms-request-id"] = request_id
    correlation_id = request.headers.get("x-ms-correlation-request-id", "")
    if not _GUID.fullmatch(correlation_id):
        correlation_id = request_id
    headers["x-ms-correlation-request-id"] = correlation_id
    headers["x-ms-routing-request-id"] = f"SHOAL:{correlation_id}"
    if request.headers.get("x-ms-return-client-request-id", "").lower() == "true":
        client_id = request.headers.get("x-ms-client-request-id", "")[:_CLIENT_ID_CHARACTERS_MAX]
        if client_id.isascii() and client_id.isprintable():
            headers["x-ms-client-request-id"] = client_id
