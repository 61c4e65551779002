"""JSON of the management interface to values, and records to JSON."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from shoal_controller.api.call import Call, encode, stamped
from shoal_controller.api.paging import next_link
from shoal_controller.api.wire.common import read_display_name
from shoal_controller.api.wire.table import Document, Property, Structure, unknown_property
from shoal_controller.api.wire.values import boolean, one_of, text, timestamp
from shoal_controller.core.account import Account, KeyName
from shoal_controller.core.application import FORMAT, Application, PackageState, Tags
from shoal_controller.core.errors import invalid_property
from shoal_controller.core.ids import etag
from shoal_controller.operations.packages import PackageView

JSON_TYPE: Final = "application/json; charset=utf-8"
DEFAULT_GROUP: Final = "shoal"
"""The resource group of accounts that are listed without one: groups are labels, any will do."""
LOCATION: Final = "local"
TAGS_SINCE: Final = "2024-07-01"
_TAGS_MAX: Final = 50
_TAG_NAME_CHARACTERS_MAX: Final = 512
_TAG_VALUE_CHARACTERS_MAX: Final = 256
_TYPE: Final = "Microsoft.Batch/batchAccounts"
_STATES: Final = {PackageState.PENDING: "Pending", PackageState.ACTIVE: "Active"}
_ACCOUNT_SINCE: Final = {
    "identity": "2020-05-01",
    "encryption": "2020-03-01",
    "publicNetworkAccess": "2020-03-01",
    "allowedAuthenticationModes": "2021-06-01",
    "authenticationMode": "2021-06-01",
}
"""Properties of an account that came later than the oldest api-version."""

# --- in -------------------------------------------------------------------------------------------


def _read_tags(value: Any, name: str) -> Tags:
    if type(value) is not dict or len(value) > _TAGS_MAX:
        raise invalid_property(name, value, f"It must be an object with up to {_TAGS_MAX} texts.")
    for key, held in value.items():
        if not key or len(key) > _TAG_NAME_CHARACTERS_MAX:
            raise invalid_property(
                name, key, f"A tag's name has 1 to {_TAG_NAME_CHARACTERS_MAX} characters."
            )
        if len(text(held, name)) > _TAG_VALUE_CHARACTERS_MAX:
            raise invalid_property(
                name, key, f"A tag's value has up to {_TAG_VALUE_CHARACTERS_MAX} characters."
            )
    return tuple(value.items())


_FILLED_IN: Final = frozenset({"id", "name", "type", "etag", "systemData"})
_APPLICATION_PROPERTIES: Final = Structure(
    (
        Property("displayName", "display_name", read_display_name),
        Property("allowUpdates", "allow_updates", boolean),
        Property("defaultVersion", "default_version", text),
    )
)
_APPLICATION: Final = Structure(
    (
        Property("properties", "properties", _APPLICATION_PROPERTIES.read),
        Property("tags", "tags", _read_tags),
    ),
    ignored=_FILLED_IN,
)
_PACKAGE_PROPERTIES: Final = Structure(
    (),
    ignored=frozenset({"state", "format", "storageUrl", "storageUrlExpiry", "lastActivationTime"}),
)
_PACKAGE: Final = Structure(
    (
        Property("properties", "properties", _PACKAGE_PROPERTIES.read),
        Property("tags", "tags", _read_tags),
    ),
    ignored=_FILLED_IN,
)
_ACTIVATION: Final = Structure((Property("format", "format", text, is_required=True),))


_KEY_NAME: Final = Structure((Property("keyName", "key_name", one_of(KeyName), is_required=True),))


def read_key_name(document: Document) -> KeyName:
    """Return which key is to be made anew."""
    return _KEY_NAME.read(document, "body")["key_name"]


def read_application(call: Call, document: Document) -> dict[str, Any]:
    """Return the attributes of an application that a body gives."""
    _check_tags(call, document)
    values = _APPLICATION.read(document, "body")
    return values.pop("properties", {}) | values


def read_package(call: Call, document: Document) -> Tags | None:
    """Return the tags that a body gives a package: all else about it is the service's to say."""
    _check_tags(call, document)
    return _PACKAGE.read(document, "body").get("tags")


def check_activation(document: Document) -> None:
    """Raise Refused unless a body says that the content is a zip."""
    given = _ACTIVATION.read(document, "body")["format"]
    if given.lower() != FORMAT:
        raise invalid_property("format", given, f"It must be {FORMAT}.")


def _check_tags(call: Call, document: Document) -> None:
    if document.get("tags") is not None and call.version.name < TAGS_SINCE:
        raise unknown_property("tags")


