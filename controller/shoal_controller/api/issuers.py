"""Tokens of identity providers: whose keys sign them, and what is in them once that is proved.

The only room of the JOSE library. Keys come from a file or a URL and are kept; they are fetched
again when they are old, or when a token names a key that is not among them, never more often than
the limits below, whatever tokens strangers invent. Source: RFC 7515, 7517, 8725.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import jwt
import msgspec
from jwt import PyJWK, PyJWS

from shoal_controller.clock import Clock
from shoal_controller.core.claims import Claims, Rule
from shoal_controller.core.errors import Refused, Unavailable

log = logging.getLogger(__name__)

KEYS_AGE_S_MAX: Final = 3600.0
RELOAD_S_MIN: Final = 10.0
FETCH_S_MAX: Final = 5.0
KEYS_BYTES_MAX: Final = 1 << 20
KEYS_MAX: Final = 256

_jws: Final = PyJWS(options={"enforce_minimum_key_length": True})
_claims: Final = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class Issuer:
    """An identity provider that is trusted.

    name        what its tokens have as `iss`, to the letter
    audiences   tokens must be for one of these
    keys        the file, or the URL, of its keys (a JWK set)
    ca_file     certificates to trust at that URL, instead of the system's
    algorithms  those that its tokens may be signed with, of core.claims.ALGORITHMS
    """

    name: str
    audiences: tuple[str, ...]
    keys: Path | str
    algorithms: frozenset[str]
    rules: tuple[Rule, ...]
    ca_file: Path | None = None


class Issuers:
    """All that are trusted, and their keys."""

    def __init__(self, issuers: Sequence[Issuer], clock: Clock) -> None:
        self._issuers = {issuer.name: issuer for issuer in issuers}
        self._keys = {issuer.name: _Keys(issuer, clock) for issuer in issuers}

    async def verified(self, token: str) -> tuple[Issuer, Claims]:
        """Return who signed a token, and its claims.

        raises  Refused: InvalidAuthenticationInfo for what is no token, AuthenticationFailed for
                one that nobody trusted has signed; Unavailable while keys cannot be had
        The time and the audience are still to be looked at.
        """
        try:
            taken = _jws.decode_complete(token, options={"verify_signature": False})
            header, name = taken["header"], _claims(taken["payload"]).get("iss")
        except (jwt.PyJWTError, msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            raise Refused("InvalidAuthenticationInfo") from None
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            raise untrusted("The issuer of the token is not one that this service trusts.")
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in issuer.algorithms:
            raise untrusted("The token is signed with an algorithm that is not allowed.")
        if not isinstance(key_id, str | None):
            raise Refused("InvalidAuthenticationInfo")
        key = await self._keys[issuer.name].find(key_id, algorithm)
        if key is None:
            raise untrusted("The issuer of the token has no such key.")
        try:
            payload = _jws.decode(token, key, algorithms=[algorithm])
        except jwt.PyJWTError:
            raise untrusted("The signature of the token is not right.") from None
        return issuer, _claims(payload)


def untrusted(detail: str) -> Refused:
    """Return the refusal of credentials; `detail` tells their owner what to look at."""
    return Refused("AuthenticationFailed", AuthenticationErrorDetail=detail)


class _Keys:
    """The keys of one issuer, as they were last had."""

    def __init__(self, issuer: Issuer, clock: Clock) -> None:
        self._issuer = issuer
        self._clock = clock
        self._found: dict[str | None, list[dict[str, Any]]] = {}
        self._ready: dict[tuple[str | None, str], PyJWK | None] = {}
        self._had_s: float | None = None
        self._tried_s: float | None = None
        self._loading = asyncio.Lock()

    async def find(self, key_id: str | None, algorithm: str) -> PyJWK | None:
        """Return the key of that id for an algorithm, or None.

        key_id  None: the token names none, which does where the issuer has one such key
        raises  Unavailable while no keys were ever had
        """
        now_s = self._clock.monotonic()
        is_old = self._had_s is None or now_s - self._had_s > KEYS_AGE_S_MAX
        if is_old or key_id not in self._found:
            await self._reload(now_s)
        if self._had_s is None:
            raise Unavailable(f"the keys of issuer {self._issuer.name} cannot be had now")
        known = (key_id, algorithm)
        if known not in self._ready:
            if key_id not in self._found:
                return None  # not remembered: strangers invent names without end
            self._ready[known] = _only(self._found[key_id], algorithm)
        return self._ready[known]

    async def _reload(self, asked_s: float) -> None:
        async with self._loading:
            tried_s = self._tried_s
            if tried_s is not None and (tried_s >= asked_s or asked_s - tried_s < RELOAD_S_MIN):
                return
            self._tried_s = asked_s
            try:
                keys = _keys_of(await self._read())
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as err:
                # Old keys stay good: an issuer that is away for an hour locks nobody out.
                log.warning(
                    "cannot get the keys of issuer %s from %s: %s",
                    self._issuer.name,
                    self._issuer.keys,
                    str(err) or type(err).__name__,
                )
                return
            self._had_s = asked_s
            self._ready.clear()
            self._found = {None: keys}
            for name in {key["kid"] for key in keys if "kid" in key}:
                self._found[name] = [key for key in keys if key.get("kid") == name]

    async def _read(self) -> bytes:
        source = self._issuer.keys
        if isinstance(source, Path):
            return await asyncio.to_thread(source.read_bytes)
        ca_file = self._issuer.ca_file
        trusted = True if ca_file is None else ssl.create_default_context(cafile=ca_file)
        timeout = aiohttp.ClientTimeout(total=FETCH_S_MAX)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(source, allow_redirects=False, ssl=trusted) as answer,
        ):
            if answer.status != 200:
                raise ValueError(f"it answers {answer.status}")
            content = bytearray()
            async for chunk in answer.content.iter_any():
                content += chunk
                if len(content) > KEYS_BYTES_MAX:
                    raise ValueError(f"it answers more than {KEYS_BYTES_MAX} bytes")
            return bytes(content)


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


def _keys_of(content: bytes) -> list[dict[str, Any]]:
    """Return the keys for signatures in a JWK set; raise ValueError for what is none."""
    try:
        found = msgspec.json.decode(content, type=_KeySet).keys
    except (msgspec.MsgspecError, RecursionError) as err:
        raise ValueError(f"this is no JWK set: {err}") from err
    return [
        key
        for key in found[:KEYS_MAX]
        if key.get("use", "sig") == "sig" and isinstance(key.get("kid", ""), str)
    ]


def _only(keys: Sequence[dict[str, Any]], algorithm: str) -> PyJWK | None:
    """Return the one key that the algorithm can take, or None where there is none or a choice."""
    usable: list[PyJWK] = []
    for key in keys:
        if key.get("alg", algorithm) == algorithm:
            try:
                usable.append(PyJWK(key, algorithm))
            except (jwt.PyJWTError, ValueError, TypeError):
                continue  # of another kind, or broken
    return usable[0] if len(usable) == 1 else None
