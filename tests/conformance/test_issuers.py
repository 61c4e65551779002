"""Tokens of identity providers: which are let in, where their keys come from, whose account."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from shoal_controller.api.issuers import KEYS_AGE_S_MAX, RELOAD_S_MIN, Issuer, Issuers
from shoal_controller.core.access import Role
from shoal_controller.core.claims import ALGORITHMS, Rule
from shoal_controller.operations.context import Context
from tests.conformance.conftest import ACCOUNT, Answer, Caller, House, job_body, served
from tests.identity import AUDIENCE, ISSUER, Provider, public_jwk, unsigned

RULES = (
    Rule(("groups",), "readers", Role.READER, account=ACCOUNT),
    Rule(("groups",), "writers", Role.CONTRIBUTOR, account=ACCOUNT),
    Rule(("groups",), "writers", Role.READER, account="other"),
    Rule(("groups",), "strangers", Role.OWNER, account="nowhere"),
)


@dataclass
class Site:
    """A service that trusts one provider."""

    house: House
    provider: Provider
    caller: Caller

    async def ask(
        self, token: str, method: str = "GET", path: str = "/jobs", **more: Any
    ) -> Answer:
        headers = {"Authorization": f"Bearer {token}"} | more.pop("headers", {})
        return await self.caller.send(method, path, headers=headers, is_signed=False, **more)

    async def status(self, token: str, **more: Any) -> int:
        return (await self.ask(token, **more)).status

    def token(self, group: str = "readers", **more: Any) -> str:
        return self.provider.token(groups=[group], **more)

    def wait(self, seconds: float) -> None:
        self.house.clock.time += timedelta(seconds=seconds)


@dataclass
class SeveralAccounts:
    """A house whose account has two names, which is enough for choosing between two."""

    house: House

    def __post_init__(self) -> None:
        self.clock = self.house.clock

    def account(self, name: str) -> Context | None:
        return self.house.ctx if name in (ACCOUNT, "other") else None


def issuer_of(keys: Path | str, **changes: Any) -> Issuer:
    issuer = Issuer(ISSUER, (AUDIENCE, "shoal"), keys, frozenset({"RS256", "ES256"}), RULES)
    return replace(issuer, **changes)


@asynccontextmanager
async def opened(
    house: House, provider: Provider, issuer: Issuer, door: Any = None
) -> AsyncIterator[Site]:
    issuers = Issuers([issuer], house.clock)
    async with (
        served(door or house, issuers=issuers) as base,
        ClientSession(auto_decompress=False) as session,
    ):
        yield Site(house, provider, Caller(base, session, house.clock))


@pytest.fixture
def provider(house: House, tmp_path: Path) -> Provider:
    return Provider(tmp_path / "keys.json", house.clock.time.timestamp())


@pytest.fixture
async def site(house: House, provider: Provider) -> AsyncIterator[Site]:
    async with opened(house, provider, issuer_of(provider.file)) as site:
        yield site


# --- who is let in --------------------------------------------------------------------------------


async def test_a_token_is_let_in_as_what_its_claims_grant(site: Site) -> None:
    reader, writer = site.token(), site.token("writers")
    assert await site.status(reader) == 200
    refused = await site.ask(reader, "POST", body=job_body())
    assert (refused.status, refused.code) == (403, "InsufficientAccountPermissions")
    assert refused.values["Reason"] == (
        "The caller is reader of the account; this needs contributor."
    )
    assert await site.status(writer, method="POST", body=job_body()) == 201
    assert await site.status(reader, path="/jobs/j1") == 200


async def test_the_word_bearer_has_no_case_and_no_date_is_needed(site: Site) -> None:
    headers = {"Authorization": f"bearer {site.token()}", "ocp-date": ""}
    assert (await site.caller.get("/jobs", headers=headers, is_signed=False)).status == 200


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"iss": "https://login.example.org/other"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"iss": ISSUER + "/"}, "issuer"),
        ({"aud": "https://elsewhere/"}, "audience"),
        ({"exp": 5}, "expired"),
        ({"exp": "never"}, "until when"),
        ({"nbf": 1 << 40}, "not good yet"),
        ({"key_id": "rsa-2"}, "no such key"),
        ({"algorithm": "RS512"}, "algorithm"),
        ({"algorithm": "ES256", "key_id": "ec-1", "headers": {"kid": "rsa-1"}}, "no such key"),
    ],
)
async def test_a_token_that_is_no_good_here_is_told_why(
    site: Site, claims: dict[str, Any], told: str
) -> None:
    if not isinstance(claims.get("iss", ""), str):  # the library would refuse to sign it
        token = replace_payload(site.token(), iss=None)
    elif isinstance(claims.get("exp"), str):
        token = replace_payload(site.token(), exp="never")
        told = "signature"
    else:
        token = site.token(**claims)
    answer = await site.ask(token)
    assert (answer.status, answer.code) == (403, "AuthenticationFailed")
    assert told in answer.values["AuthenticationErrorDetail"]
    assert token not in answer.body.decode()


def replace_payload(token: str, **claims: Any) -> str:
    """Return a token whose content was changed after it was signed."""
    head, body, signature = token.split(".")
    content = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))) | claims
    changed = base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()
    return f"{head}.{changed}.{signature}"


async def test_what_was_changed_after_signing_is_refused(site: Site) -> None:
    token = site.token()
    assert await site.status(replace_payload(token)) == 403 or token == replace_payload(token)
    assert await site.status(replace_payload(token, groups=["writers"])) == 403
    assert await site.status(token[:-6] + "AAAAAA") == 403


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS256", None, 1])
async def test_no_token_is_let_in_without_a_private_keys_signature(
    site: Site, algorithm: Any
) -> None:
    token = unsigned(site.token(), alg=algorithm, kid="rsa-1")
    answer = await site.ask(token)
    assert answer.status in (400, 403), answer.body
    assert answer.code in ("AuthenticationFailed", "InvalidAuthenticationInfo")


def test_shared_secrets_and_none_cannot_be_allowed() -> None:
    assert not [name for name in ALGORITHMS if name.upper() == "NONE" or name.startswith("HS")]


@pytest.mark.parametrize(
    "token",
    [
        "abc",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "..",
        base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=") + ".e30.e30",
        "e30." + base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=") + ".e30",
        "e30.e30.e30",
        "W10.W10.e30",
        "bnVsbA.bnVsbA.e30",
    ],
)
async def test_what_is_no_token_is_refused_as_malformed(site: Site, token: str) -> None:
    answer = await site.ask(token)
    assert (answer.status, answer.code) in (
        (400, "InvalidAuthenticationInfo"),
        (403, "AuthenticationFailed"),
    )


async def test_without_trusted_issuers_no_token_is_let_in(
    site: Site, house: House, caller: Caller
) -> None:
    site.caller = caller
    answer = await site.ask(site.token())
    assert (answer.status, answer.code) == (403, "AuthenticationFailed")


# --- whose account --------------------------------------------------------------------------------


async def test_a_token_that_grants_nothing_here_is_told_so(site: Site) -> None:
    for group in ("nobody", "strangers"):
        answer = await site.ask(site.token(group))
        assert (answer.status, answer.code) == (403, "InsufficientAccountPermissions")


async def test_of_several_accounts_the_host_names_the_one(house: House, provider: Provider) -> None:
    door = SeveralAccounts(house)
    async with opened(house, provider, issuer_of(provider.file), door) as site:
        assert await site.status(site.token()) == 200
        writer = site.token("writers")
        answer = await site.ask(writer)
        assert (answer.status, answer.code) == (403, "AuthenticationFailed")
        assert f"(other, {ACCOUNT})" in answer.values["AuthenticationErrorDetail"]
        for host, status in ((ACCOUNT, 201), ("OTHER", 403), ("nowhere", 403)):
            headers = {"Host": f"{host}.batch.example.org:99"}
            body = job_body(host)
            found = await site.status(writer, method="POST", body=body, headers=headers)
            assert found == status, host


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key_id", "algorithm"),
    [("rsa-1", "RS256"), ("rsa-1", "PS384"), ("ec-1", "ES256"), ("ed-1", "EdDSA")],
)
async def test_every_kind_of_key_that_is_allowed_works(
    house: House, provider: Provider, key_id: str, algorithm: str
) -> None:
    provider.key_ids = ["rsa-1", "ec-1", "ed-1"]
    provider.publish()
    issuer = issuer_of(provider.file, algorithms=frozenset({algorithm}))
    async with opened(house, provider, issuer) as site:
        assert await site.status(site.token(key_id=key_id, algorithm=algorithm)) == 200


async def test_a_token_may_leave_out_its_key_where_there_is_one_only(site: Site) -> None:
    assert await site.status(site.token(headers={})) == 200
    site.provider.key_ids = ["rsa-1", "rsa-2"]
    site.provider.publish()
    site.wait(KEYS_AGE_S_MAX + 1)
    assert await site.status(site.token(headers={})) == 403
    assert await site.status(site.token()) == 200


async def test_keys_that_are_not_for_signing_with_that_algorithm_do_not_count(
    site: Site,
) -> None:
    keys = [public_jwk("rsa-1", use="enc"), public_jwk("rsa-2", alg="PS256"), {"kty": "RSA"}, {}]
    site.provider.file.write_text(json.dumps({"keys": keys}))
    assert await site.status(site.token()) == 403
    assert await site.status(site.token(key_id="rsa-2")) == 403


async def test_a_new_key_is_found_by_its_name_and_an_old_one_is_forgotten(site: Site) -> None:
    assert await site.status(site.token()) == 200
    site.provider.key_ids = ["rsa-2"]
    site.provider.publish()
    site.wait(RELOAD_S_MIN)
    assert await site.status(site.token(key_id="rsa-2")) == 200
    assert await site.status(site.token()) == 403


async def test_keys_are_looked_at_again_when_they_are_old(site: Site) -> None:
    assert await site.status(site.token()) == 200
    site.provider.key_ids = ["rsa-2"]
    site.provider.publish()
    site.wait(KEYS_AGE_S_MAX - 10)
    assert await site.status(site.token()) == 200
    site.wait(20)
    assert await site.status(site.token(exp=1 << 33)) == 403


@pytest.mark.parametrize("content", ["", "{}", '{"keys": 1}', "[" * 100_000])
async def test_while_no_keys_can_be_had_the_service_is_busy(site: Site, content: str) -> None:
    site.provider.file.write_text(content)
    answer = await site.ask(site.token())
    assert (answer.status, answer.code) == (503, "ServerBusy")
    assert ISSUER in answer.values["Reason"]
    site.provider.publish()
    site.wait(RELOAD_S_MIN)
    assert await site.status(site.token()) == 200
    site.provider.file.unlink()  # what was had once stays good
    site.wait(KEYS_AGE_S_MAX + 1)
    assert await site.status(site.token(exp=1 << 33)) == 200


async def test_keys_come_from_a_url_and_strangers_cannot_make_it_be_asked_often(
    house: House, provider: Provider
) -> None:
    asked: list[str] = []

    async def keys(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        if request.path == "/elsewhere":
            raise web.HTTPFound("/keys")
        return web.Response(body=provider.file.read_bytes())

    app = web.Application()
    app.router.add_get("/{name}", keys)
    async with TestServer(app, host="127.0.0.1") as server:
        url = str(server.make_url("/keys"))
        async with opened(house, provider, issuer_of(url)) as site:
            tokens = [
                site.token(),
                *(site.token(key_id=f"rsa-1{n}", headers={"kid": f"x{n}"}) for n in range(1)),
            ]
            found = await asyncio.gather(*(site.status(token) for token in tokens * 5))
            assert sorted(found) == [200] * 5 + [403] * 5
            assert asked == ["/keys"]
            site.wait(RELOAD_S_MIN)
            await asyncio.gather(*(site.status(tokens[1]) for _ in range(5)))
            assert asked == ["/keys"] * 2
        async with opened(house, provider, issuer_of(url.replace("keys", "elsewhere"))) as site:
            assert await site.status(site.token()) == 503  # a redirection is not followed
