"""What can name a container, a blob, a block, a metadata pair."""

import base64

import pytest

from shoal_controller.blobgateway.errors import StorageError
from shoal_controller.blobgateway.names import (
    check_blob,
    check_block_id,
    check_container,
    check_metadata,
)


@pytest.mark.parametrize("name", ["abc", "a-b-c", "0" * 63, "job-1-output"])
def test_legal_container_names_pass(name: str) -> None:
    assert check_container(name) == name


@pytest.mark.parametrize(
    ("name", "code"),
    [("ab", "OutOfRangeInput"), ("a" * 64, "OutOfRangeInput"), ("", "OutOfRangeInput"),
     ("Abc", "InvalidResourceName"), ("a--b", "InvalidResourceName"),
     ("abc\n", "InvalidResourceName"), ("a/b", "InvalidResourceName"),
     ("../x", "InvalidResourceName"), ("äbc", "InvalidResourceName")],
)  # fmt: skip
def test_illegal_container_names_are_refused(name: str, code: str) -> None:
    with pytest.raises(StorageError) as caught:
        check_container(name)
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["..", "/etc/passwd", "a" * 1024, "C:\\x", "日本", "a//b", "~"])
def test_blob_names_that_look_like_paths_are_just_names(name: str) -> None:
    assert check_blob(name) == name


@pytest.mark.parametrize("name", ["", "a" * 1025, "a\0b", "a\nb", "a\x7f", "/" * 254])
def test_blob_names_nothing_can_carry_are_refused(name: str) -> None:
    with pytest.raises(StorageError):
        check_blob(name)


def test_block_ids_are_base64_of_up_to_64_bytes() -> None:
    assert check_block_id("QQ==") == "QQ=="
    assert check_block_id(base64.b64encode(b"x" * 64).decode())
    for bad in ("", "QQ", "Q Q=", "ä===", base64.b64encode(b"x" * 65).decode()):
        with pytest.raises(StorageError):
            check_block_id(bad)


def test_metadata_keeps_case_and_refuses_what_no_header_could_return() -> None:
    assert check_metadata([("Name", " v "), ("_x1", "")]) == {"Name": "v", "_x1": ""}
    for pairs, code in (
        ([("", "v")], "EmptyMetadataKey"),
        ([("a-b", "v")], "InvalidMetadata"),
        ([("a", "v\r\nx: y")], "InvalidMetadata"),
        ([("a", "v"), ("A", "w")], "InvalidMetadata"),
        ([("a", "v" * 8192)], "MetadataTooLarge"),
    ):
        with pytest.raises(StorageError) as caught:
            check_metadata(pairs)
        assert caught.value.code == code
