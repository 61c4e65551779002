"""Sending local files where nodes can fetch them: a container of the account's blob storage.

Speaks the little of the Blob REST API that this takes: make and delete a container, put a blob,
sign a URL to read it. Source: Blob service REST reference, SharedKey and service SAS.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from yarl import URL

from shoal_cli.faults import Fault, Unreachable, UsageFault
from shoal_cli.settings import Settings
from shoal_cli.trust import connector

STORAGE_VERSION: Final = "2021-12-02"
FILE_BYTES_MAX: Final = 5000 * 1024 * 1024
"""The largest blob that one request may put, since version 2019-12-12."""
_SAS_LIFE: Final = timedelta(days=7)
_CHUNK_BYTES: Final = 1024 * 1024


class Container:
    """A container for the files of one run. Use as `async with`; it is made with its first file.

    settings  their storage is a connection string: BlobEndpoint, or AccountName with the protocol
              and suffix of its host, and AccountKey
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        parts = _connection(settings.storage)
        self._account = parts["AccountName"]
        self._key = _key(parts["AccountKey"])
        self._base = parts["BlobEndpoint"].rstrip("/")
        self._name = name.lower()
        self._exists = False
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Container:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
        self._http = aiohttp.ClientSession(
            timeout=timeout, connector=connector(self._settings, also_system=True)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()

    async def send(self, local: Path, remote: str) -> dict[str, str]:
        """Upload a file and return the resource file, as the API's JSON, that brings it back."""
        if not self._exists:
            await self._request("PUT", "", {"restype": "container"}, accept=(201, 409))
            self._exists = True
        length, is_program = _facts(local)
        await self._request(
            "PUT",
            remote,
            {},
            headers={"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"},
            body=_read(local),
            length=length,
            accept=(201,),
        )
        resource = {"httpUrl": self._signed_url(remote), "filePath": remote}
        if is_program:
            resource["fileMode"] = "0755"
        return resource

    async def delete(self) -> None:
        """Delete the container with all it holds; one that is gone is fine."""
        await self._request("DELETE", "", {"restype": "container"}, accept=(202, 404))

    def _path(self, blob: str) -> str:
        prefix = urlsplit(self._base).path
        return f"{prefix}/{self._name}" + (f"/{quote(blob)}" if blob else "")

    async def _request(
        self,
        method: str,
        blob: str,
        query: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        body: AsyncIterator[bytes] | None = None,
        length: int = 0,
        accept: tuple[int, ...],
    ) -> None:
        assert self._http is not None, "use Container as a context manager"
        path = self._path(blob)
        sent = {
            **(headers or {}),
            "Content-Length": str(length),
            "x-ms-date": format_datetime(datetime.now(UTC), usegmt=True),
            "x-ms-version": STORAGE_VERSION,
        }
        sent["Authorization"] = self._authorization(method, path, query, sent)
        parts = urlsplit(self._base)
        url = f"{parts.scheme}://{parts.netloc}{path}?{urlencode(query)}".rstrip("?")
        where = f"{method} {path}"
        try:
            async with self._http.request(
                method,
                URL(url, encoded=True),
                data=body if length else None,
                headers=sent,
                allow_redirects=False,
                skip_auto_headers=("Content-Type",),
            ) as answer:
                if answer.status not in accept:
                    code = answer.headers.get("x-ms-error-code") or answer.reason or ""
                    raise Fault(
                        f"the storage refused it: {code}",
                        where=f"{where} answered {answer.status}",
                        mend="check AZURE_STORAGE_CONNECTION_STRING",
                    )
        except (aiohttp.ClientError, TimeoutError) as err:
            raise Unreachable(
                f"the storage does not answer: {err or type(err).__name__}",
                where=f"{where} at {parts.scheme}://{parts.netloc}",
                mend="check AZURE_STORAGE_CONNECTION_STRING",
            ) from err

    def _authorization(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> str:
        lower = {name.lower(): value for name, value in headers.items()}
        length = lower.get("content-length", "")
        lines = [
            method,
            "",  # Content-Encoding
            "",  # Content-Language
            "" if length == "0" else length,  # empty for no body, since version 2015-02-21
            "",  # Content-MD5
            lower.get("content-type", ""),
            *[""]
            * 6,  # Date, If-Modified-Since, If-Match, If-None-Match, If-Unmodified-Since, Range
            *(f"{name}:{lower[name]}" for name in sorted(lower) if name.startswith("x-ms-")),
            f"/{self._account}{path}",
            *(f"{name}:{query[name]}" for name in sorted(query)),
        ]
        mac = self._mac("\n".join(lines))
        return f"SharedKey {self._account}:{mac}"

    def _signed_url(self, blob: str) -> str:
        """Return a URL that lets its holder read one blob for a week."""
        expiry = (datetime.now(UTC) + _SAS_LIFE).strftime("%Y-%m-%dT%H:%M:%SZ")
        fields = [
            "r",
            "",  # start
            expiry,
            f"/blob/{self._account}/{self._name}/{blob}",
            *[""] * 3,  # identifier, addresses, protocol
            STORAGE_VERSION,
            "b",
            *[""] * 7,  # snapshot, encryption scope, five response headers
        ]
        token = {"sv": STORAGE_VERSION, "sr": "b", "sp": "r", "se": expiry}
        token["sig"] = self._mac("\n".join(fields))
        parts = urlsplit(self._base)
        return f"{parts.scheme}://{parts.netloc}{self._path(blob)}?{urlencode(token)}"

    def _mac(self, text: str) -> str:
        digest = hmac.new(self._key, text.encode(), hashlib.sha256).digest()
        return base64.b64encode(digest).decode()


async def put_signed(url: str, local: Path) -> None:
    """Upload a file to the blob that a signed URL leads to."""
    length, _ = _facts(local)
    parts = urlsplit(url)
    where = f"PUT {parts.path}"  # what stands behind the path lets its reader write
    headers = {
        "x-ms-blob-type": "BlockBlob",
        "x-ms-version": STORAGE_VERSION,
        "Content-Type": "application/zip",
        "Content-Length": str(length),
    }
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.put(
                URL(url, encoded=True), data=_read(local), headers=headers, allow_redirects=False
            ) as answer,
        ):
            if answer.status != 201:
                code = answer.headers.get("x-ms-error-code") or answer.reason or ""
                raise Fault(
                    f"the storage refused it: {code}", where=f"{where} answered {answer.status}"
                )
    except (aiohttp.ClientError, TimeoutError) as err:
        raise Unreachable(
            f"the storage does not answer: {err or type(err).__name__}",
            where=f"{where} at {parts.scheme}://{parts.netloc}",
            mend="can the address that the service gives its storage be reached from here?",
        ) from err


def _connection(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for pair in text.split(";"):
        name, _, value = pair.partition("=")
        parts[name.strip()] = value
    if "AccountName" in parts and "AccountKey" in parts:
        if "BlobEndpoint" not in parts and "EndpointSuffix" in parts:
            scheme = parts.get("DefaultEndpointsProtocol", "https")
            host = f"{parts['AccountName']}.blob.{parts['EndpointSuffix']}"
            parts["BlobEndpoint"] = f"{scheme}://{host}"
        if "BlobEndpoint" in parts:
            return parts
    raise UsageFault(
        "no storage is known that files could be sent to",
        mend="set AZURE_STORAGE_CONNECTION_STRING as `shoal dev` prints it",
    )


def _key(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as err:
        raise UsageFault("the storage account's key is not base64") from err


def _facts(path: Path) -> tuple[int, bool]:
    """Return a file's size in bytes, and whether its owner may execute it."""
    facts = path.stat()
    if facts.st_size > FILE_BYTES_MAX:
        raise UsageFault(f"'{path}' is larger than {FILE_BYTES_MAX} bytes")
    return facts.st_size, bool(facts.st_mode & 0o100)


async def _read(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
