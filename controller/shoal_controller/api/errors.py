"""From refusals and failures to statuses and error bodies, in the form that all clients read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from shoal_controller.api.call import JSON_TYPE, encode, printable
from shoal_controller.api.wire.values import timestamp
from shoal_controller.core.errors import CODES, Refused

_UNPRINTABLE: Final = re.compile(r"[^ -~]+")
_REASON_CHARACTERS_MAX: Final = 256
_FRAGMENT: Final = "Microsoft.Azure.Batch.Protocol.Entities.Container.errors/@Element"


def error_content(refused: Refused, request_id: str, now: datetime) -> dict[str, Any]:
    """Return code, message and values: the core of every error (wire.md 3)."""
    message = f"{printable(refused.message)}\nRequestId:{request_id}\nTime:{timestamp(now)}"
    content: dict[str, Any] = {
        "code": refused.code,
        "message": {"lang": "en-US", "value": message},
    }
    if refused.details:
        content["values"] = [
            {"key": key, "value": printable(str(value))} for key, value in refused.details.items()
        ]
    return content


def error_response(
    refused: Refused, request_id: str, now: datetime, base: str, *, is_head: bool = False
) -> web.Response:
    """Return the answer to a refused request; `base` as in Call. Answers to HEAD have no body."""
    reason = _UNPRINTABLE.sub(" ", refused.message)[:_REASON_CHARACTERS_MAX]
    if is_head:
        return web.Response(status=refused.status, reason=reason)
    body = encode(
        {
            "odata.metadata": f"{base}/$metadata#{_FRAGMENT}",
            **error_content(refused, request_id, now),
        }
    )
    return web.Response(
        status=refused.status, reason=reason, body=body, headers={"Content-Type": JSON_TYPE}
    )


_BY_STATUS: Final[Mapping[int, str]] = {
    403: "AuthenticationFailed",
    404: "ResourceNotFound",
    405: "UnsupportedHttpVerb",
    413: "RequestBodyTooLarge",
}


def of_http(status: int) -> Refused:
    """Return the refusal that stands for an HTTP exception of the web framework."""
    code = _BY_STATUS.get(status, "InvalidInput" if status < 500 else "InternalError")
    return Refused(code) if CODES[code][0] != 500 else Refused("InternalError")
