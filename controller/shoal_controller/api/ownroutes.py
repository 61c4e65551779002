"""Operations that the Batch service does not have, below /shoal/v1: rows as in routes.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shoal_controller.api import accounts
from shoal_controller.api.routing import Route
from shoal_controller.core.access import Role

_ACCOUNT: Final = "/shoal/v1/account"

OWN_ROUTES: Final[Sequence[Route]] = (
    Route("show_account", "GET", _ACCOUNT, accounts.show_account),
    Route(
        "list_account_keys", "POST", f"{_ACCOUNT}/listkeys", accounts.list_keys, needs=Role.OWNER
    ),
    Route(
        "regenerate_account_key",
        "POST",
        f"{_ACCOUNT}/regeneratekey",
        accounts.regenerate_key,
        needs=Role.OWNER,
    ),
)
