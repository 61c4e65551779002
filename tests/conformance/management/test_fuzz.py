"""Whatever is sent to the management interface, it answers in its own form; never with a 500."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import quote

import pytest

from shoal_controller.api.management.routes import ROUTES
from tests.conformance.conftest import ACCOUNT
from tests.conformance.management.conftest import Manager, error_of

GOOD = {"accountName": ACCOUNT, "applicationName": "a", "versionName": "1"}
SEGMENTS = (
    *("", "a", "..", "%2E%2E", "%2F", "%00", "%ff", "%", "%zz", "%ED%A0%80", "ü", "'", "\\"),
    *("x" * 300, "applications", "VERSIONS", "$"),
)
QUERIES = ("maxresults", "$skiptoken", "timeout", "api-version", "x", "$filter")
QUERY_VALUES = ("", "1", "-1", "%00", "99999999999", "abc", "%ff")
NAMES = (
    *("properties", "tags", "format", "displayName", "allowUpdates", "defaultVersion"),
    *("id", "odata.x", "", "etag"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1e308, 10**30, "", "\0", "x" * 5000, "zip", "false", "1", "ü"),
    *([], {}, [[]], {"a": {}}, {"displayName": None}, {"defaultVersion": "1"}),
)
CONDITIONS = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
TAGS = ("*", '"x"', "", "W/", "Tue", '""')
METHODS = ("PUT", "GET", "DELETE", "POST", "PATCH", "HEAD")


def document(chance: random.Random, depth: int) -> dict[str, Any]:
    """Return a body of names and values that mean something here, put together anyhow."""
    return {
        chance.choice(NAMES): document(chance, depth - 1)
        if depth and chance.random() < 0.5
        else chance.choice(VALUES)
        for _ in range(chance.randrange(4))
    }


def target(chance: random.Random, path: str) -> str:
    """Return a row's path with arguments good and bad, perhaps cut off."""
    for name in ("subscriptionId", "resourceGroupName", *GOOD):
        value = GOOD.get(name, "s")
        if name != "accountName" and chance.random() < 0.3:
            value = chance.choice(SEGMENTS)
        path = path.replace(f"{{{name}}}", value)
    path = quote(path, safe="/%$'\\")
    return path[: chance.randrange(15, len(path))] if chance.random() < 0.1 else path


@pytest.mark.parametrize("seed", range(4))
async def test_everything_is_answered_in_the_interfaces_form(seed: int, manager: Manager) -> None:
    chance = random.Random(seed)
    await manager.packaged("a", "1")
    for _ in range(150):
        route = chance.choice(ROUTES)
        method = chance.choice((route.method, route.method, *METHODS))
        pairs = [
            f"{chance.choice(QUERIES)}={chance.choice(QUERY_VALUES)}"
            for _ in range(chance.randrange(3))
        ]
        raw = json.dumps(document(chance, 2)).encode() if chance.random() < 0.7 else None
        if raw and chance.random() < 0.2:
            raw = raw[: chance.randrange(len(raw))]
        headers = {}
        if chance.random() < 0.2:
            headers[chance.choice(CONDITIONS)] = chance.choice(TAGS)
        sent = (method, target(chance, route.path), "&".join(pairs), raw, headers)
        answer = await manager.send(*sent[:2], query=sent[2], raw=raw, headers=headers)
        assert answer.status < 500 or answer.status == 501, sent
        assert "x-ms-request-id" in answer.headers, sent
        if answer.status >= 400 and method != "HEAD":
            assert error_of(answer)["code"], sent
