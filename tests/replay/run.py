"""Replays interactions and says of each whether it agrees, why it differs, or why it was not."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance.conftest import Answer
from tests.replay.compare import Difference, compare
from tests.replay.reasons import REASONS, Substitution, is_same_form, refusal
from tests.replay.recorded import Document, Recorded
from tests.replay.situations import set_up
from tests.replay.stage import Again, NotSetUp, Stage, Theatre


@dataclass
class Outcome:
    """What became of one interaction.

    reasons        why it differs, each once
    unexplained    differences that no reason explains
    not_set_up     why its situation could not be had; empty: it was replayed
    substitutions  what stood in place of what Shoal does not take
    """

    recorded: Recorded
    reasons: list[str] = field(default_factory=list)
    unexplained: list[Difference] = field(default_factory=list)
    not_set_up: str = ""
    substitutions: Sequence[Substitution] = ()

    @property
    def agrees(self) -> bool:
        return not (self.reasons or self.unexplained or self.not_set_up)

    @property
    def is_explained(self) -> bool:
        """Whether it was replayed, and agrees or has reasons not to."""
        return not (self.unexplained or self.not_set_up)

    def explain(self, reason: str) -> None:
        """Note a reason, once."""
        if reason not in self.reasons:
            self.reasons.append(reason)


async def replay(interactions: Sequence[Recorded]) -> list[Outcome]:
    """Return what became of each interaction."""
    ram = Path("/dev/shm")  # thousands of small databases: no disk needs to hear of them
    with tempfile.TemporaryDirectory(dir=ram if ram.is_dir() else None) as folder:
        async with Theatre(Path(folder)).opened() as theatre:
            return [await _replay_on(theatre, recorded) for recorded in interactions]


async def _replay_on(theatre: Theatre, recorded: Recorded) -> Outcome:
    made: list[Substitution] = []
    while True:
        async with theatre.stage(recorded.version, made) as stage:
            try:
                return await _replay(stage, recorded)
            except Again as again:
                made.append(again.substitution)


async def _replay(stage: Stage, recorded: Recorded) -> Outcome:
    try:
        recorded = await set_up(stage, recorded)
    except NotSetUp as error:
        return Outcome(recorded, not_set_up=str(error))
    answer = await _send(stage, recorded)
    outcome = Outcome(recorded, substitutions=stage.substitutions)
    for made in stage.substitutions:
        if made.apply(deepcopy(recorded.asked)):  # what was recorded is refused as it stands
            outcome.explain(made.reason)
    for difference in compare(recorded, answer):
        made = next((one for one in stage.substitutions if one.concerns(difference)), None)
        if made is not None and is_same_form(difference):
            continue
        reason = made.reason if made else _reason(recorded, difference)
        if reason is None:
            outcome.unexplained.append(difference)
        else:
            outcome.explain(reason)
    return outcome


async def _send(stage: Stage, recorded: Recorded) -> Answer:
    document: Document | None = recorded.asked if recorded.request else None
    kept = ("accept", "content-type", "return-client-request-id")
    headers = {name: recorded.headers[name] for name in kept if name in recorded.headers}
    return await stage.send(
        recorded.method, recorded.path, document, query=recorded.query, headers=headers
    )


def _reason(recorded: Recorded, difference: Difference) -> str | None:
    for row in REASONS:
        if row.explains(recorded, difference):
            return row.text
    return refusal(recorded, difference)


def tally(outcomes: Sequence[Outcome]) -> str:
    """Return, as tables in Markdown, how many agree, differ with a reason, or were not set up."""
    agree = [outcome for outcome in outcomes if outcome.agrees]
    unexplained = sum(bool(outcome.unexplained) for outcome in outcomes)
    absent = sum(bool(outcome.not_set_up) for outcome in outcomes)
    results = {
        "agree": sum(not outcome.substitutions for outcome in agree),
        "agree in a situation with something in place of what Shoal does not take": sum(
            bool(outcome.substitutions) for outcome in agree
        ),
        "differ with a reason": len(outcomes) - len(agree) - unexplained - absent,
        "differ without one": unexplained,
        "could not be set up": absent,
        "together": len(outcomes),
    }
    reasons = Counter(reason for outcome in outcomes for reason in outcome.reasons)
    reasons.update(outcome.not_set_up for outcome in outcomes if outcome.not_set_up)
    tables = [_table("what became of them", results)]
    return "\n\n".join([*tables, _table("reason; some have several", dict(reasons.most_common()))])


def _table(title: str, rows: Mapping[str, int]) -> str:
    lines = [f"| interactions | {title} |", "|---|---|"]
    return "\n".join([*lines, *(f"| {count} | {text} |" for text, count in rows.items())])
