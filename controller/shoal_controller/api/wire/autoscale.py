"""Autoscale settings and evaluations on the wire."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from shoal_controller.api.wire.table import Document, Property, Structure, written_pairs
from shoal_controller.api.wire.values import boolean, duration, text, timespan, timestamp
from shoal_controller.core.autoscale.settings import (
    INTERVAL_DEFAULT,
    INTERVAL_MAX,
    INTERVAL_MIN,
    AutoScale,
    check_formula,
)
from shoal_controller.core.errors import Refused, invalid_property


def _read_formula(value: Any, name: str) -> str:
    return check_formula(text(value, name))


def _read_interval(value: Any, name: str) -> timedelta:
    interval = duration(value, name)
    if interval is None or not INTERVAL_MIN <= interval <= INTERVAL_MAX:
        raise invalid_property(name, value, "It must be from 5 minutes to 168 hours.")
    return interval


SETTINGS: Final = (
    Property("autoScaleFormula", "formula", _read_formula),
    Property("autoScaleEvaluationInterval", "interval", _read_interval),
)
OF_POOLS: Final = (Property("enableAutoScale", "auto_scale", boolean), *SETTINGS)
"""What a pool may be created with."""
_ENABLE: Final = Structure(SETTINGS)
_EVALUATE: Final = Structure((Property("autoScaleFormula", "formula", text, is_required=True),))


def take_settings(values: dict[str, Any]) -> tuple[str, timedelta] | None:
    """Take formula and interval out of a new pool's values; return None where autoscale is off.

    Raises Refused for settings that contradict each other.
    """
    is_on = values.pop("auto_scale", False)
    formula, interval = values.pop("formula", None), values.pop("interval", None)
    if not is_on:
        if formula is not None or interval is not None:
            raise _contradiction("They need enableAutoScale to be true.")
        return None
    if formula is None:
        raise _contradiction("autoScaleFormula is missing.")
    if "dedicated" in values or "low_priority" in values:
        raise _contradiction("The formula decides on the targets: give no fixed ones.")
    return formula, interval or INTERVAL_DEFAULT


def _contradiction(reason: str) -> Refused:
    return Refused("InvalidAutoScalingSettings", Reason=reason)


def read_enable(document: Document) -> tuple[str | None, timedelta | None]:
    """Return the formula and the interval to scale by; at least one is given."""
    values = _ENABLE.read(document, "body")
    if not values:
        raise _contradiction("Give autoScaleFormula and/or autoScaleEvaluationInterval.")
    return values.get("formula"), values.get("interval")


def check_evaluate(document: Document) -> None:
    """Raise Refused unless a document holds a formula to try."""
    check_formula(_EVALUATE.read(document, "body")["formula"])


def write_settings(settings: AutoScale) -> Document:
    """Return what a pool that scales itself shows of it."""
    run: Document = {"timestamp": timestamp(settings.run.at), "results": settings.run.results}
    error = settings.run.error
    if error is not None:
        run["error"] = {
            "code": error.code,
            "message": error.message,
            "values": written_pairs(error.values),
        }
    return {
        "autoScaleFormula": settings.formula,
        "autoScaleEvaluationInterval": timespan(settings.interval),
        "autoScaleRun": run,
    }
