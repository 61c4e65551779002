"""The account and its keys through the management interface, and its door."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from shoal_controller.api.management.routes import ROUTES, VERSIONS
from tests.conformance.conftest import ACCOUNT, KEY, SECOND_KEY, Answer, Caller, encoded
from tests.conformance.management.conftest import GROUP, ROOT, Manager, StockedHouse, error_of

ACCOUNTS = "/providers/Microsoft.Batch/batchAccounts"


async def bare(
    caller: Caller, method: str, path: str, authorization: str | None, body: Any = None
) -> Answer:
    """Send a request with this Authorization header and no other."""
    headers = {} if authorization is None else {"Authorization": authorization}
    url = URL(f"{caller.base}{path}?api-version=2025-06-01", encoded=True)
    async with caller.session.request(method, url, json=body, headers=headers) as response:
        return Answer(
            response.status, response.reason or "", response.headers, await response.read()
        )


async def test_the_account_looks_as_the_service_shows_it(manager: Manager) -> None:
    account = (await manager.get("")).json
    synced = account["properties"]["autoStorage"].pop("lastKeySync")
    assert synced.startswith("2026-05-01T12:")
    assert account == {
        "id": ROOT,
        "name": ACCOUNT,
        "type": "Microsoft.Batch/batchAccounts",
        "location": "local",
        "properties": {
            "accountEndpoint": "http://batch.test:10443",
            "provisioningState": "Succeeded",
            "dedicatedCoreQuota": 100,
            "dedicatedCoreQuotaPerVMFamily": [],
            "dedicatedCoreQuotaPerVMFamilyEnforced": False,
            "lowPriorityCoreQuota": 100,
            "poolQuota": 100,
            "activeJobAndJobScheduleQuota": 300,
            "autoStorage": {
                "storageAccountId": f"{GROUP}/providers/Microsoft.Storage/storageAccounts/"
                f"{ACCOUNT}",
                "authenticationMode": "StorageKeys",
            },
            "poolAllocationMode": "BatchService",
            "publicNetworkAccess": "Enabled",
            "encryption": {"keySource": "Microsoft.Batch"},
            "allowedAuthenticationModes": ["SharedKey", "AAD", "TaskAuthenticationToken"],
        },
        "identity": {"type": "None"},
    }


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://batch.example.org", "batch.example.org"),
        ("https://batch.example.org:8443", "batch.example.org:8443"),
        ("https://example.org/batch", "https://example.org/batch"),
        ("http://127.0.0.1:10443", "http://127.0.0.1:10443"),
    ],
)
async def test_the_endpoint_is_the_host_where_clients_may_put_https_before_it(
    url: str, endpoint: str, manager: Manager, house: StockedHouse
) -> None:
    house.ctx.public_url = url
    assert (await manager.get("")).json["properties"]["accountEndpoint"] == endpoint


async def test_an_older_version_has_fewer_properties(manager: Manager) -> None:
    manager.version = "2019-08-01"
    account = (await manager.get("")).json
    assert "identity" not in account
    assert not {"encryption", "publicNetworkAccess", "allowedAuthenticationModes"} & set(
        account["properties"]
    )
    assert set(account["properties"]["autoStorage"]) == {"storageAccountId", "lastKeySync"}


async def test_lists_have_the_account_that_the_credentials_are_of(manager: Manager) -> None:
    of_group = (await manager.get(f"{GROUP}{ACCOUNTS}")).json
    assert [item["id"] for item in of_group["value"]] == [ROOT]
    of_all = (await manager.get(f"/subscriptions/s{ACCOUNTS}")).json
    assert [item["id"] for item in of_all["value"]] == [
        f"/subscriptions/s/resourceGroups/shoal{ACCOUNTS}/{ACCOUNT}"
    ]
    assert "nextLink" not in of_all


async def test_the_keys_are_those_that_sign(manager: Manager) -> None:
    answer = await manager.send("POST", "listKeys")
    assert answer.status == 200
    assert answer.json == {
        "accountName": ACCOUNT,
        "primary": encoded(KEY),
        "secondary": encoded(SECOND_KEY),
    }
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("name", ["Primary", "secondary"])
async def test_a_key_is_made_anew_and_the_other_goes_on_signing(
    name: str, manager: Manager, caller: Caller
) -> None:
    other = SECOND_KEY if name == "Primary" else KEY
    caller.key = other
    answer = await manager.send("POST", "regenerateKeys", {"keyName": name})
    assert answer.status == 200
    assert (await manager.send("POST", "listKeys")).json == answer.json
    kept, fresh = ("secondary", "primary") if name == "Primary" else ("primary", "secondary")
    assert answer.json[kept] == encoded(other)
    assert answer.json[fresh] not in (encoded(KEY), encoded(SECOND_KEY))
    caller.key = base64.b64decode(answer.json[fresh])
    assert (await manager.get("")).status == 200
    caller.key = KEY if name == "Primary" else SECOND_KEY
    assert (await manager.get("")).status == 401


@pytest.mark.parametrize("body", [{}, {"keyName": "third"}, {"keyName": 1}, {"key": "Primary"}])
async def test_a_key_that_there_is_not_is_refused(manager: Manager, body: Any) -> None:
    assert (await manager.send("POST", "regenerateKeys", body)).status == 400


async def test_storage_keys_are_always_in_step(manager: Manager) -> None:
    answer = await manager.send("POST", "syncAutoStorageKeys")
    assert (answer.status, answer.body) == (204, b"")


async def test_names_of_kinds_match_in_any_case_and_come_back_as_they_are(
    manager: Manager,
) -> None:
    path = (
        f"/SUBSCRIPTIONS/Sub/resourcegroups/Group/PROVIDERS/microsoft.batch/BatchAccounts/"
        f"{ACCOUNT.upper()}"
    )
    account = await manager.get(path)
    assert account.json["id"] == f"/subscriptions/Sub/resourceGroups/Group{ACCOUNTS}/{ACCOUNT}"
    made = await manager.put(f"{path}/Applications/Versions")
    assert made.json["name"] == "Versions"
    package = await manager.put(f"{path}/APPLICATIONS/versions/VERSIONS/Activate")
    assert package.json["name"] == "Activate"


async def test_every_answer_has_the_headers_that_name_it(manager: Manager) -> None:
    client_id = "11111111-2222-3333-4444-555555555555"
    asked = {
        "x-ms-client-request-id": client_id,
        "x-ms-return-client-request-id": "true",
        "x-ms-correlation-request-id": client_id,
    }
    for path, status in (("", 200), ("applications/none", 404)):
        answer = await manager.send("GET", path, headers=asked)
        assert answer.status == status
        assert len(answer.headers["x-ms-request-id"]) == 36
        assert answer.headers["x-ms-client-request-id"] == client_id
        assert answer.headers["x-ms-correlation-request-id"] == client_id
        assert client_id in answer.headers["x-ms-routing-request-id"]
        assert "DataServiceVersion" not in answer.headers
        assert "request-id" not in answer.headers
    forged = {"x-ms-correlation-request-id": "not a guid"}
    answer = await manager.send("GET", "", headers=forged)
    assert answer.headers["x-ms-correlation-request-id"] == answer.headers["x-ms-request-id"]


async def test_api_versions_are_checked(manager: Manager) -> None:
    for manager.version in VERSIONS:
        assert (await manager.get("applications")).status == 200
    for wrong in ("2018-12-01", "2025-06-01.1", "2024-02-01.19.0", "newest"):
        manager.version = wrong
        refused = error_of(await manager.get("applications"))
        assert (refused["status"], refused["code"]) == (400, "InvalidApiVersionParameter")
        assert "2025-06-01" in refused["message"]
    refused = error_of(await manager.get("applications", "api-version="))
    assert (refused["status"], refused["code"]) == (400, "MissingApiVersionParameter")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "nowhere", 404, "ResourceNotFound"),
        ("GET", "applications/a/b", 404, "ResourceNotFound"),
        ("GET", "/subscriptions/s/resourceGroups/g", 404, "ResourceNotFound"),
        ("GET", "/subscriptions/", 404, "ResourceNotFound"),
        ("GET", "applications//versions", 404, "ResourceNotFound"),
        ("POST", "applications/a", 405, "UnsupportedHttpVerb"),
        ("GET", "applications/%ff", 400, "InvalidUri"),
        ("DELETE", "", 501, "NotImplemented"),
    ],
)
async def test_paths_and_methods_that_are_not_there(
    method: str, path: str, status: int, code: str, manager: Manager
) -> None:
    refused = error_of(await manager.send(method, path))
    assert (refused["status"], refused["code"]) == (status, code)


async def test_parameters_that_an_operation_does_not_take_are_refused(manager: Manager) -> None:
    await manager.made("applications/a")
    for path, name in (("applications", "$filter"), ("applications/a", "maxresults"), ("", "$top")):
        refused = error_of(await manager.get(path, f"{name}=1"))
        assert (refused["status"], refused["code"]) == (400, "UnsupportedQueryParameter")
        assert refused["details"]["QueryParameterName"] == name


# --- who is calling -------------------------------------------------------------------------------


async def test_a_key_as_a_bearer_token_opens_its_account_from_this_machine(
    caller: Caller, manager: Manager
) -> None:
    await manager.made("applications/a")
    for key in (KEY, SECOND_KEY):
        token = f"Bearer {encoded(key)}"
        assert (await bare(caller, "GET", ROOT, token)).status == 200
        assert (await bare(caller, "GET", f"{ROOT}/applications/a", token)).status == 200
        listed = await bare(caller, "GET", f"/subscriptions/s{ACCOUNTS}", token)
        assert [item["name"] for item in listed.json["value"]] == [ACCOUNT]


async def test_nobody_without_credentials_gets_or_changes_anything(
    caller: Caller, manager: Manager
) -> None:
    await manager.packaged("a", "1")
    before = (await manager.get("applications/a")).json
    key = encoded(KEY)
    tokens = {
        None: 401,
        "Bearer": 401,
        "Bearer ": 401,
        "Bearer not-base64": 401,
        f"Bearer {encoded(b'guessed')}": 401,
        f"Bearer {base64.b64encode(KEY[:-1]).decode()}": 401,
        f"Bearer {key}x": 401,
        f"Bearer {key} {key}": 401,
        f"Basic {key}": 401,
        f"SharedKey {ACCOUNT}:{key}": 400,  # no date
        key: 401,
    }
    for route in (*ROUTES, None):
        method = "GET" if route is None else route.method
        path = f"{ROOT}/nowhere"
        if route is not None:
            names = {"subscriptionId": "s", "resourceGroupName": "g", "accountName": ACCOUNT}
            path = route.path.format_map(names | {"applicationName": "a", "versionName": "1"})
        for token, status in tokens.items():
            answer = await bare(caller, method, path, token)
            assert error_of(answer)["status"] == status, (route, token)
            if status == 401:
                assert answer.json["error"]["code"] == "AuthenticationFailed"
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert key not in answer.body.decode()
    assert (await manager.get("applications/a")).json == before
    assert (await manager.get("applications/a/versions/1")).status == 200


async def test_credentials_are_good_for_their_own_account_alone(
    caller: Caller, manager: Manager
) -> None:
    other = ROOT.replace(ACCOUNT, "someoneelse")
    refused = error_of(await manager.get(other))
    assert (refused["status"], refused["code"]) == (403, "AuthorizationFailed")
    refused = error_of(await bare(caller, "GET", other, f"Bearer {encoded(KEY)}"))
    assert (refused["status"], refused["code"]) == (401, "AuthenticationFailed")


async def test_a_wrong_signature_is_refused(caller: Caller) -> None:
    thief = Manager(Caller(caller.base, caller.session, caller.clock, key=b"guessed"))
    refused = error_of(await thief.get(""))
    assert (refused["status"], refused["code"]) == (401, "AuthenticationFailed")
    assert "MAC signature" in refused["details"]["AuthenticationErrorDetail"]


async def test_a_key_in_the_clear_from_another_machine_is_refused(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = f"Bearer {encoded(KEY)}"
    for remote, status in (("192.0.2.7", 401), ("2001:db8::1", 401), ("::1", 200), ("", 401)):
        monkeypatch.setattr(web.BaseRequest, "remote", remote)
        answer = await bare(caller, "GET", ROOT, token)
        assert answer.status == status, remote
    assert "over https" in error_of(answer)["details"]["AuthenticationErrorDetail"]
    monkeypatch.setattr(web.BaseRequest, "secure", True)
    monkeypatch.setattr(web.BaseRequest, "remote", "192.0.2.7")
    assert (await bare(caller, "GET", ROOT, token)).status == 200
