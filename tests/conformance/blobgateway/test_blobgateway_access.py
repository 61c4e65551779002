"""Who gets in: SharedKey and SAS, each altered in every way a stranger would try."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import (
    BlobClient,
    BlobServiceClient,
    ContainerClient,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)

from shoal_controller.blobgateway import sign_blob_sas, sign_container_sas
from shoal_controller.blobgateway.web.routes import ROUTES
from tests.conformance.blobgateway.server import (
    ACCOUNT,
    KEY,
    OTHER_ACCOUNT,
    OTHER_KEY,
    VERSION,
    RunningGateway,
    code_of,
    send,
    signed,
)

KEY_TEXT = base64.b64encode(KEY).decode()
PATHS = {"service": "/dev", "container": "/dev/secrets", "blob": "/dev/secrets/plan.txt"}


@pytest.fixture(scope="module", autouse=True)
def secrets(gateway: RunningGateway) -> Iterator[None]:
    with BlobServiceClient.from_connection_string(gateway.connection_string) as service:
        service.create_container("secrets").upload_blob("plan.txt", b"the plan")
        service.create_container("other-room").upload_blob("plan.txt", b"another plan")
        yield
        # Whatever strangers tried, nothing changed.
        assert [c.name for c in service.list_containers()] == ["other-room", "secrets"]
        blob = service.get_blob_client("secrets", "plan.txt")
        assert blob.download_blob().readall() == b"the plan"


def in_hours(hours: float) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


def every_request() -> list[tuple[str, str]]:
    requests = []
    for row in ROUTES:
        wanted = [("restype", row.restype), ("comp", row.comp)]
        query = urlencode([pair for pair in wanted if pair[1]])
        requests.append((row.method, PATHS[row.level] + (f"?{query}" if query else "")))
    return requests


@pytest.mark.parametrize(("method", "path"), every_request())
def test_every_operation_turns_away_strangers(
    gateway: RunningGateway, method: str, path: str
) -> None:
    reply = gateway.send(method, path, {"x-ms-version": VERSION, "x-ms-blob-type": "BlockBlob"})
    assert (reply.status, reply.code) == (401, "NoAuthenticationInformation")
    assert "www-authenticate" in reply.headers
    old = signed(method, path, date=in_hours(-0.26))
    reply = send(gateway.port, method, path, old)
    assert (reply.status, reply.code) == (403, "AuthenticationFailed")
    wrong = signed(method, path, key=OTHER_KEY)
    reply = send(gateway.port, method, path, wrong)
    assert (reply.status, reply.code) == (403, "AuthenticationFailed")
    foreign = signed(method, path, account=OTHER_ACCOUNT, key=OTHER_KEY)
    reply = send(gateway.port, method, path, foreign)
    assert (reply.status, reply.code) == (403, "AuthenticationFailed")


@pytest.mark.parametrize(
    "value",
    ["", "SharedKey", "SharedKey dev", "SharedKey dev:", "SharedKey dev:AAAA", "Bearer x",
     "SharedKeyLite dev:AAAA", "SharedKey nobody:AAAA", "Basic ZGV2OmRldg==", "SharedKey dev:\xff"],
)  # fmt: skip
def test_a_malformed_authorization_header_is_refused(gateway: RunningGateway, value: str) -> None:
    headers = signed("GET", PATHS["blob"]) | {"authorization": value}
    reply = gateway.send("GET", PATHS["blob"], headers)
    assert (reply.status, reply.code) == (403, "AuthenticationFailed")


@pytest.mark.parametrize(
    ("name", "value"),
    [("x-ms-date", "Sat, 21 Nov 2037 07:00:00 GMT"), ("x-ms-date", "today"), ("range", "bytes=0-1"),
     ("x-ms-meta-a", "1"), ("content-type", "text/html"), ("x-ms-version", "2020-02-10"),
     ("if-match", "*"), ("content-length", "9"), ("x-ms-date", "")],
)  # fmt: skip
def test_a_header_changed_after_signing_is_refused(
    gateway: RunningGateway, name: str, value: str
) -> None:
    headers = signed("GET", PATHS["blob"]) | {name: value}
    body = b"x" * 9 if name == "content-length" else None
    reply = gateway.send("GET", PATHS["blob"], headers, body)
    assert (reply.status, reply.code) == (403, "AuthenticationFailed")


def test_a_signature_is_good_for_its_method_path_and_query_only(gateway: RunningGateway) -> None:
    headers = signed("GET", PATHS["blob"])
    assert gateway.send("GET", PATHS["blob"], headers).status == 200
    for method, path in (
        ("DELETE", PATHS["blob"]),
        ("GET", "/dev/other-room/plan.txt"),
        ("GET", PATHS["blob"] + "?comp=metadata"),
        ("GET", PATHS["container"] + "?restype=container&comp=list"),
        ("GET", "/other/secrets/plan.txt"),
    ):
        reply = gateway.send(method, path, headers)
        assert (reply.status, reply.code) == (403, "AuthenticationFailed"), path


def test_a_signature_ages_with_the_clock_of_the_gateway(gateway: RunningGateway) -> None:
    headers = signed("GET", PATHS["blob"])
    try:
        for minutes, status in ((14, 200), (-14, 200), (16, 403), (-16, 403)):
            gateway.clock.shift = timedelta(minutes=minutes)
            assert gateway.send("GET", PATHS["blob"], headers).status == status
    finally:
        gateway.clock.shift = timedelta(0)


def test_the_container_sas_of_the_sdk_allows_what_it_says(gateway: RunningGateway) -> None:
    with ContainerClient.from_connection_string(gateway.connection_string, "sas") as owner:
        owner.create_container()
        for make in (
            lambda p: generate_container_sas(ACCOUNT, "sas", KEY_TEXT, None, p, in_hours(1)),
            lambda p: sign_container_sas(ACCOUNT, KEY, "sas", p, in_hours(1), in_hours(-1)),
        ):
            with ContainerClient.from_container_url(
                gateway.url("/dev/sas?") + make("rwdl"), retry_total=0
            ) as client:
                client.upload_blob("a", b"x" * 100_000)
                client.upload_blob("a", b"y", overwrite=True)
                assert client.download_blob("a").readall() == b"y"
                assert [blob.name for blob in client.list_blobs()] == ["a"]
                client.delete_blobs("a")
                with pytest.raises(HttpResponseError) as caught:
                    client.delete_container()
                assert code_of(caught) == "AuthorizationPermissionMismatch"
        owner.delete_container()


@pytest.mark.parametrize(
    ("letters", "method", "query", "allowed"),
    [
        ("r", "GET", "", True), ("wdlac", "GET", "", False),
        ("r", "HEAD", "", True), ("l", "HEAD", "", False),
        ("r", "GET", "comp=metadata", True), ("w", "GET", "comp=metadata", False),
        ("r", "GET", "comp=blocklist", True), ("wl", "GET", "comp=blocklist", False),
        ("w", "PUT", "", True), ("rdl", "PUT", "", False), ("a", "PUT", "", False),
        ("w", "PUT", "comp=metadata", True), ("rcdl", "PUT", "comp=metadata", False),
        ("rcdl", "PUT", "comp=properties", False), ("rl", "PUT", "comp=block&blockid=QQ==", False),
        ("rl", "PUT", "comp=blocklist", False), ("rwlc", "DELETE", "", False),
    ],
)  # fmt: skip
def test_each_letter_allows_its_operations_and_no_others(
    gateway: RunningGateway, letters: str, method: str, query: str, allowed: bool
) -> None:
    for token in (
        generate_container_sas(ACCOUNT, "secrets", KEY_TEXT, None, letters, in_hours(1)),
        generate_blob_sas(
            ACCOUNT, "secrets", "plan.txt", None, KEY_TEXT, None, letters, in_hours(1)
        ),
        generate_account_sas(ACCOUNT, KEY_TEXT, "o", letters, in_hours(1)),
        sign_blob_sas(ACCOUNT, KEY, "secrets", "plan.txt", letters, in_hours(1)),
    ):
        path = f"{PATHS['blob']}?{query + '&' if query else ''}{token}"
        headers = {"x-ms-version": VERSION, "x-ms-blob-type": "BlockBlob"}
        reply = gateway.send(method, path, headers, b"the plan" if method == "PUT" else None)
        if allowed:
            assert reply.status in (200, 201), reply
        else:
            assert (reply.status, reply.code) == (403, "AuthorizationPermissionMismatch")


def test_create_without_write_makes_blobs_but_replaces_none(gateway: RunningGateway) -> None:
    token = sign_container_sas(ACCOUNT, KEY, "secrets", "cd", in_hours(1))
    headers = {"x-ms-blob-type": "BlockBlob", "x-ms-version": VERSION}
    reply = gateway.send("PUT", f"{PATHS['blob']}?{token}", headers, b"forged")
    assert (reply.status, reply.code) == (403, "UnauthorizedBlobOverwrite")
    new = f"/dev/secrets/new?{token}"
    assert gateway.send("PUT", new, headers, b"mine").status == 201
    assert gateway.send("PUT", new, headers, b"changed").code == "UnauthorizedBlobOverwrite"
    blocks = f"/dev/secrets/plan.txt?comp=blocklist&{token}"
    reply = gateway.send("PUT", blocks, {"x-ms-version": VERSION}, b"<BlockList/>")
    assert reply.code == "UnauthorizedBlobOverwrite"
    assert gateway.send("DELETE", new).status == 202


def test_a_sas_that_was_altered_opens_nothing(gateway: RunningGateway) -> None:
    token = generate_container_sas(
        ACCOUNT, "secrets", KEY_TEXT, None, "r", in_hours(1), in_hours(-1), ip="127.0.0.1"
    )
    assert gateway.send("GET", f"{PATHS['blob']}?{token}").status == 200
    pairs = dict(parse_qsl(token))
    altered = ("B" if pairs["sig"][0] == "A" else "A") + pairs["sig"][1:]
    changes: list[dict[str, str]] = [
        {"sp": "rwdl"}, {"se": "2039-01-01T00:00:00Z"}, {"st": "2001-01-01"}, {"sr": "b"},
        {"sr": "d"}, {"sip": "0.0.0.0-255.255.255.255"}, {"sv": "2021-08-06"}, {"sig": ""},
        {"sv": "2018-11-09"}, {"sv": "2015-04-05"}, {"sv": "1999-01-01"}, {"spr": "https,http"},
        {"si": "policy"}, {"skoid": "x"}, {"rscc": "x"}, {"ss": "b", "srt": "sco"}, {"sv": ""},
        {"ses": "scope"}, {"sig": altered}, {"sig": "\u00e9"}, {"sig": "\x00"},
    ]  # fmt: skip
    for change in changes:
        reply = gateway.send("GET", f"{PATHS['blob']}?{urlencode(pairs | change)}")
        assert (reply.status, reply.code) == (403, "AuthenticationFailed"), change
    for name in pairs:
        rest = {key: value for key, value in pairs.items() if key != name}
        reply = gateway.send("GET", f"{PATHS['blob']}?{urlencode(rest)}")
        assert reply.status in (401, 403), name
    for extra in ("&sp=rwdl", "&se=2039-01-01", "&sig=x"):
        reply = gateway.send("GET", f"{PATHS['blob']}?{token}{extra}")
        assert (reply.status, reply.code) == (403, "AuthenticationFailed"), extra


def test_a_sas_is_for_its_resource_its_account_and_its_time(gateway: RunningGateway) -> None:
    def code(path: str, token: str, method: str = "GET") -> str | None:
        mark = "&" if "?" in path else "?"
        return gateway.send(method, f"{path}{mark}{token}", {"x-ms-version": VERSION}).code

    room = sign_container_sas(ACCOUNT, KEY, "secrets", "rwdl", in_hours(1))
    plan = sign_blob_sas(ACCOUNT, KEY, "secrets", "plan.txt", "rwd", in_hours(1))
    foreign = sign_container_sas(ACCOUNT, OTHER_KEY, "secrets", "rl", in_hours(1))
    past = sign_container_sas(ACCOUNT, KEY, "secrets", "rl", in_hours(-0.001))
    later = sign_container_sas(ACCOUNT, KEY, "secrets", "rl", in_hours(2), in_hours(1))
    failed = "AuthenticationFailed"
    assert code("/dev/other-room/plan.txt", room) == failed
    assert code("/other/secrets/plan.txt", room) == failed
    assert code("/dev/secrets/plan.txt2", plan) == failed
    assert code("/dev/secrets/plan.txt/x", plan) == failed
    assert code("/dev/secrets?restype=container&comp=list", plan) == failed
    assert code("/dev?comp=list", room) == failed
    assert code(PATHS["blob"], foreign) == failed
    assert code(PATHS["blob"], past) == failed
    assert code(PATHS["blob"], later) == failed
    # A blob of another container whose path only looks like it is inside.
    assert code("/dev/secrets/../other-room/plan.txt", room) == "BlobNotFound"
    assert code("/dev/secrets%2f..%2fother-room/plan.txt", room) == failed


def test_an_account_sas_keeps_to_its_service_level_and_letters(gateway: RunningGateway) -> None:
    def code(path: str, **changes: str) -> str | None:
        options = {"resource_types": "sco", "permission": "rl", "services": "b"} | changes
        token = generate_account_sas(
            ACCOUNT, KEY_TEXT, expiry=in_hours(1), **options  # type: ignore[arg-type]
        )  # fmt: skip
        return gateway.send("GET", f"{path}{'&' if '?' in path else '?'}{token}").code

    assert code("/dev?comp=list") is None
    assert code(PATHS["blob"]) is None
    assert code(PATHS["blob"], services="fqt") == "AuthorizationServiceMismatch"
    assert code(PATHS["blob"], resource_types="sc") == "AuthorizationResourceTypeMismatch"
    assert code("/dev?comp=list", resource_types="o") == "AuthorizationResourceTypeMismatch"
    assert code(PATHS["blob"], permission="wl") == "AuthorizationPermissionMismatch"
    acl = "/dev/secrets?restype=container&comp=acl"
    assert code(acl, permission="rwdlac") == "AuthorizationPermissionMismatch"
    assert code(PATHS["blob"], protocol="https") == "AuthorizationProtocolMismatch"
    assert code(PATHS["blob"], ip="10.0.0.1-10.0.0.9") == "AuthorizationSourceIPMismatch"
    assert code(PATHS["blob"], ip="127.0.0.0-127.0.0.9") is None


def test_response_headers_a_sas_carries_are_sent_unless_they_would_split_the_response(
    gateway: RunningGateway,
) -> None:
    def ask(kind: str) -> tuple[int, str | None]:
        token = generate_blob_sas(
            ACCOUNT, "secrets", "plan.txt", None, KEY_TEXT, None, "r", in_hours(1),
            content_type=kind,
        )  # fmt: skip
        reply = gateway.send("GET", f"{PATHS['blob']}?{token}")
        return reply.status, reply.headers.get("content-type")

    assert ask("text/made-up") == (200, "text/made-up")
    assert ask("text/x\r\nSet-Cookie: a=b")[0] == 400


def test_a_copy_cannot_read_with_rights_the_caller_has_not(gateway: RunningGateway) -> None:
    room = sign_container_sas(ACCOUNT, KEY, "other-room", "rcw", in_hours(1))
    headers = {"x-ms-version": VERSION}
    for source in ("/dev/secrets/plan.txt", f"/dev/secrets/plan.txt?{room}"):
        headers["x-ms-copy-source"] = gateway.url(source)
        reply = gateway.send("PUT", f"/dev/other-room/stolen?{room}", headers)
        assert (reply.status, reply.code) == (403, "CannotVerifyCopySource")
    listing = sign_container_sas(ACCOUNT, KEY, "secrets", "lw", in_hours(1))
    headers["x-ms-copy-source"] = gateway.url(f"/dev/secrets/plan.txt?{listing}")
    reply = gateway.send("PUT", f"/dev/other-room/stolen?{room}", headers)
    assert (reply.status, reply.code) == (403, "CannotVerifyCopySource")


def test_parts_of_a_batch_are_authorized_one_by_one(gateway: RunningGateway) -> None:
    token = sign_container_sas(ACCOUNT, KEY, "other-room", "rd", in_hours(1))
    body = (
        "--b\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\n"
        "DELETE {} HTTP/1.1\r\n\r\n\r\n--b--\r\n"
    )
    for url, status in (
        ("/dev/secrets/plan.txt", 400),
        ("/secrets/plan.txt", 400),
        (f"/secrets/plan.txt?{token}", 400),
        ("/dev/other-room/plan.txt", 401),
        ("/other-room/plan.txt", 401),
        ("/dev/other-room/plan.txt?sig=x", 403),
        (f"/dev/other-room/nothing?{token}", 404),
    ):
        reply = gateway.send(
            "POST",
            f"/dev/other-room?restype=container&comp=batch&{token}",
            {"Content-Type": "multipart/mixed; boundary=b", "x-ms-version": VERSION},
            body.format(url).encode(),
        )
        assert reply.status == 202
        assert f"HTTP/1.1 {status} ".encode() in reply.body, (url, reply.body)


def test_a_client_with_another_accounts_key_is_refused(gateway: RunningGateway) -> None:
    with (
        BlobClient(
            gateway.url("/dev"), "secrets", "plan.txt", credential={
                "account_name": ACCOUNT, "account_key": base64.b64encode(OTHER_KEY).decode()
            }, retry_total=0,
        ) as client,
        pytest.raises(HttpResponseError) as caught,
    ):  # fmt: skip
        client.download_blob()
    assert code_of(caught) == "AuthenticationFailed"
