"""Everything that was recorded of the public service, against Shoal: see __init__.py."""

from __future__ import annotations

import pytest

from tests.recordings import PLACE
from tests.replay.reasons import REASONS, SUBSTITUTIONS
from tests.replay.recorded import load
from tests.replay.run import replay

pytestmark = pytest.mark.skipif(not PLACE.exists(), reason="there are no recordings here")


async def test_every_interaction_agrees_or_differs_for_a_known_reason() -> None:
    outcomes = await replay(load())
    assert len(outcomes) > 3000
    assert [
        (outcome.recorded.name, outcome.not_set_up, list(map(str, outcome.unexplained)))
        for outcome in outcomes
        if not outcome.is_explained
    ] == []
    given = {reason for outcome in outcomes for reason in outcome.reasons}
    assert {reason.text for reason in REASONS} <= given  # none is out of date
    made = {one.name for outcome in outcomes for one in outcome.substitutions}
    assert {one.name for one in SUBSTITUTIONS.values()} <= made
