"""The pytest plugin of a run: the table of tests that cannot pass, and what really became of them.

A test of the table has to fail, and with the text that the table says; a test that passes, or fails
with another text, is a failure of the run.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

import pytest

from shoal_live import storage
from shoal_live.expected import SUITES

EXPECTED: Final = SUITES[os.environ["SHOAL_LIVE_RELEASE"]].expected
LOG: Final = Path(os.environ["SHOAL_LIVE_LOG"])


def pytest_configure(config: pytest.Config) -> None:
    """Know the marker that the tests bear, and what they name that is not there."""
    storage.lend()
    config.addinivalue_line("markers", "live_test_only: what was never recorded")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Any:
    """Judge a test by the table."""
    report: pytest.TestReport = yield
    if call.when != "call":
        return report
    expected = EXPECTED.get(_name(item))
    text = _text(call)
    outcome = report.outcome
    if expected is not None and report.passed:
        report.outcome = "failed"
        report.longrepr = f"it passes, though the table says: {expected.reason}"
    elif expected is not None and report.failed and expected.shows in text:
        report.outcome = "skipped"
        report.wasxfail = expected.reason
    _log({"test": item.name, "outcome": outcome, "judged": report.outcome, "error": text})
    return report


def _name(item: pytest.Item) -> str:
    """Return the name without the client: both are to behave alike."""
    return item.name.partition("[")[0]


def _text(call: pytest.CallInfo[Any]) -> str:
    """Return what a test failed with: the error, and what the service answered."""
    if call.excinfo is None:
        return ""
    texts: list[str] = []
    error: BaseException | None = call.excinfo.value
    while error is not None:
        texts.append(f"{type(error).__name__}: {error}")
        response = getattr(error, "response", None)
        if response is not None and hasattr(response, "text"):
            body = response.text
            texts.append(body() if callable(body) else body)
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def _log(row: dict[str, str]) -> None:
    with LOG.open("a") as log:
        log.write(json.dumps(row) + "\n")
