"""Accounts as folders: what each keeps beside its SQLite file.

    <data>/accounts/<name>/keys.json     its secrets (0600)
                           account.json  what was decided by command; absent: nothing was
                           state.sqlite  pools, nodes, jobs and tasks
                           blobs/        its storage

A folder whose name begins with a dot is an account that is being deleted.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from shoal_controller.config import BadConfig
from shoal_controller.core.account import ACCOUNT_NAME, QUOTA_NAMES, Account
from shoal_controller.privatefile import sync_folder, write_private

KEY_BYTES: Final = 64
SEAL_BYTES: Final = 32
STATE_FILE: Final = "state.sqlite"
_GONE: Final = ".gone-"


class _Keys(msgspec.Struct):
    batch: tuple[bytes, bytes]
    storage: tuple[bytes, bytes]
    seal: bytes = b""


@dataclass(frozen=True, slots=True)
class Secrets:
    """An account's secrets, base64 undone; of the pairs the primary first."""

    batch: tuple[bytes, bytes] = field(repr=False)
    storage: tuple[bytes, bytes] = field(repr=False)
    seal: bytes = field(repr=False)


class Decided(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What was decided about an account by command.

    is_made      it was made by command: it is there although no configuration names it
    is_deleting  all of it is to go
    """

    is_made: bool = False
    is_deleting: bool = False
    quotas: dict[str, int] = {}


def new_key() -> bytes:
    """Return a fresh key."""
    return secrets.token_bytes(KEY_BYTES)


def load_secrets(folder: Path) -> Secrets:
    """Return the secrets kept in an account's folder, made now where there are none.

    Raises BadConfig when the file was damaged: new keys would lock everyone out silently.
    """
    path = folder / "keys.json"
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(folder.parent)
        pairs = ((new_key(), new_key()), (new_key(), new_key()))
        save_secrets(folder, Secrets(*pairs, secrets.token_bytes(SEAL_BYTES)))
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Keys)
    except msgspec.MsgspecError as err:
        raise BadConfig(f"{path} is not a pair of keys for batch and storage: {err}") from err
    if not all((*kept.batch, *kept.storage)):
        raise BadConfig(f"{path} holds an empty key")
    if not kept.seal:  # written by an earlier release
        kept.seal = secrets.token_bytes(SEAL_BYTES)
        save_secrets(folder, Secrets(kept.batch, kept.storage, kept.seal))
    return Secrets(kept.batch, kept.storage, kept.seal)


def save_secrets(folder: Path, held: Secrets) -> None:
    """Keep an account's secrets; they are on disk when this returns."""
    kept = msgspec.json.encode(_Keys(held.batch, held.storage, held.seal))
    write_private(folder / "keys.json", msgspec.json.format(kept).decode() + "\n")


def secrets_of(account: Account) -> Secrets:
    """Return what is kept of an account's secrets."""
    return Secrets(account.keys, account.storage_keys, account.seal)


def load_decided(folder: Path) -> Decided:
    """Return what was decided about an account; raise BadConfig when the file was damaged."""
    path = folder / "account.json"
    try:
        decided = msgspec.json.decode(path.read_bytes(), type=Decided)
    except FileNotFoundError:
        return Decided()
    except msgspec.MsgspecError as err:
        raise BadConfig(f"{path} is not what Shoal writes there: {err}") from err
    unknown = decided.quotas.keys() - set(QUOTA_NAMES)
    if unknown or any(count < 0 for count in decided.quotas.values()):
        raise BadConfig(f"{path}: quotas are {', '.join(QUOTA_NAMES)}, each a number from 0 up")
    return decided


def save_decided(folder: Path, decided: Decided) -> None:
    """Keep what was decided about an account; it is on disk when this returns."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = msgspec.json.encode(decided)
    write_private(folder / "account.json", msgspec.json.format(kept).decode() + "\n")
    sync_folder(folder.parent)


def decided_by_name(accounts: Path) -> Mapping[str, Decided]:
    """Return the accounts that folders are there for, in the order of their names."""
    if not accounts.exists():
        return {}
    names = sorted(path.name for path in accounts.iterdir() if ACCOUNT_NAME.fullmatch(path.name))
    return {name: load_decided(accounts / name) for name in names}


def set_aside(folder: Path) -> Path:
    """Let an account's folder be no account any more; return where it is now, to be removed."""
    aside = folder.with_name(f"{_GONE}{folder.name}-{secrets.token_hex(4)}")
    folder.rename(aside)
    sync_folder(folder.parent)
    return aside


def set_aside_before(accounts: Path) -> list[Path]:
    """Return the folders of accounts that were set aside and are not removed yet."""
    return sorted(accounts.glob(f"{_GONE}*")) if accounts.exists() else []
