"""Blobs through the unmodified azure-storage-blob: upload, download, properties, copy, delete."""

import base64
import hashlib
import os
from datetime import UTC, datetime, timedelta

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import (
    BlobBlock,
    BlobClient,
    ContainerClient,
    ContentSettings,
    StandardBlobTier,
)
from azure.storage.blob.aio import BlobServiceClient as AioBlobServiceClient

from tests.conformance.blobgateway.server import RunningGateway, code_of

MIB = 1024 * 1024
ODD_NAMES = [
    "a", "a/b", "a/b/c", "/absolute", "a//b", "..x", "x..", "with space", "a+b", "50%", "q?#&=",
    "~!*'()", "ünï/cødé", "日本", "back\\slash", "trailing/", 'quo"te', "<&>", "x" * 1024,
    "\u00e9", "e\u0301", "emoji\U0001f600", "colon:;@,$",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_blob_of_any_name_comes_back_as_it_was(container: ContainerClient, name: str) -> None:
    data = name.encode() * 3
    container.upload_blob(name, data)
    assert container.download_blob(name).readall() == data
    assert [blob.name for blob in container.list_blobs()] == [name]
    container.delete_blob(name)
    assert not container.get_blob_client(name).exists()


async def test_names_work_the_same_through_the_asynchronous_client(
    gateway: RunningGateway, container: ContainerClient
) -> None:
    async with AioBlobServiceClient.from_connection_string(
        gateway.connection_string, retry_total=0
    ) as service:
        client = service.get_container_client(container.container_name)
        for name in ODD_NAMES:
            await client.upload_blob(name, name.encode(), metadata={"a_b": "1", "a1": "2"})
        for name in ODD_NAMES:
            assert await (await client.download_blob(name)).readall() == name.encode()
        listed = [blob.name async for blob in client.list_blobs()]
    assert listed == sorted(ODD_NAMES, key=str.encode)


@pytest.mark.parametrize("size", [0, 1, 16 * 1024, 16 * 1024 + 1, 256 * 1024, 5 * MIB + 3])
def test_bytes_of_every_size_survive_the_round_trip(container: ContainerClient, size: int) -> None:
    data = os.urandom(size)
    blob = container.upload_blob("b", data)
    assert blob.download_blob().readall() == data
    properties = blob.get_blob_properties()
    assert properties.size == size
    assert properties.content_settings.content_md5 == bytearray(hashlib.md5(data).digest())


def test_a_big_blob_goes_up_in_blocks_and_comes_down_in_ranges(gateway: RunningGateway) -> None:
    data = os.urandom(9 * MIB + 17)
    with ContainerClient.from_connection_string(
        gateway.connection_string,
        "big",
        max_single_put_size=MIB,
        max_block_size=MIB,
        max_single_get_size=MIB,
        max_chunk_get_size=MIB,
    ) as client:
        client.create_container()
        blob = client.upload_blob("x", data, max_concurrency=4, validate_content=True)
        assert blob.download_blob(max_concurrency=4, validate_content=True).readall() == data
        assert blob.download_blob(offset=MIB - 5, length=10).readall() == data[MIB - 5 : MIB + 5]
        assert blob.download_blob(offset=9 * MIB).readall() == data[9 * MIB :]


def test_blocks_are_committed_in_the_order_of_the_list_and_can_be_reused(
    container: ContainerClient,
) -> None:
    blob = container.get_blob_client("blocks")
    for number, text in enumerate([b"one", b"two" * 10_000, b"three"]):
        blob.stage_block(f"id{number}", text)
    assert not blob.exists()
    assert [b.id for b in blob.get_block_list("uncommitted")[1]] == ["id0", "id1", "id2"]
    blob.commit_block_list([BlobBlock("id1"), BlobBlock("id0"), BlobBlock("id1")])
    assert blob.download_blob().readall() == b"two" * 10_000 + b"one" + b"two" * 10_000
    blob.stage_block("id3", b"four")
    committed, uncommitted = blob.get_block_list("all")
    assert [b.id for b in committed] == ["id1", "id0", "id1"]
    assert [(b.id, b.size) for b in uncommitted] == [("id3", 4)]
    blob.commit_block_list([BlobBlock("id0"), BlobBlock("id3")])
    assert blob.download_blob().readall() == b"onefour"


def test_a_block_list_with_an_unknown_block_changes_nothing(container: ContainerClient) -> None:
    blob = container.upload_blob("b", b"old")
    blob.stage_block("new", b"new")
    with pytest.raises(HttpResponseError) as caught:
        blob.commit_block_list([BlobBlock("new"), BlobBlock("not")])
    assert code_of(caught) == "InvalidBlockList"
    assert blob.download_blob().readall() == b"old"
    with pytest.raises(HttpResponseError) as caught:
        blob.stage_block("longer-id", b"x")
    assert code_of(caught) == "InvalidBlobOrBlock"


def test_properties_and_metadata_are_kept_and_changed(container: ContainerClient) -> None:
    settings = ContentSettings("text/plain", "gzip", "de", "attachment", "no-store")
    blob = container.upload_blob(
        "p",
        b"\x1f\x8bno gzip at all",
        metadata={"Case": "kept", "z": "1"},
        content_settings=settings,
    )
    found = blob.get_blob_properties()
    assert found.metadata == {"Case": "kept", "z": "1"}
    kept = found.content_settings
    assert (kept.content_type, kept.content_encoding, kept.content_language) == (
        "text/plain", "gzip", "de",
    )  # fmt: skip
    assert (kept.content_disposition, kept.cache_control) == ("attachment", "no-store")
    blob.set_blob_metadata({"new": "one"})
    blob.set_http_headers(ContentSettings(content_type="text/html"))
    changed = blob.get_blob_properties()
    assert changed.metadata == {"new": "one"}
    assert changed.content_settings.content_type == "text/html"
    assert changed.content_settings.content_encoding is None
    assert changed.etag != found.etag
    assert changed.creation_time == found.creation_time
    assert blob.download_blob().readall() == b"\x1f\x8bno gzip at all"


def test_the_access_tier_of_an_upload_is_recorded(container: ContainerClient) -> None:
    blob = container.upload_blob("t", b"x", standard_blob_tier=StandardBlobTier.COOL)
    assert blob.get_blob_properties().blob_tier == "Cool"
    with pytest.raises(HttpResponseError, match="access tier"):
        blob.set_standard_blob_tier(StandardBlobTier.HOT)


def test_an_upload_overwrites_only_if_told_to(container: ContainerClient) -> None:
    blob = container.upload_blob("o", b"first")
    with pytest.raises(ResourceExistsError) as caught:
        container.upload_blob("o", b"second")
    assert code_of(caught) == "BlobAlreadyExists"
    assert blob.download_blob().readall() == b"first"
    container.upload_blob("o", b"second", overwrite=True)
    assert blob.download_blob().readall() == b"second"


def test_conditions_on_etag_and_time_are_kept(container: ContainerClient) -> None:
    blob = container.upload_blob("c", b"first")
    etag = blob.get_blob_properties().etag
    past, future = (datetime.now(UTC) + timedelta(hours=h) for h in (-1, 1))
    unchanged = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    changed = {"etag": etag, "match_condition": MatchConditions.IfModified}
    assert blob.download_blob(**unchanged).readall() == b"first"
    # 304: the SDK has one exception for this and for 412.
    with pytest.raises(ResourceModifiedError):
        blob.get_blob_properties(**changed)
    # 304: the SDK has one exception for this and for 412.
    with pytest.raises(ResourceModifiedError):
        blob.download_blob(if_modified_since=future)
    with pytest.raises(ResourceModifiedError):
        blob.download_blob(if_unmodified_since=past)
    blob.upload_blob(b"second", overwrite=True, **unchanged)
    for change in (
        lambda: blob.upload_blob(b"third", overwrite=True, **unchanged),
        lambda: blob.set_blob_metadata({"a": "b"}, **unchanged),
        lambda: blob.delete_blob(**unchanged),
        lambda: blob.upload_blob(b"third", overwrite=True, if_unmodified_since=past),
    ):
        with pytest.raises(ResourceModifiedError) as caught:
            change()
        assert code_of(caught) == "ConditionNotMet"
    assert blob.download_blob().readall() == b"second"


def test_a_copy_takes_bytes_properties_and_metadata_along(container: ContainerClient) -> None:
    source = container.upload_blob(
        "from", b"copied" * 9000, metadata={"m": "1"}, content_settings=ContentSettings("text/x")
    )
    target = container.get_blob_client("to")
    told = target.start_copy_from_url(source.url)
    assert told["copy_status"] == "success"
    found = target.get_blob_properties()
    assert found.copy.status == "success"
    assert found.copy.id == told["copy_id"]
    assert found.metadata == {"m": "1"}
    assert found.content_settings.content_type == "text/x"
    assert target.download_blob().readall() == b"copied" * 9000
    with pytest.raises(HttpResponseError) as caught:
        target.abort_copy(told["copy_id"])
    assert code_of(caught) == "NoPendingCopyOperation"
    with pytest.raises(ResourceNotFoundError) as missing:
        target.start_copy_from_url(source.url + "-not")
    assert code_of(missing) == "CannotVerifyCopySource"


def test_put_from_url_needs_a_source_that_may_be_read(
    gateway: RunningGateway, container: ContainerClient
) -> None:
    source = container.upload_blob("from", b"0123456789" * 10_000)
    target = container.get_blob_client("to")
    target.upload_blob_from_url(source.url)
    assert target.download_blob().readall() == b"0123456789" * 10_000
    target.stage_block_from_url("b1", source.url, source_offset=3, source_length=4)
    target.commit_block_list([BlobBlock("b1")])
    assert target.download_blob().readall() == b"3456"
    other = source.url.replace("/dev/", "/other/")
    with pytest.raises(ResourceNotFoundError) as caught:
        target.upload_blob_from_url(other)
    assert code_of(caught) == "CannotVerifyCopySource"
    assert caught.value.status_code == 403


def test_many_blobs_are_deleted_in_one_batch(container: ContainerClient) -> None:
    names = ["a", "a/b", "sp ace", "ü"]
    for name in names:
        container.upload_blob(name, b"x")
    answers = list(container.delete_blobs(*names, "missing", raise_on_any_failure=False))
    assert [answer.status_code for answer in answers] == [202, 202, 202, 202, 404]
    assert list(container.list_blobs()) == []


def test_what_is_not_there_says_so(container: ContainerClient, gateway: RunningGateway) -> None:
    blob = container.get_blob_client("none")
    for ask in (blob.download_blob, blob.get_blob_properties, blob.delete_blob):
        with pytest.raises(ResourceNotFoundError) as caught:
            ask()
        assert code_of(caught) == "BlobNotFound"
    with (
        BlobClient.from_connection_string(gateway.connection_string, "no-such", "b") as lost,
        pytest.raises(ResourceNotFoundError) as caught,
    ):
        lost.upload_blob(b"x")
    assert code_of(caught) == "ContainerNotFound"


def test_a_wrong_md5_is_refused_and_leaves_nothing(
    gateway: RunningGateway, container: ContainerClient
) -> None:
    path = f"/dev/{container.container_name}/m"
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    for data in (b"small", b"big" * 200_000):
        reply = gateway.ask(
            "PUT", path, {"x-ms-blob-type": "BlockBlob", "content-md5": wrong}, data
        )
        assert (reply.status, reply.code) == (400, "Md5Mismatch")
    assert list(container.list_blobs()) == []


def test_a_body_that_says_it_is_compressed_is_kept_as_it_came(
    gateway: RunningGateway, container: ContainerClient
) -> None:
    path = f"/dev/{container.container_name}/z"
    headers = {"x-ms-blob-type": "BlockBlob", "content-encoding": "gzip", "content-type": "a/b"}
    assert gateway.ask("PUT", path, headers, b"not really gzip").status == 201
    reply = gateway.ask("GET", path)
    assert reply.body == b"not really gzip"
    assert reply.headers["content-encoding"] == "gzip"
    assert reply.headers["content-type"] == "a/b"
