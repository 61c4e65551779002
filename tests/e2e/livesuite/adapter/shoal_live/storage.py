"""A container for the one in Azure that the suite names: whoever runs it has to own one."""

from __future__ import annotations

import functools
import os
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from azure.batch import models
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

NAMED: Final = "https://computecontainer.blob.core.windows.net/"
"""Where the tests want logs of nodes to go."""
_CONTAINER: Final = "logs"
_REQUESTS: Final = tuple(
    f"UploadBatchServiceLogs{end}" for end in ("Options", "Content", "Configuration")
)
"""What the generations of the client call the request."""


def lend() -> None:
    """Let requests that name that container name one of the service's own storage."""
    for name in _REQUESTS:
        kind = getattr(models, name, None)
        if kind is not None:
            kind.__init__ = _exchanging(kind.__init__)


def _exchanging(init: Any) -> Any:
    @functools.wraps(init)
    def run(self: Any, *given: Any, container_url: str = "", **others: Any) -> None:
        url = _container_url() if container_url == NAMED else container_url
        init(self, *given, container_url=url, **others)

    return run


@functools.cache
def _container_url() -> str:
    """Make a container; return its address with a signature that permits writing."""
    connection = os.environ["AZURE_STORAGE_CONNECTION_STRING"]
    with BlobServiceClient.from_connection_string(connection) as storage:
        container = storage.get_container_client(_CONTAINER)
        if not container.exists():
            container.create_container()
        signature = generate_container_sas(
            container.account_name,
            _CONTAINER,
            account_key=storage.credential.account_key,
            permission=ContainerSasPermissions(write=True),
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )
        return f"{container.url}?{signature}"
