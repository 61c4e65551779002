"""Fixtures: a gateway per test file, and the unmodified SDK's clients for it."""

from collections.abc import Iterator

import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from tests.conformance.blobgateway.server import RunningGateway


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path_factory.mktemp("blobs")) as running:
        yield running


@pytest.fixture
def service(gateway: RunningGateway) -> Iterator[BlobServiceClient]:
    with BlobServiceClient.from_connection_string(
        gateway.connection_string, retry_total=0
    ) as client:
        yield client


@pytest.fixture
def container(
    service: BlobServiceClient, request: pytest.FixtureRequest
) -> Iterator[ContainerClient]:
    """A fresh container, named after nothing in particular."""
    number = len(list(service.list_containers()))
    client = service.create_container(f"room-{number}-{abs(hash(request.node.name)) % 10**6}")
    yield client
    if client.exists():
        client.delete_container()
