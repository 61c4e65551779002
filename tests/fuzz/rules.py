"""What every answer has to be, whatever was asked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from shoal_controller.api.management import door as management
from shoal_controller.api.wire.models import STRUCTURES
from shoal_controller.core.errors import CODES
from tests.fuzz.requests import LINKS, Request
from tests.fuzz.wire import Reply

_NAMED: Final[Mapping[str, str]] = {
    "InvalidPropertyValue": "PropertyName",
    "MissingRequiredProperty": "PropertyName",
    "UnsupportedProperty": "PropertyName",
    "OutOfRangePriority": "PropertyName",
    "InvalidConstraintValue": "PropertyName",
    "EmptyMetadataKey": "PropertyName",
    "NodeAgentSKUNotFound": "PropertyName",
    "MissingRequiredQueryParameter": "QueryParameterName",
    "UnsupportedQueryParameter": "QueryParameterName",
    "InvalidQueryParameterValue": "QueryParameterName",
    "OutOfRangeQueryParameterValue": "QueryParameterName",
    "UnsupportedRequestVersion": "QueryParameterName",
    "MissingRequiredHeader": "HeaderName",
    "UnsupportedHeader": "HeaderName",
    "MultipleConditionHeadersNotSupported": "HeaderName",
}
"""By code, the value that says what is wrong. InvalidHeaderValue says it where it knows it."""
_REASONED: Final = frozenset(
    {
        *(
            "InvalidPropertyValue",
            "UnsupportedProperty",
            "OutOfRangePriority",
            "InvalidConstraintValue",
        ),
        *(
            "EmptyMetadataKey",
            "UnsupportedQueryParameter",
            "InvalidQueryParameterValue",
            "InvalidRequestBody",
        ),
        *(
            "InvalidHeaderValue",
            "UnsupportedRequestVersion",
            "UnsupportedHeader",
            "NodeAgentSKUNotFound",
        ),
        *("NotImplemented", "InvalidUri", "InvalidInput", "OutOfRangeQueryParameterValue"),
        "MultipleConditionHeadersNotSupported",
    }
)
"""Codes that come with a reason, which says how to mend it."""
_INNARDS: Final = re.compile(
    r"Traceback|object at 0x|<class |NoneType|\b[A-Z][a-z]+Error\b"
    r"|sqlite|msgspec|\.py\b|codec can't|asyncio|Errno"
)
"""What says more of the controller's inside than of the request's fault."""
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


_CHARACTERS_MAX: Final = 3000
"""Of a value; but what was signed is told as a whole, as long as the head of a request may be."""


class Wrong(AssertionError):
    """An answer that the service must not give."""


def code_of(request: Request, reply: Reply) -> str:
    """Return the code of an answer, once it is what it has to be; raise Wrong where it is not."""
    _check_status(reply)
    if reply.status < 400:
        _check_success(request, reply)
        return ""
    if request.method == "HEAD":
        return ""
    document = _json(reply)
    if set(document) == {"code", "message"} and request.route in LINKS:
        code, values = document["code"], {"Reason": document["message"]}
    elif "error" in document:
        code, values = _management(document)
    else:
        code, values = _batch(document)
    if code not in CODES and code not in ("AuthorizationFailed",):
        raise Wrong(f"no documented code: {code}")
    _check_name(request, values.get("PropertyName", ""))
    expected = CODES[code][0] if code in CODES else 403
    if reply.status != expected and (code, reply.status) not in _OTHERWISE:
        raise Wrong(f"{code} has the status {expected}, not {reply.status}")
    check_values(code, values)
    return code


_ALLOWED: Final = ("NotImplemented", "TooManyEnableAutoScaleRequests")
"""Codes beyond 500 that the service documents: what is not built, and autoscale within 30 s."""
_OTHERWISE: Final = {("AuthenticationFailed", 401)}


def check_values(code: str, values: Mapping[str, str]) -> None:
    """Raise Wrong unless the values of an error say what is wrong, and how to mend it."""
    named = _NAMED.get(code)
    if named is not None and not values.get(named, "").strip() and not _is_nameless(code, values):
        raise Wrong(f"{code} does not say {named}: {values}")
    if code in _REASONED:
        reason = values.get("Reason", "")
        if len(reason) < 10 or not reason.rstrip().endswith((".", "?", ")", ",")):
            raise Wrong(f"{code} has no reason that is a sentence: {values}")
        if _INNARDS.search(reason):
            raise Wrong(f"{code} tells innards: {reason}")
    for key, value in values.items():
        if len(value) > _CHARACTERS_MAX and key != "AuthenticationErrorDetail":
            raise Wrong(f"{code}: {key} is {len(value)} characters long")


def _check_name(request: Request, name: str) -> None:
    """Raise Wrong for the name of a property that nobody knows: neither the caller nor the API."""
    shown = name.split(" ")[0].split("/")[0]
    sent = request.route.path + request.body.decode("utf-8", "replace")
    is_sent = shown in sent or not shown.isprintable()
    is_hidden = any(header == "Content-Encoding" for header, _ in request.headers)
    if not (shown in _MEMBERS or is_sent or is_hidden or "filter" in request.query):
        raise Wrong(f"there is no property {name!r}")


_MEMBERS: Final = frozenset[str]().union(
    *STRUCTURES.values(),
    {"value", "job", "pool", "task", "body", "keyName", "service", "tags", "format"},
)


def _is_nameless(code: str, values: Mapping[str, str]) -> bool:
    """Whether what is wrong is a property or parameter whose very name is empty."""
    return _NAMED[code] in values and code in ("UnsupportedProperty", "UnsupportedQueryParameter")


def _check_status(reply: Reply) -> None:
    if reply.status < 500:
        return
    if any(reply.status == CODES[code][0] and code.encode() in reply.body for code in _ALLOWED):
        return
    raise Wrong(f"status {reply.status}: {reply.body[:2000]!r}")


def _check_success(request: Request, reply: Reply) -> None:
    if _UNPRINTABLE.search("".join(reply.headers.values())):
        raise Wrong(f"a header has control characters: {reply.headers}")
    if "json" in reply.headers.get("content-type", "") and reply.body:
        document = _json(reply)
        for item in document.get("value", ()) if request.route.name == _COLLECTION else ():
            if "error" in item:
                _batch(item["error"], is_inner=True)


_COLLECTION: Final = "create_task_collection"


def _batch(document: dict[str, Any], *, is_inner: bool = False) -> tuple[str, dict[str, str]]:
    expected = {"code", "message"} if is_inner else {"odata.metadata", "code", "message"}
    if set(document) - {"values"} != expected:
        raise Wrong(f"not the form of an error: {document}")
    if "\nRequestId:" not in document["message"]["value"]:
        raise Wrong(f"a message without the request's id: {document}")
    values = {item["key"]: item["value"] for item in document.get("values", ())}
    if not all(type(value) is str for value in values.values()):
        raise Wrong(f"a value is no text: {values}")
    if is_inner:
        if document["code"] not in CODES:
            raise Wrong(f"no documented code: {document['code']}")
        check_values(document["code"], values)
    return document["code"], values


def _management(document: dict[str, Any]) -> tuple[str, dict[str, str]]:
    error = document["error"]
    if set(document) != {"error"} or error.keys() - {"code", "message", "target", "details"}:
        raise Wrong(f"not the form of an error: {document}")
    return error["code"], {item["code"]: item["message"] for item in error.get("details", ())}


def _json(reply: Reply) -> dict[str, Any]:
    try:
        document = json.loads(reply.body.decode("utf-8"), parse_constant=_refuse_constant)
    except ValueError as error:
        raise Wrong(f"no JSON ({error}): {reply.body[:500]!r}") from None
    if type(document) is not dict:
        raise Wrong(f"no object: {reply.body[:500]!r}")
    return document


def _refuse_constant(name: str) -> None:
    raise Wrong(f"{name} is no JSON")


assert management._CODES.keys() <= CODES.keys()
