"""The table of the management operations, and the api-versions that have them.

A row without a handler is known and refused with 501 NotImplemented, after authentication. Source:
the released clients of azure-mgmt-batch (7.0.0 to 19.0.0), and recordings of their tests.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

from shoal_controller.api.management import accounts, applications, packages
from shoal_controller.api.options import LIST
from shoal_controller.api.routing import NOT_UTF_8, Route
from shoal_controller.core.access import Role
from shoal_controller.core.errors import Refused, invalid_path

VERSIONS: Final = (
    *("2025-06-01", "2024-07-01", "2024-02-01", "2023-11-01", "2023-05-01", "2022-10-01"),
    *("2022-06-01", "2022-01-01", "2021-06-01", "2021-01-01", "2020-09-01", "2020-05-01"),
    *("2020-03-01", "2019-08-01"),
)
"""From the newest on; earlier ones had another shape."""

_SUBSCRIPTION: Final = "/subscriptions/{subscriptionId}"
_GROUP: Final = f"{_SUBSCRIPTION}/resourceGroups/{{resourceGroupName}}"
_BATCH: Final = "/providers/Microsoft.Batch"
_ACCOUNT: Final = f"{_GROUP}{_BATCH}/batchAccounts/{{accountName}}"
_APPLICATION: Final = f"{_ACCOUNT}/applications/{{applicationName}}"
_PACKAGE: Final = f"{_APPLICATION}/versions/{{versionName}}"

ROUTES: Final[Sequence[Route]] = (
    Route("list_accounts", "GET", f"{_SUBSCRIPTION}{_BATCH}/batchAccounts", accounts.list_accounts),
    Route(
        "list_accounts_of_group", "GET", f"{_GROUP}{_BATCH}/batchAccounts", accounts.list_accounts
    ),
    Route("get_account", "GET", _ACCOUNT, accounts.get_account),
    Route("create_account", "PUT", _ACCOUNT, needs=Role.OWNER),
    Route("update_account", "PATCH", _ACCOUNT, needs=Role.OWNER),
    Route("delete_account", "DELETE", _ACCOUNT, needs=Role.OWNER),
    Route("list_keys", "POST", f"{_ACCOUNT}/listKeys", accounts.list_keys, needs=Role.OWNER),
    Route(
        "regenerate_key",
        "POST",
        f"{_ACCOUNT}/regenerateKeys",
        accounts.regenerate_key,
        needs=Role.OWNER,
    ),
    Route(
        "sync_auto_storage_keys",
        "POST",
        f"{_ACCOUNT}/syncAutoStorageKeys",
        accounts.sync_auto_storage_keys,
    ),
    Route("list_applications", "GET", f"{_ACCOUNT}/applications", applications.list_applications),
    Route("put_application", "PUT", _APPLICATION, applications.put_application, conditional=4),
    Route(
        "update_application", "PATCH", _APPLICATION, applications.update_application, conditional=4
    ),
    Route("get_application", "GET", _APPLICATION, applications.get_application, conditional=4),
    Route(
        "delete_application",
        "DELETE",
        _APPLICATION,
        applications.delete_application,
        conditional=4,
    ),
    Route("list_packages", "GET", f"{_APPLICATION}/versions", packages.list_packages),
    Route("put_package", "PUT", _PACKAGE, packages.put_package, conditional=4),
    Route("get_package", "GET", _PACKAGE, packages.get_package, conditional=4),
    Route("delete_package", "DELETE", _PACKAGE, packages.delete_package, conditional=4),
    Route("activate_package", "POST", f"{_PACKAGE}/activate", packages.activate_package),
)
"""What the client's groups batch_account, application and application_package ask for."""


OPTIONS: Final = {"list_applications": LIST, "list_packages": LIST}
"""Query parameters by name of the operation; those that are absent take none."""


def _pattern(path: str) -> re.Pattern[str]:
    """Return what a row's path matches: names of kinds in any case, as resource ids have them."""
    fixed = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path.replace(".", r"\."))
    return re.compile(fixed + r"/?", re.IGNORECASE)


_PATTERNS: Final = tuple((_pattern(route.path), route) for route in ROUTES)


def find_route(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """Return the row of a request and its arguments, percent-decoded.

    path    as in the request line, percent-encoded
    raises  Refused: ResourceNotFound, UnsupportedHttpVerb where the path exists for other methods,
            InvalidUri where it can not be decoded
    """
    is_known = False
    for pattern, route in _PATTERNS:
        found = pattern.fullmatch(path)
        if found is None:
            continue
        if route.method == method:
            return route, {name: _decoded(value) for name, value in found.groupdict().items()}
        is_known = True
    if is_known:
        raise Refused("UnsupportedHttpVerb")
    raise Refused(
        "ResourceNotFound",
        Reason="It is no resource of Microsoft.Batch that Shoal has: batchAccounts, and in these "
        "applications with their versions.",
    )


def _decoded(segment: str) -> str:
    try:
        # Bytes that were sent as they are arrive as lone surrogates.
        return unquote_to_bytes(segment.encode("utf-8", "surrogateescape")).decode()
    except UnicodeDecodeError:
        raise invalid_path(NOT_UTF_8) from None
