"""Who is calling the management interface: as at the Batch API's door, or a key as a bearer token.

The interface's own clients send bearer tokens and nothing else. A key is as secret as a token that
an identity provider would give out, and grants all that one can; but unlike a signature it can be
read on its way, so it is taken only over https, or from this machine.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from aiohttp import web

from shoal_controller.api import auth
from shoal_controller.api.auth import Principal
from shoal_controller.api.issuers import Issuers
from shoal_controller.core.access import Grant, Role
from shoal_controller.core.errors import Refused
from shoal_protocol.sharedkey import SignedParts

if TYPE_CHECKING:
    from shoal_controller.operations.context import Context

_KEY: Final = re.compile(r"Bearer +([A-Za-z0-9+/=_~-]{1,16384})\Z", re.IGNORECASE)
"""A token of an identity provider, or of a task, has dots."""


async def authenticate(
    controller: auth.Controller,
    issuers: Issuers,
    request: web.Request,
    parts: SignedParts,
    account_name: str | None,
) -> Principal:
    """Return who is calling, or raise Refused.

    account_name  the one that the path names; None: the path names none
    Another account than the caller's is refused whether it exists or not.
    """
    authorization = parts.headers.get("authorization")
    if not authorization:
        raise _failed("The Authorization header is missing.")
    key = _KEY.match(authorization)
    if key is None:
        caller = await auth.authenticate(controller, issuers, parts, account_name)
    else:
        caller = _by_key(controller, request, key[1], account_name)
    if account_name is not None and account_name.lower() != caller.ctx.account.name:
        raise Refused(
            "InsufficientAccountPermissions",
            "The client does not have authorization to perform actions over this account.",
            Reason=f"The credentials are those of account '{caller.ctx.account.name}'.",
        )
    return caller


def _by_key(
    controller: auth.Controller, request: web.Request, token: str, account_name: str | None
) -> Principal:
    if not (request.secure or _is_of_this_machine(request)):
        raise _failed(
            "An account's key is taken as a bearer token over https, or from the service's own "
            "machine; use an https endpoint, or sign requests with SharedKey."
        )
    key = _decoded(token)
    candidates: Iterable[Context] = controller.contexts()
    if account_name is not None:
        named = controller.account(account_name.lower())
        candidates = () if named is None else (named,)
    found: Context | None = None
    for ctx in candidates:
        # No short-circuit: each key takes the same time.
        if any([hmac.compare_digest(key, known) for known in ctx.account.keys]):
            found = ctx
    if found is None or not key:
        raise _failed("The bearer token is no key of the account.")
    return Principal(found, Grant(Role.OWNER))


def _decoded(token: str) -> bytes:
    try:
        return base64.b64decode(token, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _is_of_this_machine(request: web.Request) -> bool:
    try:
        return ip_address(request.remote or "").is_loopback
    except ValueError:
        return False


def _failed(detail: str) -> Refused:
    return Refused(
        "AuthenticationFailed", "Authentication failed.", AuthenticationErrorDetail=detail
    )
