"""What an answer, or its absence, means: HTTP and socket failures as faults for people."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from shoal_cli.faults import ServiceFault, Unreachable
from shoal_cli.hints import hint
from shoal_cli.settings import Settings


def refusal(
    settings: Settings,
    request: str,
    status: int,
    reason: str,
    headers: Mapping[str, str],
    content: bytes,
    segments: Mapping[str, str],
) -> ServiceFault:
    """Return the fault for an answer that says no.

    request   method and path
    reason    of the status line; all there is where the answer has no body
    content   the body, or its beginning
    segments  the resources that the path names
    """
    code, why = _explained(content)
    if not why:  # a HEAD has no body; a proxy has its own
        code = "ResourceNotFound" if status == 404 else ""
        why = [reason or "no reason given"]
    mend = hint(code, segments=segments, sources=settings.sources, skew=_skew(headers.get("Date")))
    if not code:
        mend = f"is {settings.endpoint} really a Batch service?"
    return ServiceFault(status, code, why, where=f"{request} answered {status}", mend=mend)


def unreachable(settings: Settings, request: str, err: BaseException) -> Unreachable:
    """Return the fault for a request that got no answer."""
    endpoint = settings.endpoint
    source = settings.sources.get("endpoint", "the settings")
    if settings.admin_socket:
        return _closed(settings, request, err)
    mend = f"is the service running? The endpoint {endpoint} comes from {source}"
    # A refused connection is an error of its own, or inside one that says which host refused.
    if isinstance(err, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        why = "its certificate is not trusted"
        mend = "set SSL_CERT_FILE to the certificates that sign for the service"
    elif isinstance(err, aiohttp.ClientConnectorSSLError):
        why = "it does not speak TLS"
        mend = f"is it plain http? The endpoint {endpoint} comes from {source}"
    elif isinstance(err, aiohttp.ClientConnectorDNSError):
        why = "the host's name is not known"
    elif isinstance(getattr(err, "os_error", err), ConnectionRefusedError):
        why = "connection refused: nothing listens there"
        mend = f"is `shoal dev` running? The endpoint {endpoint} comes from {source}"
    elif isinstance(err, TimeoutError):
        why = "no answer in time"
    elif isinstance(err, aiohttp.ServerDisconnectedError):
        why = "the connection was closed before an answer"
    else:
        why = str(err) or type(err).__name__
    return Unreachable(why, where=f"{request} at {endpoint}", mend=mend)


def _closed(settings: Settings, request: str, err: BaseException) -> Unreachable:
    path, source = settings.admin_socket, settings.sources.get("admin_socket", "the settings")
    reason = getattr(err, "os_error", err)
    why, mend = str(reason) or type(reason).__name__, "is the controller running?"
    if isinstance(reason, PermissionError):
        why, mend = "permission denied", "be the controller's own user, or root"
    elif isinstance(reason, FileNotFoundError | ConnectionRefusedError):
        why = "nobody listens there"
    where = f"{request} at {path}"
    return Unreachable(why, where=where, mend=f"{mend} The socket {path} comes from {source}")


def _explained(content: bytes) -> tuple[str, list[str]]:
    """Return code and reasons of an error body; both empty where it is not one of the API's."""
    try:
        found = json.loads(content)
        if isinstance(found.get("error"), dict):
            found = _as_of_batch(found["error"])
        code = str(found["code"])
        lines = str(found["message"]["value"]).splitlines()
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", []
    # The last two lines are the request's id and time; the id alone helps who runs the service.
    text = [line for line in lines if not line.startswith(("RequestId:", "Time:"))]
    why = [f"{code}: {' '.join(text)}"]
    pairs = [pair for pair in found.get("values") or [] if isinstance(pair, dict)]
    why += [f"{pair.get('key')}: {pair.get('value')}" for pair in pairs]
    if code == "InternalError":
        why += [line for line in lines if line.startswith("RequestId:")]
    return code, why


def _as_of_batch(error: dict[str, Any]) -> dict[str, Any]:
    """Return an error of the management interface in the Batch API's form."""
    details = [detail for detail in error.get("details") or [] if isinstance(detail, dict)]
    return {
        "code": error["code"],
        "message": {"value": error["message"]},
        "values": [{"key": d.get("code"), "value": d.get("message")} for d in details],
    }


def _skew(date: str | None) -> timedelta | None:
    """Return this machine's clock minus the service's, from a Date header."""
    try:
        return datetime.now(UTC) - parsedate_to_datetime(date or "")
    except (ValueError, TypeError):
        return None
