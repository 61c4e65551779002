"""Accounts, made and removed as an administrator does it: by command."""

from __future__ import annotations

import os
import subprocess
from typing import NamedTuple


class Account(NamedTuple):
    """An account's name and its key, in base64."""

    name: str
    key: str


_known: dict[str, Account] = {}


def create(name: str) -> Account:
    """Make an account."""
    _shoal("account", "create", name)
    return find(name)


def find(name: str) -> Account:
    """Return an account that is there."""
    if name not in _known:
        _known[name] = Account(name, _shoal("account", "keys", name, "-q").strip())
    return _known[name]


def delete(name: str) -> None:
    """Remove an account with all that is in it."""
    _shoal("account", "delete", name, "-y")
    del _known[name]


def current() -> Account:
    """Return the account that the running test was given: the last one made or found."""
    return next(reversed(_known.values()))


def _shoal(*words: str) -> str:
    """Run the command line; return what it prints."""
    done = subprocess.run(
        [os.environ["SHOAL"], *words], capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        raise RuntimeError(f"shoal {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout
