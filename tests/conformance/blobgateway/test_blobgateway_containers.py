"""Containers and lists through the unmodified azure-storage-blob."""

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobPrefix, BlobServiceClient, ContainerClient
from azure.storage.blob.aio import BlobServiceClient as AioBlobServiceClient

from tests.conformance.blobgateway.server import RunningGateway, code_of


def test_a_container_is_made_found_changed_and_deleted(service: BlobServiceClient) -> None:
    container = service.create_container("life", metadata={"A": "1"})
    assert container.exists()
    found = container.get_container_properties()
    assert found.metadata == {"A": "1"}
    container.set_container_metadata({"b": "2"})
    changed = container.get_container_properties()
    assert changed.metadata == {"b": "2"}
    assert changed.etag != found.etag
    with pytest.raises(ResourceExistsError) as caught:
        service.create_container("life")
    assert code_of(caught) == "ContainerAlreadyExists"
    container.upload_blob("x", b"x")
    container.delete_container()
    assert not container.exists()
    with pytest.raises(ResourceNotFoundError) as missing:
        container.delete_container()
    assert code_of(missing) == "ContainerNotFound"


def test_a_container_made_again_at_once_is_empty(service: BlobServiceClient) -> None:
    container = service.create_container("again")
    container.upload_blob("old", b"old" * 10_000)
    container.delete_container()
    container.create_container()
    assert list(container.list_blobs()) == []
    assert not container.get_blob_client("old").exists()


@pytest.mark.parametrize("name", ["UPPER", "a--b", "-ab", "ab-", "a_b", "$root", "a.b"])
def test_an_illegal_container_name_is_refused(gateway: RunningGateway, name: str) -> None:
    reply = gateway.ask("PUT", f"/dev/{name}?restype=container")
    assert (reply.status, reply.code) == (400, "InvalidResourceName")


def test_containers_are_listed_in_order_by_page(service: BlobServiceClient) -> None:
    names = [f"page-{number:02}" for number in range(7)]
    for name in reversed(names):
        service.create_container(name, metadata={"n": name[-1]})
    pages = service.list_containers("page-", include_metadata=True, results_per_page=3).by_page()
    got = [[item for item in page] for page in pages]
    assert [len(page) for page in got] == [3, 3, 1]
    assert [item.name for page in got for item in page] == names
    assert got[0][1].metadata == {"n": "1"}


def test_public_access_and_stored_policies_are_refused(container: ContainerClient) -> None:
    assert container.get_container_access_policy() == {
        "public_access": None,
        "signed_identifiers": [],
    }
    container.set_container_access_policy({})
    with pytest.raises(HttpResponseError) as caught:
        container.set_container_access_policy({}, public_access="blob")
    assert code_of(caught) == "PublicAccessNotPermitted"
    with pytest.raises(HttpResponseError, match="Stored access policies"):
        container.set_container_access_policy({"policy": None})  # type: ignore[dict-item]


def test_a_flat_list_has_every_blob_once_whatever_the_page_size(
    container: ContainerClient,
) -> None:
    names = sorted(["a", "a/b", "a/b/c", "ab", "b/", "b//", "b/x", "ü", "z"], key=str.encode)
    for name in names:
        container.upload_blob(name, name, metadata={"len": str(len(name))})
    for size in (1, 2, 4, 9, 10):
        pages = container.list_blobs(results_per_page=size, include=["metadata"]).by_page()
        blobs = [blob for page in pages for blob in page]
        assert [blob.name for blob in blobs] == names
        assert [blob.metadata["len"] for blob in blobs] == [str(len(name)) for name in names]
    assert [blob.name for blob in container.list_blobs("a/")] == ["a/b", "a/b/c"]
    assert [blob.size for blob in container.list_blobs("ü")] == [2]


def test_a_hierarchical_list_folds_folders(container: ContainerClient) -> None:
    for name in ["a", "a/1", "a/2", "a/s/3", "b/1", "c"]:
        container.upload_blob(name, b"x")
    for size in (1, 2, 5000):
        walk = list(container.walk_blobs(results_per_page=size))
        folders = [item.name for item in walk if isinstance(item, BlobPrefix)]
        assert (folders, sorted(item.name for item in walk)) == (
            ["a/", "b/"],
            ["a", "a/", "b/", "c"],
        )
    inner = sorted(item.name for item in container.walk_blobs("a/"))
    assert inner == ["a/1", "a/2", "a/s/"]


def test_a_name_that_xml_cannot_carry_is_listed_encoded(container: ContainerClient) -> None:
    container.upload_blob("odd\ufffe\uffff", b"x")
    assert [blob.name for blob in container.list_blobs()] == ["odd\ufffe\uffff"]


def test_the_account_tells_about_itself(service: BlobServiceClient) -> None:
    assert service.get_account_information()["account_kind"] == "StorageV2"
    assert service.get_service_properties()["cors"] == []


async def test_the_asynchronous_client_does_the_same(gateway: RunningGateway) -> None:
    async with AioBlobServiceClient.from_connection_string(
        gateway.connection_string, retry_total=0
    ) as service:
        container = await service.create_container("aio")
        blob = await container.upload_blob("x/y", b"data" * 100_000)
        assert await (await blob.download_blob()).readall() == b"data" * 100_000
        found = [item async for item in container.walk_blobs()]
        assert [item.name for item in found] == ["x/"]
        copy = container.get_blob_client("copy")
        assert (await copy.start_copy_from_url(blob.url))["copy_status"] == "success"
        answers = [answer async for answer in await container.delete_blobs("x/y", "copy")]
        assert [answer.status_code for answer in answers] == [202, 202]
        await service.delete_container("aio")
