"""What a pool was told about scaling itself, and what its last evaluation gave.

Source: autoscale 2, 8 and 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shoal_controller.core.errors import Refused

FORMULA_CHARACTERS_MAX: Final = 8192
INTERVAL_DEFAULT: Final = timedelta(minutes=15)
INTERVAL_MIN: Final = timedelta(minutes=5)
INTERVAL_MAX: Final = timedelta(hours=168)
ENABLE_PAUSE: Final = timedelta(seconds=30)
"""A pool's autoscale can be enabled once in so long."""


@dataclass(frozen=True, slots=True)
class AutoScaleError:
    """Why an evaluation failed."""

    code: str
    message: str
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class AutoScaleRun:
    """An evaluation: when, the variables as they stood, and what went wrong."""

    at: datetime
    results: str
    error: AutoScaleError | None = None


@dataclass(frozen=True, slots=True)
class AutoScale:
    """A pool's formula, how often it is to be evaluated, and its last evaluation."""

    formula: str
    interval: timedelta
    run: AutoScaleRun


NOT_EVALUATED: Final = AutoScaleError(
    "AutoScalingFormulaEvaluationError",
    "Shoal does not evaluate autoscale formulas yet: the pool keeps its size.",
    (("Message", "To change the size by hand, disable autoscale first."),),
)


def not_evaluated(now: datetime, dedicated: int, low_priority: int) -> AutoScaleRun:
    """Return the evaluation of a pool of that size, as long as there is none: a failed one."""
    results = (
        f"$TargetDedicatedNodes={dedicated};$TargetLowPriorityNodes={low_priority};"
        "$NodeDeallocationOption=requeue"
    )
    return AutoScaleRun(now, results, NOT_EVALUATED)


def check_formula(formula: str) -> str:
    """Return a formula of at least one statement that is not too long, or raise Refused."""
    if len(formula) > FORMULA_CHARACTERS_MAX:
        raise Refused("AutoScalingFormulaTooLong", MaxLimit=str(FORMULA_CHARACTERS_MAX))
    lines = (line.partition("//")[0] for line in formula.splitlines())
    if not "".join(lines).replace(";", "").strip():
        raise Refused("AutoScalingFormulaSyntaxError", Reason="The formula has no statement.")
    return formula
