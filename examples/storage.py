"""Files in and out of Blob Storage, and signed URLs that let nodes do the same without a key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure.storage.blob import (
    BlobSasPermissions,
    BlobServiceClient,
    ContainerClient,
    ContainerSasPermissions,
    generate_blob_sas,
    generate_container_sas,
)

URL_LIFETIME = timedelta(hours=2)


def upload(container: ContainerClient, file: Path, name: str) -> str:
    """Upload `file` as blob `name`; return a URL from which anyone may read it for two hours."""
    with file.open("rb") as data:
        blob = container.upload_blob(name, data, overwrite=True)
    signature = generate_blob_sas(
        account_name=str(container.account_name),
        container_name=container.container_name,
        blob_name=name,
        account_key=container.credential.account_key,
        permission=BlobSasPermissions(read=True),
        expiry=datetime.now(UTC) + URL_LIFETIME,
    )
    return f"{blob.url}?{signature}"


def writable_url(container: ContainerClient) -> str:
    """Return a URL with which anyone may add blobs to `container` for two hours."""
    signature = generate_container_sas(
        account_name=str(container.account_name),
        container_name=container.container_name,
        account_key=container.credential.account_key,
        permission=ContainerSasPermissions(read=True, write=True, create=True, list=True),
        expiry=datetime.now(UTC) + URL_LIFETIME,
    )
    return f"{container.url}?{signature}"


def make_container(storage: BlobServiceClient, name: str) -> ContainerClient:
    """Create a container and return the client that speaks to it."""
    return storage.create_container(name)


def download_all(container: ContainerClient) -> dict[str, bytes]:
    """Return the content of every blob of `container` by name."""
    return {
        blob.name: container.download_blob(blob.name).readall() for blob in container.list_blobs()
    }
