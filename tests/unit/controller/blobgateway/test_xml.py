"""Reading XML bodies without falling for them."""

import pytest

from shoal_controller.blobgateway.errors import StorageError
from shoal_controller.blobgateway.web import xml


def test_a_block_list_keeps_kinds_and_order() -> None:
    body = b"""<?xml version='1.0' encoding='utf-8'?>
    <BlockList> <Latest>QQ==</Latest><Committed> Qg== </Committed>
    <Uncommitted>QQ==</Uncommitted></BlockList>"""
    assert xml.read_block_list(body, 3) == [
        ("Latest", "QQ=="),
        ("Committed", "Qg=="),
        ("Uncommitted", "QQ=="),
    ]
    assert xml.read_block_list(b"<BlockList/>", 3) == []
    with pytest.raises(StorageError, match="BlockListTooLong"):
        xml.read_block_list(body, 2)


def test_entities_are_never_expanded() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "' + b"a" * 1000 + b'">]><BlockList>&a;</BlockList>'
    for body in (bomb, b"<BlockList>&undefined;</BlockList>"):
        with pytest.raises(StorageError, match="InvalidXmlDocument"):
            xml.read_block_list(body, 3)


def test_nesting_has_a_limit() -> None:
    deep = b"<BlockList>" + b"<a>" * 10_000
    with pytest.raises(StorageError, match="InvalidXmlDocument"):
        xml.read_leaves(deep, "BlockList")


def test_text_xml_cannot_carry_does_not_break_a_body() -> None:
    body = xml.error("InvalidUri", "bad \x00 \ud800 <tag>", {"Reason": "\x1b"})
    assert xml.read_leaves(body, "Error")[1] == ("Error/Message", "bad ? ? <tag>")
