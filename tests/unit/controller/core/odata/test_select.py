"""$select: what it keeps, and what it refuses to look for."""

from __future__ import annotations

from typing import Any

import pytest

from shoal_controller.api.wire.selectable import SELECTABLE, STRUCTURES
from shoal_controller.core.errors import Refused
from shoal_controller.core.odata.select import parse_select, select

TASK: dict[str, Any] = {
    "id": "t",
    "resourceFiles": [{"httpUrl": "u", "filePath": "a"}, {"filePath": "b"}],
    "executionInfo": {"exitCode": 1, "retryCount": 0, "failureInfo": {"code": "c", "message": "m"}},
    "requiredSlots": 1,
}


def _selected(text: str) -> dict[str, Any]:
    return select(TASK, parse_select(text, "BatchTask", STRUCTURES))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("requiredSlots, id", {"id": "t", "requiredSlots": 1}),
        ("id,,id", {"id": "t"}),
        ("executionInfo/exitCode", {"executionInfo": {"exitCode": 1}}),
        (
            "executionInfo / exitCode,executionInfo/failureInfo/code",
            {"executionInfo": {"exitCode": 1, "failureInfo": {"code": "c"}}},
        ),
        ("executionInfo,executionInfo/exitCode", {"executionInfo": TASK["executionInfo"]}),
        ("executionInfo/exitCode,executionInfo", {"executionInfo": TASK["executionInfo"]}),
        ("resourceFiles/httpUrl", {"resourceFiles": [{"httpUrl": "u"}, {}]}),
        ("stats", {}),
        (" , ", TASK),
        ("", TASK),
    ],
)
def test_only_what_is_asked_for_is_kept_in_its_order(text: str, kept: dict[str, Any]) -> None:
    assert list(_selected(text).items()) == list(kept.items())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nothing", "No property is called 'nothing'; there are: id, displayName"),
        ("id,Id", "No property is called 'Id'"),
        ("executionInfo/exit", "No property of executionInfo is called 'exit'"),
        ("id/length", "No property of id is called 'length'; it has no properties."),
        ("executionInfo//exitCode", "No property of executionInfo is called ''"),
        ("*", "No property is called '*'"),
        ("id," * 3000, "at most 8192 characters"),
    ],
)
def test_what_no_version_has_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        _selected(text)
    assert caught.value.code == "InvalidQueryParameterValue"
    assert caught.value.details["QueryParameterName"] == "$select"
    assert reason in caught.value.details["Reason"]


def test_every_structure_that_is_named_is_there() -> None:
    assert set(SELECTABLE.values()) <= STRUCTURES.keys()
    for structure in STRUCTURES.values():
        assert {inner for inner in structure.values() if inner} <= STRUCTURES.keys()
