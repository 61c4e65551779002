"""A whole controller behind TLS: who trusts it, certificates that change, nodes and clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import ssl
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.batch import BatchClient
from azure.core.credentials import AccessToken
from cryptography import x509

from shoal_controller import privateca, tls
from shoal_controller.config import BadConfig, IssuerSettings, RuleSettings, TlsSettings
from shoal_controller.core.access import Role
from tests.contracts.a_controller import Site, started
from tests.identity import AUDIENCE, ISSUER, Provider
from tests.raw_client import RawClient

PATIENCE_S = 60
SYSTEM = True


def authority(data: Path, *hosts: str) -> TlsSettings:
    return TlsSettings(authority=data.parent / "tls", hosts=hosts)


def trusting(ca_file: Path | str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


async def asked(url: str, trusted: ssl.SSLContext | bool) -> int:
    """Return the status of the answer at a URL."""
    async with aiohttp.ClientSession() as session, session.get(url, ssl=trusted) as answer:
        return answer.status


async def shown(url: str) -> int:
    """Return the serial number of the certificate that a server shows to a new connection."""
    host, _, port = url.removeprefix("https://").partition(":")
    server = host, int(port)
    text = await asyncio.to_thread(ssl.get_server_certificate, server, timeout=PATIENCE_S)
    return x509.load_pem_x509_certificate(text.encode()).serial_number


def serial(path: Path) -> int:
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(what):
            await asyncio.sleep(0.02)


# --- who trusts it --------------------------------------------------------------------------------


async def test_who_pins_the_authority_is_let_in_and_others_do_not_trust_it(data: Path) -> None:
    async with started(data, "lab1", tls=authority(data)) as site:
        controller = site.controller
        assert controller.api_url.startswith("https://127.0.0.1:")
        assert controller.storage_url.startswith("https://127.0.0.1:")
        for url, status in ((controller.api_url, 400), (controller.storage_url, 401)):
            assert await asked(f"{url}/lab1/x", trusting(site.ca_file)) == status
            named = url.replace("127.0.0.1", "localhost")
            assert await asked(f"{named}/lab1/x", trusting(site.ca_file)) == status
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await asked(url, SYSTEM)
            with pytest.raises(aiohttp.ClientError):
                await asked(url.replace("https:", "http:"), SYSTEM)
        primary = (await site.keys("lab1"))["batch"]["primary"]
        async with site.client("lab1", primary) as client:
            await client.make_job("j", "p")
            (job,) = (await client.call("GET", "/jobs"))["value"]
            assert job["url"] == f"{controller.api_url}/jobs/j"


async def test_versions_of_tls_that_are_broken_are_not_spoken(data: Path) -> None:
    async with started(data, tls=authority(data)) as site:
        old = trusting(site.ca_file)
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        # Depending on who hangs up first, it is an alert or a connection that was reset.
        with pytest.raises(aiohttp.ClientConnectorError):
            await asked(site.controller.api_url, old)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        await asked(site.controller.api_url, old)


async def test_an_authority_outlives_the_controller(data: Path) -> None:
    async with started(data, tls=authority(data)) as site:
        first = await shown(site.controller.api_url)
        kept = Path(site.ca_file).read_bytes()
    async with started(data, tls=authority(data)) as site:
        assert await shown(site.controller.api_url) == first
    async with started(data, tls=authority(data, "batch.example.org")) as site:
        assert await shown(site.controller.api_url) != first
        assert Path(site.ca_file).read_bytes() == kept


@pytest.mark.parametrize("text", ["", "nothing", None])
async def test_a_certificate_that_cannot_be_shown_stops_the_start(
    data: Path, text: str | None
) -> None:
    folder = _own(data, "one")
    if text is None:
        (folder / "key.pem").unlink()
    else:
        (folder / "key.pem").write_text(text)
    with pytest.raises(BadConfig, match=r"tls: .*cert\.pem"):
        async with started(data, tls=_own_settings(folder)):
            pass


async def test_keys_of_an_issuer_that_are_not_there_stop_the_start(data: Path) -> None:
    rule = RuleSettings(claim="groups", value="g", role=Role.READER, account="lab1")
    missing = data.parent / "jwks.json"
    issuer = IssuerSettings(issuer="i", audience="a", keys_file=missing, rules=[rule])
    with pytest.raises(BadConfig, match=r"keys_file: there is no file .*jwks\.json"):
        async with started(data, "lab1", issuers=[issuer]):
            pass


# --- certificates that change ---------------------------------------------------------------------


def _own(data: Path, name: str) -> Path:
    """Make a certificate as somebody else's tool would; return the folder of its files."""
    made = data.parent / name
    privateca.make_authority(made, datetime.now(UTC))
    privateca.ensure_server(made, (), datetime.now(UTC))
    _install(made, made)
    return made


