"""Start a service, and in it the live tests of a release, in the environment made for them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[3]
ADAPTER: Final = Path(__file__).with_name("adapter")
SERVICE: Final = ("dev", "--tls", "--ephemeral", "--port", "0", "--storage-port", "0", "--")
TEST_S_MAX: Final = 300
AT_ONCE: Final = 3


def environment(release: str) -> Path:
    """Return the folder that `make` puts a release's environment and tests into."""
    return REPOSITORY / f".venv-live-{release}"


def is_set_up(release: str) -> bool:
    """Whether there is all that a run needs."""
    return (environment(release) / ".done").exists()


def command(release: str, options: Sequence[str] = ()) -> list[str]:
    """Return the command that runs a release's tests on a service of its own.

    options   more of pytest's, such as -k
    """
    place = environment(release)
    return [
        *(str(Path(sys.executable).with_name("shoal")), *SERVICE),
        *(str(place / "bin" / "python"), "-m", "pytest", str(place / "suite" / "tests")),
        *("-c", str(ADAPTER / "pytest.ini"), "--rootdir", str(place / "suite")),
        *("-p", "shoal_live.plugin", "-p", "no:cacheprovider", "-rx", "--tb=short"),
        *("-n", str(AT_ONCE), "--timeout", str(TEST_S_MAX)),
        *options,
    ]


def variables(release: str, log: Path) -> dict[str, str]:
    """Return the environment of that command.

    log   gets a line of JSON for each test, as shoal_live.plugin writes it
    """
    return os.environ | {
        "PYTHONPATH": f"{ADAPTER}:{REPOSITORY / 'protocol'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SHOAL": str(Path(sys.executable).with_name("shoal")),
        "SHOAL_LIVE_RELEASE": release,
        "SHOAL_LIVE_LOG": str(log),
        # An account that is there before the tests are.
        "BATCH_USERSUB_ACCOUNT_NAME": "devaccount",
        "BATCH_RESOURCE_GROUP": "any",
    }
