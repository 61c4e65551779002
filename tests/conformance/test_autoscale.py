"""Autoscale settings of pools through the real application; formulas are not evaluated yet."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shoal_controller.loops.pools import reconcile_pools
from tests.conformance.conftest import Caller, House, PaperFleet, pool_body, with_node

FORMULA = "$TargetDedicatedNodes = 2; // all we need"
SETTINGS = {"autoScaleFormula": FORMULA, "autoScaleEvaluationInterval": "PT6M"}


@pytest.fixture
async def pool(house: House, caller: Caller) -> str:
    """The path of a steady pool of no nodes."""
    await caller.make("/pools", pool_body())
    await reconcile_pools(house.ctx, PaperFleet())
    return "/pools/p1"


async def test_a_formula_is_kept_and_shown_with_what_became_of_it(
    caller: Caller, pool: str
) -> None:
    answer = await caller.post(f"{pool}/enableautoscale", SETTINGS)
    assert (answer.status, answer.body) == (200, b"")
    got = await caller.get(pool)
    shown = got.json
    assert got.headers["ETag"] == answer.headers["ETag"]
    assert shown["enableAutoScale"] is True
    assert {name: shown[name] for name in SETTINGS} == SETTINGS
    run = shown["autoScaleRun"]
    assert run["timestamp"] == shown["lastModified"]
    assert run["results"] == (
        "$TargetDedicatedNodes=0;$TargetLowPriorityNodes=0;$NodeDeallocationOption=requeue"
    )
    assert run["error"]["code"] == "AutoScalingFormulaEvaluationError"
    assert "does not evaluate" in run["error"]["message"]


async def test_a_pool_may_be_created_so(caller: Caller) -> None:
    await caller.make("/pools", pool_body(enableAutoScale=True, autoScaleFormula=FORMULA))
    shown = (await caller.get("/pools/p1")).json
    assert (shown["enableAutoScale"], shown["autoScaleEvaluationInterval"]) == (True, "PT15M")
    assert (shown["targetDedicatedNodes"], shown["targetLowPriorityNodes"]) == (0, 0)
    await caller.make("/pools", pool_body("p2"))
    for truth, found in (("true", "p1"), ("false", "p2")):
        query = f"$filter=enableAutoScale%20eq%20{truth}&$select=id"
        assert await caller.pages("/pools", query) == [[{"id": found}]]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"enableAutoScale": True}, "InvalidAutoScalingSettings"),
        ({"autoScaleFormula": FORMULA}, "InvalidAutoScalingSettings"),
        ({"autoScaleEvaluationInterval": "PT6M"}, "InvalidAutoScalingSettings"),
        (
            SETTINGS | {"enableAutoScale": True, "targetDedicatedNodes": 0},
            "InvalidAutoScalingSettings",
        ),
        ({"enableAutoScale": "x"}, "InvalidPropertyValue"),
        ({"enableAutoScale": True, "autoScaleFormula": "x" * 8193}, "AutoScalingFormulaTooLong"),
        ({"enableAutoScale": True, "autoScaleFormula": " ;// x"}, "AutoScalingFormulaSyntaxError"),
    ],
)
async def test_settings_that_contradict_each_other_make_no_pool(
    caller: Caller, changes: dict[str, Any], code: str
) -> None:
    answer = await caller.post("/pools", pool_body(**changes))
    assert (answer.status, answer.code) == (400, code)
    assert (await caller.get("/pools/p1")).status == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "InvalidAutoScalingSettings"),
        ({"autoScaleEvaluationInterval": "PT6M"}, "InvalidAutoScalingSettings"),
        (SETTINGS | {"autoScaleEvaluationInterval": "PT4M59S"}, "InvalidPropertyValue"),
        (SETTINGS | {"autoScaleEvaluationInterval": "P7DT1S"}, "InvalidPropertyValue"),
        ({"autoScaleFormula": 7}, "InvalidPropertyValue"),
        ({"autoScaleFormula": "x" * 8193}, "AutoScalingFormulaTooLong"),
        ({"autoScaleFormula": "\n;;"}, "AutoScalingFormulaSyntaxError"),
        (SETTINGS | {"enableAutoScale": True}, "UnsupportedProperty"),
    ],
)
async def test_what_cannot_be_enabled_is_refused(
    caller: Caller, pool: str, body: dict[str, Any], code: str
) -> None:
    answer = await caller.post(f"{pool}/enableautoscale", body)
    assert (answer.status, answer.code) == (400, code)
    assert (await caller.get(pool)).json["enableAutoScale"] is False


async def test_it_can_be_enabled_again_after_thirty_seconds(
    house: House, caller: Caller, pool: str
) -> None:
    path = f"{pool}/enableautoscale"
    assert (await caller.post(path, SETTINGS)).status == 200
    soon = await caller.post(path, SETTINGS)
    assert (soon.status, soon.code) == (503, "TooManyEnableAutoScaleRequests")
    house.clock.time += timedelta(seconds=30)
    assert (await caller.post(path, {"autoScaleEvaluationInterval": "PT7M"})).status == 200
    shown = (await caller.get(pool)).json
    assert shown["autoScaleFormula"] == FORMULA
    assert shown["autoScaleEvaluationInterval"] == "PT7M"


async def test_it_is_not_enabled_while_the_pool_is_resized(caller: Caller) -> None:
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    answer = await caller.post("/pools/p1/enableautoscale", SETTINGS)
    assert (answer.status, answer.code) == (409, "PoolBeingResized")


async def test_only_a_pool_without_a_formula_is_resized_by_hand(
    house: House, caller: Caller
) -> None:
    await caller.make("/pools", pool_body(targetDedicatedNodes=1))
    node_id = await with_node(house)
    await caller.post("/pools/p1/enableautoscale", SETTINGS)
    bodies = {"resize": {"targetDedicatedNodes": 2}, "removenodes": {"nodeList": [node_id]}}
    for action, body in bodies.items():
        answer = await caller.post(f"/pools/p1/{action}", body)
        assert (answer.status, answer.code) == (409, "OperationInvalidForCurrentState")
        assert "disable autoscale" in answer.values["Reason"]
    disabled = await caller.post("/pools/p1/disableautoscale")
    assert disabled.status == 200
    shown = (await caller.get("/pools/p1")).json
    assert (shown["enableAutoScale"], shown["eTag"]) == (False, disabled.headers["ETag"])
    assert not {"autoScaleFormula", "autoScaleRun"} & shown.keys()
    assert shown["targetDedicatedNodes"] == 1
    assert (await caller.post("/pools/p1/resize", bodies["resize"])).status == 202


async def test_disabling_what_is_off_changes_nothing(caller: Caller, pool: str) -> None:
    before = (await caller.get(pool)).json["eTag"]
    answer = await caller.post(f"{pool}/disableautoscale")
    assert (answer.status, answer.headers["ETag"]) == (200, before)


async def test_an_evaluation_says_what_is_in_its_way(caller: Caller, pool: str) -> None:
    path, body = f"{pool}/evaluateautoscale", {"autoScaleFormula": FORMULA}
    off = await caller.post(path, body)
    assert (off.status, off.code) == (409, "OperationInvalidForCurrentState")
    await caller.post(f"{pool}/enableautoscale", SETTINGS)
    answer = await caller.post(path, body)
    assert (answer.status, answer.code) == (501, "NotImplemented")
    assert "evaluate" in answer.values["Reason"]
    for bad, code in (
        ({}, "MissingRequiredProperty"),
        ({"autoScaleFormula": ""}, "AutoScalingFormulaSyntaxError"),
    ):
        answer = await caller.post(path, bad)
        assert (answer.status, answer.code) == (400, code)
    assert (await caller.post("/pools/p2/evaluateautoscale", body)).code == "PoolNotFound"


async def test_settings_of_a_pool_that_is_deleted_stay_as_they_are(
    caller: Caller, pool: str
) -> None:
    await caller.send("DELETE", pool)
    for action, body in (("enable", SETTINGS), ("disable", None)):
        answer = await caller.post(f"{pool}/{action}autoscale", body)
        assert (answer.status, answer.code) == (409, "PoolBeingDeleted")