# --- out ------------------------------------------------------------------------------------------


def write_application(call: Call, application: Application) -> Document:
    properties: Document = {"allowUpdates": application.allow_updates}
    if application.display_name is not None:
        properties["displayName"] = application.display_name
    if application.default_version is not None:
        properties["defaultVersion"] = application.default_version
    place = ("applications", application.id)
    return _resource(call, place, application.modified_at, properties, application.tags)


def write_package(call: Call, view: PackageView) -> Document:
    package = view.package
    properties: Document = {
        "state": _STATES[package.state],
        "storageUrl": view.url,
        "storageUrlExpiry": timestamp(view.url_end),
    }
    if package.format is not None:
        properties["format"] = package.format
    if package.activated_at is not None:
        properties["lastActivationTime"] = timestamp(package.activated_at)
    place = ("applications", view.application.id, "versions", package.version)
    return _resource(call, place, package.modified_at, properties, package.tags)


def _resource(
    call: Call,
    place: tuple[str, ...],
    modified_at: datetime,
    properties: Document,
    tags: Tags,
) -> Document:
    document: Document = {
        "type": "/".join((_TYPE, *place[::2])),
        "id": "/".join((_account_id(call), *place)),
        "name": place[-1],
        "etag": f'W/"{etag(modified_at)}"',
        "properties": properties,
    }
    if tags and call.version.name >= TAGS_SINCE:
        document["tags"] = dict(tags)
    return document


def write_account(call: Call) -> Document:
    """Return the account: its limits, and where it is."""
    quotas = call.ctx.account.quotas
    account_id = _account_id(call)
    properties: Document = {
        "accountEndpoint": _endpoint(call.ctx.public_url or call.base),
        "provisioningState": "Succeeded",
        "dedicatedCoreQuota": quotas.dedicated_core_count,
        "dedicatedCoreQuotaPerVMFamily": [],
        "dedicatedCoreQuotaPerVMFamilyEnforced": False,
        "lowPriorityCoreQuota": quotas.low_priority_core_count,
        "poolQuota": quotas.pool_count,
        "activeJobAndJobScheduleQuota": quotas.active_job_count,
        "poolAllocationMode": "BatchService",
        "publicNetworkAccess": "Enabled",
        "encryption": {"keySource": "Microsoft.Batch"},
        "allowedAuthenticationModes": ["SharedKey", "AAD", "TaskAuthenticationToken"],
    }
    if call.ctx.blobs is not None:
        group = account_id.partition("/providers/")[0]
        name = call.ctx.account.name
        properties["autoStorage"] = {
            "storageAccountId": f"{group}/providers/Microsoft.Storage/storageAccounts/{name}",
            # It is our own: there are no copies of its keys that could be old.
            "lastKeySync": timestamp(call.ctx.clock.now()),
            "authenticationMode": "StorageKeys",
        }
    document: Document = {
        "id": account_id,
        "name": call.ctx.account.name,
        "type": _TYPE,
        "location": LOCATION,
        "properties": properties,
        "identity": {"type": "None"},
    }
    for part in (document, properties, properties.get("autoStorage", {})):
        for name, since in _ACCOUNT_SINCE.items():
            if call.version.name < since:
                part.pop(name, None)
    return document


def write_keys(account: Account) -> Document:
    primary, secondary = (base64.b64encode(key).decode() for key in account.keys)
    return {"accountName": account.name, "primary": primary, "secondary": secondary}


def entity(document: Document, modified_at: datetime | None = None) -> web.Response:
    """Answer with one resource."""
    response = web.Response(body=encode(document), headers={"Content-Type": JSON_TYPE})
    if modified_at is not None:
        stamped(response, modified_at)
        response.headers["ETag"] = f'W/"{etag(modified_at)}"'
    return response


def listing(
    call: Call, documents: Sequence[Document], next_after: str | None = None
) -> web.Response:
    """Answer with a page of a list."""
    page: Document = {"value": documents}
    link = next_link(call, next_after)
    if link is not None:
        page["nextLink"] = link
    return entity(page)


def _account_id(call: Call) -> str:
    subscription = call.arguments["subscriptionId"]
    group = call.arguments.get("resourceGroupName", DEFAULT_GROUP)
    name = call.ctx.account.name
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{_TYPE}/{name}"


def _endpoint(url: str) -> str:
    """Return the account's endpoint as the service tells it, the host alone: clients put https://
    before it. Where that would be wrong it is the whole URL.
    """
    parts = urlsplit(url)
    return parts.netloc if parts.scheme == "https" and not parts.path else url