def _install(made: Path, into: Path, *names: str) -> None:
    pairs = {"cert.pem": "server.pem", "key.pem": "server.key"}
    for name in names or pairs:
        fresh = into / f"{name}.new"
        fresh.write_bytes((made / pairs[name]).read_bytes())
        fresh.replace(into / name)


def _own_settings(folder: Path) -> TlsSettings:
    return TlsSettings(
        certificate=folder / "cert.pem", key=folder / "key.pem", ca_file=folder / "ca.pem"
    )


@pytest.fixture
def quick_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "WATCH_S", 0.02)


@contextlib.contextmanager
def noted(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[str], bool]]:
    caplog.set_level(logging.INFO)
    yield lambda words: words in caplog.text


@pytest.mark.usefixtures("quick_watch")
async def test_a_new_certificate_is_shown_and_no_connection_is_cut(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = _own(data, "one"), _own(data, "two")
    async with started(data, "lab1", tls=_own_settings(one)) as site:
        url = site.controller.api_url
        connector = aiohttp.TCPConnector(ssl=trusting(one / "ca.pem"), limit=1)
        async with aiohttp.ClientSession(connector=connector) as session:
            with noted(caplog) as said:
                async with session.get(url) as answer:
                    await answer.read()
                held = next(iter(connector._conns.values()))[0][0]
                # One file after the other: in between they do not belong together.
                _install(two, one, "cert.pem")
                await until(lambda: said("is not taken"))
                assert await shown(url) == serial(one / "server.pem")
                _install(two, one, "key.pem")
                await until(lambda: said("is shown from now on"))
                assert await shown(url) == serial(two / "server.pem")
                assert await shown(site.controller.storage_url) == serial(two / "server.pem")
                async with session.get(url) as answer:  # on the connection that was open
                    await answer.read()
                assert next(iter(connector._conns.values()))[0][0] is held
        assert await asked(url, trusting(two / "ca.pem")) == 400
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await asked(url, trusting(one / "ca.pem"))


@pytest.mark.usefixtures("quick_watch")
async def test_files_that_vanish_or_are_damaged_change_nothing(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = _own(data, "one")
    async with started(data, "lab1", tls=_own_settings(one)) as site:
        with noted(caplog) as said:
            (one / "key.pem").unlink()
            await until(lambda: said("cannot be read"))
            (one / "key.pem").write_text("damaged")
            await until(lambda: said("cannot be used together"))
        assert await shown(site.controller.api_url) == serial(one / "server.pem")


def test_a_private_authority_signs_anew_by_itself_before_the_end(tmp_path: Path) -> None:
    class Clock:
        time = datetime.now(UTC)

        def now(self) -> datetime:
            return self.time

        def monotonic(self) -> float:
            return self.time.timestamp()

    clock, folder = Clock(), tmp_path / "tls"
    found = tls.ServerTls(TlsSettings(authority=folder), clock)
    first = serial(folder / "server.pem")
    clock.time += timedelta(days=200)
    assert not found.refresh()
    clock.time += privateca.SERVER_LIFE - timedelta(days=220)
    assert found.refresh()
    assert serial(folder / "server.pem") != first
    assert not found.refresh()


async def test_the_end_of_a_certificate_is_announced(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = data.parent / "one"
    privateca.make_authority(one, datetime.now(UTC))
    privateca.ensure_server(one, (), datetime.now(UTC) - privateca.SERVER_LIFE + timedelta(days=9))
    _install(one, one)
    async with started(data, tls=_own_settings(one)):
        assert "ends in 8 days" in caplog.text


# --- nodes and clients ----------------------------------------------------------------------------

SCRIPT = """
import json, os, ssl, urllib.request as r, urllib.error as e
trusted = ssl.create_default_context(cafile=os.environ["SHOAL_CA_FILE"])
def status(path):
    url = os.environ["AZ_BATCH_ACCOUNT_URL"] + path + "?api-version=2024-07-01.20.0"
    head = {"Authorization": "Bearer " + os.environ["AZ_BATCH_AUTHENTICATION_TOKEN"]}
    try:
        return r.urlopen(r.Request(url, headers=head), context=trusted).status
    except e.HTTPError as error:
        return error.code
assert status("jobs/j") == 200, status("jobs/j")
assert status("jobs/other") == 403, status("jobs/other")
assert status("jobs") == 403, status("jobs")
"""


async def test_a_node_and_its_tasks_trust_the_authority_and_the_token_stays_secret(
    data: Path, quick_watch: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "shoal_controller")
    async with started(data, "lab1", tls=authority(data)) as site:
        keys = await site.keys("lab1")
        async with (
            asyncio.timeout(PATIENCE_S),
            site.client("lab1", keys["batch"]["primary"]) as client,
        ):
            await client.make_pool("p", 1)
            await client.make_job("j", "p")
            await client.make_job("other", "p")
            version = "2024-07-01.20.0"
            await _add(client, "j", version, "quick", [sys.executable, "-c", SCRIPT])
            await _completed(client, "j", "quick")
            task = await client.call("GET", "/jobs/j/tasks/quick")
            assert task["executionInfo"].get("failureInfo") is None, task["executionInfo"]
            await _add(client, "j", version, "slow", ["sleep", "1000"])
            while (await client.call("GET", "/jobs/j/tasks/slow"))["state"] != "running":
                await asyncio.sleep(0.05)
            token = await asyncio.to_thread(_token_of_a_process, data, "slow")
            assert token.startswith("shoal-task.lab1.")
            _check_that_nobody_else_has(token, data)
            await client.call("POST", "/jobs/j/tasks/slow/terminate")
            assert await _status(site, token) == 403
    assert token not in caplog.text


async def _add(
    client: RawClient, job_id: str, version: str, task_id: str, words: list[str]
) -> None:
    import shlex

    body = {
        "id": task_id,
        "commandLine": shlex.join(words),
        "authenticationTokenSettings": {"access": ["job"]},
        "userIdentity": {"autoUser": {"elevationLevel": "admin"}},
    }
    content = json.dumps(body).encode()
    await client.call("POST", f"/jobs/{job_id}/tasks", content, f"api-version={version}")


async def _completed(client: RawClient, job_id: str, task_id: str) -> None:
    while (await client.call("GET", f"/jobs/{job_id}/tasks/{task_id}"))["state"] != "completed":
        await asyncio.sleep(0.05)


async def _status(site: Site, token: str) -> int:
    url = f"{site.controller.api_url}/jobs/j?api-version=2025-06-01"
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.get(url, ssl=trusting(site.ca_file)) as answer,
    ):
        return answer.status


def _environments(data: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdigit() and os.fsencode(data) in (process / "environ").read_bytes():
                pairs = (process / "environ").read_bytes().decode(errors="replace").split("\0")
                yield process, dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def _token_of_a_process(data: Path, task_id: str) -> str:
    found = {
        variables["AZ_BATCH_AUTHENTICATION_TOKEN"]
        for _, variables in _environments(data)
        if variables.get("AZ_BATCH_TASK_ID") == task_id
    }
    (token,) = found
    return token


def _check_that_nobody_else_has(token: str, data: Path) -> None:
    """Neither command lines nor what others can read hold the token."""
    for process, variables in _environments(data):
        assert token.encode() not in (process / "cmdline").read_bytes()
        if variables.get("AZ_BATCH_TASK_ID") != "slow":
            assert token not in variables.values()
    for path in data.rglob("*"):
        if path.is_file() and token.encode() in path.read_bytes():
            assert "private" in path.parts, path  # the agent's own folder, closed to others
    for log in data.rglob("agent.log"):
        assert token not in log.read_text()


class _Given:
    """A credential that is a token already."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        assert scopes == ("https://batch.core.windows.net//.default",)
        return AccessToken(self._token, 1 << 40)


async def test_the_unmodified_client_comes_with_a_token_of_its_provider(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = Provider(data.parent / "keys.json", datetime.now(UTC).timestamp())
    rules = [RuleSettings(claim="role", value="user", role=Role.CONTRIBUTOR, account="lab1")]
    issuer = IssuerSettings(issuer=ISSUER, audience=AUDIENCE, keys_file=provider.file, rules=rules)
    async with started(data, "lab1", tls=authority(data), issuers=[issuer]) as site:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", site.ca_file)
        credential: Any = _Given(provider.token(role="user"))

        def work() -> list[str]:
            with BatchClient(site.controller.api_url, credential) as client:
                return [pool.id for pool in client.list_pools()]

        assert await asyncio.to_thread(work) == []
