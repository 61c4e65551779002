"""The classes that the tests derive theirs from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from azure.core.credentials import AzureNamedKeyCredential

from devtools_testutils.preparers import random_name
from shoal_live import accounts


class AzureRecordedTestCase:
    """A test against the service."""

    is_live = True
    settings: Mapping[str, str] = os.environ

    def get_resource_name(self, prefix: str) -> str:
        """Return a name that is not taken."""
        return random_name(prefix, len(prefix) + 8)

    def get_credential(self, *_: Any, **__: Any) -> AzureNamedKeyCredential:
        """Return the key of the account that the test was given.

        The tests ask a directory for a token here, which may do anything in any account.
        """
        account = accounts.current()
        return AzureNamedKeyCredential(account.name, account.key)


class AzureMgmtRecordedTestCase(AzureRecordedTestCase):
    """A test whose preparers manage resources."""
