"""Recording and playing back: there is none of it here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="session")
def test_proxy() -> None:
    """Stand where the program that records would be started."""


test_proxy.__test__ = False  # pyright: ignore[reportAttributeAccessIssue] its name looks like a test


def recorded_by_proxy(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the test as it is."""
    return function


def _nothing(*_: Any, **__: Any) -> None:
    """Settings of a recording."""


add_general_regex_sanitizer = remove_batch_sanitizers = set_custom_default_matcher = _nothing
