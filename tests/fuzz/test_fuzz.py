"""Half a minute of hostile requests, the same ones each time; `make fuzz` goes on with others."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.fuzz.play import Tally
from tests.fuzz.session import playing

EXAMPLES: Final = 400


def test_whatever_is_sent_is_answered_as_documented_and_refusals_change_nothing(
    tmp_path: Path,
) -> None:
    with playing(tmp_path, Tally()) as play:
        play(None, EXAMPLES)
