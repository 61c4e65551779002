"""What stands in for the management client of the suite's preparers.

Applications go through the real client: Shoal speaks that part of the interface. Accounts are made
by command. Pools are made through the Batch API, from what the preparers say in the words of the
management interface.
"""

from __future__ import annotations

import io
import os
import zipfile
from types import SimpleNamespace
from typing import Any, Final

import requests
from azure.core.credentials import AzureKeyCredential
from azure.core.pipeline.policies import AzureKeyCredentialPolicy

from shoal_live import accounts, batch

ENDPOINT: Final = os.environ["AZURE_BATCH_ENDPOINT"]
LINUX: Final = {
    "imageReference": {
        "publisher": "canonical",
        "offer": "0001-com-ubuntu-server-jammy",
        "sku": "22_04-lts",
    },
    "nodeAgentSKUId": "batch.node.ubuntu 22.04",
}
"""The machines that there are, whatever image the preparers of the suite would like."""


class Done:
    """An operation that was over when it was asked for."""

    def __init__(self, value: Any = None) -> None:
        self._value = value

    def result(self) -> Any:
        """Return what came of it."""
        return self._value

    def wait(self) -> None:
        """Return at once."""


class Management:
    """The groups of the management client that the preparers call."""

    def __init__(self, kind: type) -> None:
        self.batch_account = Accounts()
        self.pool = Pools()
        self.application = Applications(kind)
        self.application_package = Packages(kind)


class Accounts:
    """batch_account."""

    def begin_create(self, group: str, name: str, wanted: Any) -> Done:
        """Make an account; the place and the storage that are wanted are those there are."""
        del group, wanted
        return Done(_account(accounts.create(name)))

    def get(self, group: str, name: str) -> Any:
        """Return an account that was there before."""
        del group
        return _account(accounts.find(name))

    def get_keys(self, group: str, name: str) -> Any:
        """Return its keys."""
        del group
        return SimpleNamespace(account_name=name, primary=accounts.find(name).key)

    def begin_delete(self, group: str, name: str) -> Done:
        """Remove it with all that is in it."""
        del group
        accounts.delete(name)
        return Done()


def _account(account: accounts.Account) -> Any:
    # The preparers put "https://" before it.
    return SimpleNamespace(
        name=account.name, account_endpoint=ENDPOINT.removeprefix("https://").rstrip("/")
    )


class Pools:
    """pool."""

    def create(self, group: str, account: str, name: str, wanted: Any) -> Any:
        """Make a pool and wait until its nodes are allocated."""
        body = {
            "id": name,
            "displayName": wanted.display_name,
            "vmSize": wanted.vm_size,
            "virtualMachineConfiguration": LINUX,
            "targetDedicatedNodes": wanted.scale_settings.fixed_scale.target_dedicated_nodes,
            "userAccounts": [
                {
                    "name": user.name,
                    "password": user.password,
                    "elevationLevel": user.elevation_level,
                }
                for user in wanted.user_accounts
            ],
        }
        if wanted.network_configuration is not None:
            body["networkConfiguration"] = _network(wanted.network_configuration)
        batch.call(accounts.find(account), "POST", "/pools", body)
        return self.get(group, account, name)

    def get(self, group: str, account: str, name: str) -> Any:
        """Return a pool in the words of the management interface."""
        del group
        pool = batch.call(accounts.find(account), "GET", f"/pools/{name}")
        return SimpleNamespace(
            name=name,
            id=name,
            allocation_state=pool["allocationState"].capitalize(),
            current_dedicated_nodes=pool["currentDedicatedNodes"],
        )

    def begin_delete(self, group: str, account: str, name: str) -> Done:
        """Ask for a pool's end; it may have gone by itself."""
        del group
        batch.call(accounts.find(account), "DELETE", f"/pools/{name}", missing_ok=True)
        return Done()


def _network(wanted: Any) -> Any:
    return {
        "endpointConfiguration": {
            "inboundNATPools": [
                {
                    "name": one.name,
                    "protocol": str(getattr(one.protocol, "value", one.protocol)).lower(),
                    "backendPort": one.backend_port,
                    "frontendPortRangeStart": one.frontend_port_range_start,
                    "frontendPortRangeEnd": one.frontend_port_range_end,
                }
                for one in wanted.endpoint_configuration.inbound_nat_pools
            ]
        }
    }


class _Group:
    """A group of the real client, with the key of the account that is spoken of."""

    def __init__(self, kind: type) -> None:
        self._kind = kind

    def _client(self, account: str) -> Any:
        key = AzureKeyCredential(accounts.find(account).key)
        policy = AzureKeyCredentialPolicy(key, "Authorization", prefix="Bearer")
        return self._kind(key, "any", base_url=ENDPOINT, authentication_policy=policy)


class Applications(_Group):
    """application."""

    def create(self, group: str, account: str, name: str) -> Any:
        """Make an application."""
        with self._client(account) as client:
            return client.application.create(group, account, name)


class Packages(_Group):
    """application_package."""

    def create(self, group: str, account: str, application: str, version: str) -> Any:
        """Make a package; return where it is to be uploaded."""
        with self._client(account) as client:
            return client.application_package.create(group, account, application, version)

    def activate(self, group: str, account: str, application: str, version: str, how: Any) -> Any:
        """Activate a package.

        What the preparers upload is a text, which Shoal does not take for a zip (decision 0016); a
        zip goes in its place.
        """
        with self._client(account) as client:
            package = client.application_package.get(group, account, application, version)
            headers = {"x-ms-blob-type": "BlockBlob"}
            requests.put(package.storage_url, headers=headers, data=_a_zip()).raise_for_status()
            return client.application_package.activate(group, account, application, version, how)


def _a_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("hello.txt", "Hello World")
    return buffer.getvalue()
