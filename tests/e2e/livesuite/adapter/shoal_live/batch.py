"""The Batch API for what the preparers need: one signed request."""

from __future__ import annotations

import base64
import json
import os
from email.utils import formatdate
from typing import Any, Final

import requests

from shoal_live.accounts import Account
from shoal_protocol.sharedkey import SignedParts, sign

ENDPOINT: Final = os.environ["AZURE_BATCH_ENDPOINT"].rstrip("/")
QUERY: Final = "api-version=2025-06-01"
NOT_FOUND: Final = 404


def call(
    account: Account, method: str, path: str, body: Any = None, *, missing_ok: bool = False
) -> Any:
    """Return the document that answers a request; raise RuntimeError for a refusal."""
    content = None if body is None else json.dumps(body).encode()
    headers = {"ocp-date": formatdate(usegmt=True), "Content-Type": "application/json"}
    if method != "GET":
        headers["Content-Length"] = str(len(content or b""))
    lowered = {name.lower(): value for name, value in headers.items()}
    parts = SignedParts(method, path, QUERY, lowered)
    headers["Authorization"] = sign(base64.b64decode(account.key), account.name, parts)
    answer = requests.request(
        method, f"{ENDPOINT}{path}?{QUERY}", headers=headers, data=content, timeout=60
    )
    if not answer.ok and not (missing_ok and answer.status_code == NOT_FOUND):
        raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
    return json.loads(answer.text) if answer.text else None
