"""Where the services are and the keys to them, from the environment."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Settings:
    """The two services an example talks to.

    batch_endpoint  such as http://127.0.0.1:8480 or https://ACCOUNT.REGION.batch.azure.com
    batch_key       in base64, as the portal or `shoal dev` shows it
    """

    batch_endpoint: str
    batch_account: str
    batch_key: str
    storage_connection_string: str


def from_environment() -> Settings:
    """Read the settings; end the program with a message that names what is missing."""
    names = (
        "AZURE_BATCH_ENDPOINT",
        "AZURE_BATCH_ACCOUNT",
        "AZURE_BATCH_ACCESS_KEY",
        "AZURE_STORAGE_CONNECTION_STRING",
    )
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise SystemExit(
            f"not set: {', '.join(missing)}. `shoal dev` prints them, and "
            "`shoal dev -- python -m examples.tutorial` sets them."
        )
    return Settings(*(os.environ[name] for name in names))


def fresh_name(purpose: str) -> str:
    """Return a name for a pool, job or container that no other run has: `words-20250131-…`."""
    return f"{purpose}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
