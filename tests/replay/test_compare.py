"""What counts as a difference between a recorded answer and ours."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.conformance.conftest import Answer
from tests.replay.compare import compare
from tests.replay.reasons import SUBSTITUTIONS, substitution
from tests.replay.recorded import Recorded

POOL = {"id": "p", "eTag": "0x8D462A70776814A", "at": "2017-03-04T02:34:49.03Z", "count": 1}
HEADERS = {"content-type": "application/json", "etag": "0x8D462A70776814A"}


def recorded(body: Any = POOL, **changes: Any) -> Recorded:
    told = Recorded(
        "get_pool", {}, "2017-09-01.6.0", "GET", "/pools/p", "", {}, "", 200, "OK", HEADERS, ""
    )
    return replace(told, text=json.dumps(body), **changes)


def answer(body: Any = POOL, status: int = 200, **headers: str) -> Answer:
    return Answer(status, "OK", HEADERS | headers, json.dumps(body).encode())


def places(told: Recorded, ours: Answer) -> list[str]:
    return [difference.place for difference in compare(told, ours)]


def test_what_is_told_anew_each_time_is_compared_by_its_form() -> None:
    later = POOL | {"eTag": "0x8DFFFFFFFFFFFFF", "at": "2026-05-01T12:00:00Z"}
    assert compare(recorded(), answer(later, date="now", server="Shoal")) == []
    assert places(recorded(), answer(POOL | {"at": "2026-05-01"})) == ["body/at"]


@pytest.mark.parametrize(
    ("ours", "place"),
    [
        ({"id": "p"}, "body/count"),
        (POOL | {"count": "1"}, "body/count"),
        (POOL | {"count": 2}, "body/count"),
        (POOL | {"more": None}, "body/more"),
        (POOL | {"eTag": "1"}, "body/eTag"),
    ],
)
def test_names_types_and_values_are_compared(ours: Any, place: str) -> None:
    assert place in places(recorded(), answer(ours))


def test_urls_are_compared_without_their_host() -> None:
    told = recorded({"url": "https://acct.region/pools/p"})
    assert compare(told, answer({"url": "http://127.0.0.1:1/pools/p"})) == []
    assert places(told, answer({"url": "http://127.0.0.1:1/pools/q"})) == ["body/url"]


def test_headers_are_compared_by_name() -> None:
    assert places(recorded(), answer(location="https://acct/pools/p")) == ["header/location"]


def test_elements_are_compared_with_their_namesakes() -> None:
    told = recorded({"value": [{"id": "a", "n": 1}, {"id": "b", "n": 2}]})
    assert compare(told, answer({"value": [{"id": "b", "n": 2}, {"id": "a", "n": 1}]})) == []
    assert places(told, answer({"value": [{"id": "b", "n": 3}]})) == [
        "body/value[]",
        "body/value[]/n",
    ]


def test_of_another_status_nothing_else_is_told() -> None:
    error = {"code": "PoolExists", "values": []}
    (difference,) = compare(recorded(), answer(error, 409))
    assert str(difference) == "status: 200 -> 409 PoolExists"


def test_what_is_refused_is_left_out_wherever_it_stands() -> None:
    reason = "Shoal does not support 'dependsOn' yet; leave it out of the request."
    values = [{"key": "PropertyName", "value": "dependsOn"}, {"key": "Reason", "value": reason}]
    error = {"code": "UnsupportedProperty", "values": values}
    added = {"value": [{"taskId": "t", "status": "ClientError", "error": error}]}
    for told in (answer(error, 400), answer(added)):
        found = substitution(told)
        assert found is not None
        document = {"value": [{"id": "t", "dependsOn": {"taskIds": []}}]}
        assert found.apply(document)
        assert document == {"value": [{"id": "t"}]}
        assert not found.apply(document)
    assert substitution(answer()) is None


def test_what_stands_in_place_of_something_is_put_there_once() -> None:
    for name, made in SUBSTITUTIONS.items():
        document = {"inner": {name: {}, "nodeAgentSKUId": "x", "imageReference": {}}}
        assert made.name in ("imageReference", name)
        made.apply(document)
        assert not made.apply(document), name
