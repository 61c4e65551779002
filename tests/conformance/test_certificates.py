"""Certificates through the real application, with an api-version that still has them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.conformance.conftest import (
    CERTIFICATE,
    Caller,
    certificate_body,
    certificate_name,
    certificate_path,
    encoded,
    pool_body,
)

PATH = f"/certificates({certificate_path()})"
OTHER = b"\x30\x03\x02\x01\x06"


@pytest.fixture
async def caller(caller: Caller) -> Caller:
    caller.version = "2024-07-01.20.0"
    return caller


async def test_a_certificate_is_shown_as_recorded(caller: Caller) -> None:
    answer = await caller.post("/certificates", certificate_body())
    thumbprint = certificate_name()["thumbprint"]
    url = f"{caller.base}/certificates(ThumbprintAlgorithm=sha1,Thumbprint={thumbprint})"
    assert (answer.status, answer.body) == (201, b"")
    assert (answer.headers["Location"], answer.headers["DataServiceId"]) == (url, url)
    shown = (await caller.get(PATH)).json
    assert shown == {
        "odata.metadata": f"{caller.base}/$metadata#certificates/@Element",
        **certificate_name(),
        "url": f"{caller.base}{PATH}",
        "state": "active",
        "stateTransitionTime": "2026-05-01T12:00:00.000003Z",
        "publicData": encoded(CERTIFICATE),
    }
    del shown["odata.metadata"]
    assert await caller.pages("/certificates", "") == [[shown]]


async def test_a_key_may_be_written_in_any_case_and_order(caller: Caller) -> None:
    await caller.make("/certificates", certificate_body())
    thumbprint = certificate_name()["thumbprint"].upper()
    for path in (
        f"/certificates(Thumbprint={thumbprint},ThumbprintAlgorithm=SHA1)",
        f"/certificates(thumbprintAlgorithm='sha1',thumbprint='{thumbprint}')",
    ):
        assert (await caller.get(path)).status == 200
    for path in ("/certificates(x)", "/certificates(thumbprint=ab)", "/certificates()"):
        answer = await caller.get(path)
        assert (answer.status, answer.code) == (400, "InvalidUri")
    again = await caller.post("/certificates", certificate_body(thumbprint=thumbprint))
    assert (again.status, again.code) == (409, "CertificateExists")


async def test_secrets_are_never_told(caller: Caller) -> None:
    body = certificate_body(certificateFormat="pfx", password="hush")
    await caller.make("/certificates", body)
    shown = (await caller.get(PATH)).json
    assert not {"data", "password", "publicData"} & shown.keys()
    assert "hush" not in str(shown)


@pytest.mark.parametrize(
    ("changes", "code", "name"),
    [
        ({"thumbprint": None}, "MissingRequiredProperty", "thumbprint"),
        ({"thumbprint": "12"}, "InvalidPropertyValue", "thumbprint"),
        ({"thumbprint": "0" * 40}, "InvalidPropertyValue", "thumbprint"),
        ({"thumbprintAlgorithm": "md5"}, "InvalidPropertyValue", "thumbprintAlgorithm"),
        ({"data": None}, "MissingRequiredProperty", "data"),
        ({"data": "no base64!"}, "InvalidPropertyValue", "data"),
        ({"data": encoded(b"no DER")}, "InvalidPropertyValue", "data"),
        ({"data": encoded(CERTIFICATE + b"more")}, "InvalidPropertyValue", "data"),
        ({"data": encoded(bytes(70_000))}, "InvalidPropertyValue", "data"),
        ({"certificateFormat": "pem"}, "InvalidPropertyValue", "certificateFormat"),
        ({"password": "p"}, "InvalidPropertyValue", "password"),
        ({"owner": "me"}, "UnsupportedProperty", "owner"),
    ],
)
async def test_what_is_no_certificate_is_refused_with_the_property(
    caller: Caller, changes: dict[str, Any], code: str, name: str
) -> None:
    answer = await caller.post("/certificates", certificate_body() | changes)
    assert (answer.status, answer.code, answer.values["PropertyName"]) == (400, code, name)
    assert await caller.pages("/certificates", "") == [[]]


async def test_pem_is_kept_as_the_certificate_that_it_holds(caller: Caller) -> None:
    lines = base64.encodebytes(CERTIFICATE)
    pem = b"-----BEGIN CERTIFICATE-----\n" + lines + b"-----END CERTIFICATE-----\n"
    await caller.make("/certificates", certificate_body() | {"data": encoded(pem)})
    assert (await caller.get(PATH)).json["publicData"] == encoded(CERTIFICATE)


async def test_an_unused_certificate_is_deleted_at_once(caller: Caller) -> None:
    await caller.make("/certificates", certificate_body())
    answer = await caller.post(f"{PATH}/canceldelete")
    assert (answer.status, answer.code) == (409, "CertificateStateActive")
    assert answer.reason == "The specified certificate is in active state."
    assert (await caller.send("DELETE", PATH)).status == 202
    for method, path in (("GET", PATH), ("DELETE", PATH), ("POST", f"{PATH}/canceldelete")):
        answer = await caller.send(method, path)
        assert (answer.status, answer.code) == (404, "CertificateNotFound")


async def test_pools_that_use_a_certificate_keep_it(caller: Caller) -> None:
    await caller.make("/certificates", certificate_body())
    named = certificate_name() | {
        "storeLocation": "localMachine",
        "storeName": "Root",
        "visibility": ["startTask", "remoteuser"],
    }
    await caller.make("/pools", pool_body(certificateReferences=[named]))
    shown = (await caller.get("/pools/p1")).json["certificateReferences"]
    visibility = ["starttask", "remoteuser"]
    assert shown == [named | {"storeLocation": "localmachine", "visibility": visibility}]
    assert (await caller.send("DELETE", PATH)).status == 202
    failed = (await caller.get(PATH)).json
    assert (failed["state"], failed["previousState"]) == ("deletefailed", "deleting")
    error = failed["deleteCertificateError"]
    assert error["values"] == [{"name": "Pool", "value": "p1"}]
    refused = await caller.post("/pools", pool_body("p2", certificateReferences=[named]))
    assert (refused.status, refused.code) == (409, "InvalidCertificateReferences")
    assert "deletefailed" in refused.values["Reason"]
    assert (await caller.post(f"{PATH}/canceldelete")).status == 204
    shown = (await caller.get(PATH)).json
    assert (shown["state"], "deleteCertificateError" in shown) == ("active", False)
    body = {"certificateReferences": []}
    assert (await caller.send("PATCH", "/pools/p1", body)).status == 200
    assert (await caller.send("DELETE", PATH)).status == 202
    assert (await caller.get(PATH)).status == 404


async def test_a_pool_cannot_name_a_certificate_that_is_not_there(caller: Caller) -> None:
    named = [certificate_name(OTHER)]
    created = await caller.post("/pools", pool_body(certificateReferences=named))
    await caller.make("/pools", pool_body())
    patched = await caller.send("PATCH", "/pools/p1", {"certificateReferences": named})
    body = {"certificateReferences": named, "applicationPackageReferences": [], "metadata": []}
    replaced = await caller.post("/pools/p1/updateproperties", body)
    for answer in (created, patched, replaced):
        assert (answer.status, answer.code) == (409, "InvalidCertificateReferences")
        assert named[0]["thumbprint"] in answer.values["Reason"]
    assert (await caller.get("/pools/p1")).json["certificateReferences"] == []


async def test_certificates_are_paged_and_filtered(caller: Caller) -> None:
    await caller.make("/certificates", certificate_body())
    await caller.make("/certificates", certificate_body(OTHER))
    pages = await caller.pages("/certificates", "maxresults=1&$select=thumbprint")
    thumbprints = [certificate_name(data)["thumbprint"] for data in (CERTIFICATE, OTHER)]
    assert pages == [[{"thumbprint": thumbprint}] for thumbprint in thumbprints]
    query = "$filter=state%20eq%20%27deletefailed%27"
    assert await caller.pages("/certificates", query) == [[]]
    for query in ("maxresults=101", "$filter=thumbprint%20eq%20%27a%27"):
        assert (await caller.get("/certificates", query)).status == 400


async def test_the_newest_version_has_no_certificates(caller: Caller) -> None:
    caller.version = "2025-06-01"
    for method, path in (("GET", "/certificates"), ("POST", "/certificates"), ("GET", PATH)):
        assert (await caller.send(method, path)).status == 404
    body = pool_body(certificateReferences=[certificate_name()])
    assert (await caller.post("/pools", body)).status == 400
