"""What azure-batch's own tests import under this name, for a run against Shoal.

The package of this name that the tests were written for records against Azure and is not published.
This one always runs live: nothing is recorded or played back, so what has to do with that does
nothing. Accounts and pools are made by shoal_live.
"""

from devtools_testutils.cases import AzureMgmtRecordedTestCase, AzureRecordedTestCase
from devtools_testutils.preparers import (
    AzureMgmtPreparer,
    AzureTestError,
    CachedResourceGroupPreparer,
    EnvironmentVariableLoader,
    FakeResource,
    ResourceGroupPreparer,
    StorageAccountPreparer,
    trim_kwargs_from_test_function,
)
from devtools_testutils.recording import (
    add_general_regex_sanitizer,
    recorded_by_proxy,
    remove_batch_sanitizers,
    set_custom_default_matcher,
    test_proxy,
)

__all__ = [
    "AzureMgmtPreparer",
    "AzureMgmtRecordedTestCase",
    "AzureRecordedTestCase",
    "AzureTestError",
    "CachedResourceGroupPreparer",
    "EnvironmentVariableLoader",
    "FakeResource",
    "ResourceGroupPreparer",
    "StorageAccountPreparer",
    "add_general_regex_sanitizer",
    "recorded_by_proxy",
    "remove_batch_sanitizers",
    "set_custom_default_matcher",
    "test_proxy",
    "trim_kwargs_from_test_function",
]
