"""What a user of azure-mgmt-batch does with applications, synchronously and not.

Run by test_management.py with the client's own environment, inside `shoal dev`.
"""

from __future__ import annotations

import asyncio
import io
import os
import time
import zipfile
from typing import Any

import requests
from azure.core.credentials import AccessToken, AzureKeyCredential
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.core.pipeline.policies import AzureKeyCredentialPolicy
from azure.mgmt.batch import BatchManagementClient, models
from azure.mgmt.batch.aio import BatchManagementClient as AsyncBatchManagementClient

URL = os.environ["AZURE_BATCH_ENDPOINT"]
ACCOUNT = os.environ["AZURE_BATCH_ACCOUNT"]
KEY = os.environ["AZURE_BATCH_ACCESS_KEY"]
PLACE = ("My-Group", ACCOUNT)


class StaticToken:
    """A TokenCredential whose token never changes."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken(self._token, int(time.time()) + 3600)


def by_policy(kind: Any) -> Any:
    """Return a client that sends the key over http too."""
    key = AzureKeyCredential(KEY)
    policy = AzureKeyCredentialPolicy(key, "Authorization", prefix="Bearer")
    return kind(key, "any-subscription", base_url=URL, authentication_policy=policy)


def a_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr(zipfile.ZipInfo("run.sh"), "true")  # the same at any time
    return buffer.getvalue()


def upload(package: models.ApplicationPackage, content: bytes) -> None:
    headers = {"x-ms-blob-type": "BlockBlob"}
    requests.put(package.storage_url, headers=headers, data=content).raise_for_status()


def accounts(client: BatchManagementClient) -> None:
    account = client.batch_account.get(*PLACE)
    assert account.name == ACCOUNT
    assert account.pool_allocation_mode == models.PoolAllocationMode.BATCH_SERVICE
    assert account.account_endpoint == URL
    assert account.pool_quota == 100
    assert account.auto_storage.last_key_sync is not None
    assert [found.name for found in client.batch_account.list()] == [ACCOUNT]
    (listed,) = client.batch_account.list_by_resource_group("My-Group")
    assert listed.id == account.id
    keys = client.batch_account.get_keys(*PLACE)
    assert keys.primary == KEY
    assert client.batch_account.synchronize_auto_storage_keys(*PLACE) is None


def applications(client: BatchManagementClient) -> None:
    wanted = models.Application(display_name="A program", allow_updates=True)
    made = client.application.create(*PLACE, "prog", parameters=wanted)
    assert (made.name, made.display_name, made.allow_updates) == ("prog", "A program", True)
    package = client.application_package.create(*PLACE, "prog", "v1.0")
    assert package.state == models.PackageState.PENDING
    assert package.storage_url_expiry is not None
    upload(package, b"Hello World")
    activate = client.application_package.activate
    error = refused(HttpResponseError, activate, *PLACE, "prog", "v1.0", {"format": "zip"}).error
    assert error.code == "InvalidPropertyValue", error
    assert "zip" in {detail.code: detail.message for detail in error.details}["Reason"]
    upload(package, a_zip())
    active = client.application_package.activate(*PLACE, "prog", "v1.0", {"format": "zip"})
    assert (active.state, active.format) == (models.PackageState.ACTIVE, "zip")
    changes = models.Application(
        display_name="Another name", allow_updates=False, default_version="v1.0"
    )
    updated = client.application.update(*PLACE, "prog", changes)
    assert (updated.default_version, updated.allow_updates) == ("v1.0", False)
    for version in ("2", "3"):
        client.application_package.create(*PLACE, "prog", version)
    listed = client.application_package.list(*PLACE, "prog", maxresults=1)
    assert [found.name for found in listed] == ["v1.0", "2", "3"]
    assert [found.name for found in client.application.list(*PLACE)] == ["prog"]
    shown = client.application_package.get(*PLACE, "prog", "v1.0")
    assert requests.get(shown.storage_url).content == a_zip()
    refused(ResourceExistsError, client.application_package.create, *PLACE, "prog", "v1.0")
    refused(ResourceExistsError, client.application.delete, *PLACE, "prog")
    for version in ("v1.0", "2", "3", "3"):
        assert client.application_package.delete(*PLACE, "prog", version) is None
    assert requests.get(shown.storage_url).status_code == 404
    assert client.application.get(*PLACE, "prog").default_version is None
    assert client.application.delete(*PLACE, "prog") is None
    refused(ResourceNotFoundError, client.application.get, *PLACE, "prog")


def refused(kind: type[Exception], call: Any, *arguments: Any, **options: Any) -> Any:
    """Demand that a call raises this, and return it."""
    try:
        call(*arguments, **options)
    except kind as error:
        return error
    raise AssertionError(f"{call} was not refused")


def tokens() -> None:
    """The way of a TokenCredential, which over http has to be allowed call by call."""
    good = BatchManagementClient(StaticToken(KEY), "s", base_url=URL)
    assert good.batch_account.get(*PLACE, enforce_https=False).name == ACCOUNT
    wrong = BatchManagementClient(StaticToken("d3Jvbmc="), "s", base_url=URL)
    get = wrong.batch_account.get
    refused(ClientAuthenticationError, get, *PLACE, enforce_https=False)


async def asynchronously() -> None:
    async with by_policy(AsyncBatchManagementClient) as client:
        await client.application.create(*PLACE, "later")
        package = await client.application_package.create(*PLACE, "later", "1")
        upload(package, a_zip())
        await client.application_package.activate(*PLACE, "later", "1", {"format": "zip"})
        names = [found.name async for found in client.application.list(*PLACE)]
        assert names == ["later"]
        await client.application_package.delete(*PLACE, "later", "1")
        await client.application.delete(*PLACE, "later")


def main() -> None:
    with by_policy(BatchManagementClient) as client:
        accounts(client)
        applications(client)
    tokens()
    asyncio.run(asynchronously())
    print("all of it")


if __name__ == "__main__":
    main()
