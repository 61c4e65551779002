"""An identity provider of the tests' own: keys, the JWK set that names them, and tokens."""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER = "https://login.example.org/lab"
AUDIENCE = "https://batch.core.windows.net/"


@cache
def private_key(key_id: str) -> Any:
    """Return a key of its own for each id; the id's beginning says of which kind."""
    if key_id.startswith("ec"):
        return ec.generate_private_key(ec.SECP256R1())
    if key_id.startswith("ed"):
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 2048)


def public_jwk(key_id: str, **more: Any) -> dict[str, Any]:
    """Return what a JWK set says of a key."""
    algorithm: Any = RSAAlgorithm
    if key_id.startswith("ec"):
        algorithm = ECAlgorithm
    elif key_id.startswith("ed"):
        algorithm = OKPAlgorithm
    described = algorithm.to_jwk(private_key(key_id).public_key(), as_dict=True)
    return {**described, "kid": key_id, "use": "sig"} | more


@dataclass
class Provider:
    """Signs tokens, and publishes its keys in a file.

    now_s  seconds since 1970: what its tokens are dated from
    """

    file: Path
    now_s: float
    key_ids: list[str] = field(default_factory=lambda: ["rsa-1"])

    def __post_init__(self) -> None:
        self.publish()

    def publish(self) -> None:
        keys = [public_jwk(key_id) for key_id in self.key_ids]
        self.file.write_text(json.dumps({"keys": keys}))

    def token(
        self,
        *,
        key_id: str = "rsa-1",
        algorithm: str = "RS256",
        headers: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Return a token that is good for an hour, as far as nothing else is said."""
        content = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "somebody",
            "iat": int(self.now_s),
            "exp": int(self.now_s) + 3600,
        } | claims
        named = {"kid": key_id} if headers is None else headers
        return jwt.encode(content, private_key(key_id), algorithm, headers=named)


def unsigned(token: str, **header: Any) -> str:
    """Return a token with another header and without its signature."""
    return f"{_head(token, {'alg': 'none'} | header)}."


def signed_by_public_key(token: str, key_id: str) -> str:
    """Return a token whose signature takes a key that everybody knows for a shared secret."""
    public = private_key(key_id).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    secret = public.public_bytes(serialization.Encoding.PEM, form)
    text = _head(token, {"alg": "HS256", "kid": key_id})
    return f"{text}.{_encoded(hmac.digest(secret, text.encode(), 'sha256'))}"


def _head(token: str, header: dict[str, Any]) -> str:
    text = json.dumps({"typ": "JWT"} | header).encode()
    return f"{_encoded(text)}.{token.split('.')[1]}"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
