"""Interactions with the public service, recorded in many api-versions: data beside the project."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PLACE = Path(
    os.environ.get("SHOAL_RECORDINGS")
    or Path(__file__).parents[2] / "shared/reference/recordings.jsonl.gz"
)
"""One JSON object a line: api, method, path, query, reqh, req, status, reason, resph, body."""


def recordings() -> Iterator[dict[str, Any]]:
    """Yield all of them; a test that wants them skips where PLACE is not."""
    with gzip.open(PLACE, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)
