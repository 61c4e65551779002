"""Listing the blobs of a container by its URL, signature included (Azure Blob REST, List Blobs)."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import quote, unquote, urlencode
from xml.etree import ElementTree

import aiohttp

from shoal_agent.core.failures import failure
from shoal_agent.steps.http import (
    NETWORK_ERRORS,
    TIMEOUT,
    TRIES_MAX,
    TransferFailed,
    is_hopeless,
    is_transient,
    told,
    wait_before_retry,
    with_query,
    without_secrets,
)

PAGE_BYTES_MAX: Final = 32 << 20
BLOBS_MAX: Final = 1_000_000
_CODES: Final = {
    404: "ResourceContainerNotFound",
    401: "ResourceContainerAccessDenied",
    403: "ResourceContainerAccessDenied",
}


async def list_blobs(session: aiohttp.ClientSession, url: str, prefix: str) -> list[str]:
    """Return the names of a container's blobs that begin with `prefix`.

    raises   TransferFailed with a ResourceContainer… code
    """
    names: list[str] = []
    marker = ""
    while True:
        page, marker = await _page(session, url, prefix, marker)
        names += page
        if not marker:
            return names
        if len(names) > BLOBS_MAX:
            raise _failed("ResourceContainerListMiscError", url, "it holds too many blobs")


def blob_url(container_url: str, name: str) -> str:
    """Return the URL of a blob of a container, with the container's signature."""
    base, _, query = container_url.partition("?")
    url = f"{base.rstrip('/')}/{quote(name)}"
    return f"{url}?{query}" if query else url


async def _page(
    session: aiohttp.ClientSession, url: str, prefix: str, marker: str
) -> tuple[list[str], str]:
    fields = {"restype": "container", "comp": "list"}
    if prefix:
        fields["prefix"] = prefix
    if marker:
        fields["marker"] = marker
    address = with_query(url, urlencode(fields, quote_via=quote))
    tries = 0
    while True:
        tries += 1
        try:
            async with session.get(address, timeout=TIMEOUT) as answer:
                if answer.status == 200:
                    body = await answer.content.read(PAGE_BYTES_MAX + 1)
                    while len(body) <= PAGE_BYTES_MAX and not answer.content.at_eof():
                        body += await answer.content.read(PAGE_BYTES_MAX + 1 - len(body))
                    if len(body) > PAGE_BYTES_MAX:
                        raise _failed("ResourceContainerListMiscError", url, "its list is too long")
                    return await asyncio.to_thread(_parse, body, url)
                reason = f"{answer.status} {answer.reason}"
                if not is_transient(answer.status) or tries >= TRIES_MAX:
                    code = _CODES.get(answer.status, "ResourceContainerListMiscError")
                    raise _failed(code, url, reason)
        except NETWORK_ERRORS as error:
            if is_hopeless(error) or tries >= TRIES_MAX:
                timed_out = isinstance(error, TimeoutError)
                kind = "TimedOut" if timed_out else "MiscError"
                reason = told(error)
                raise _failed(f"ResourceContainerList{kind}", url, reason) from error
        await wait_before_retry(tries)


def _parse(body: bytes, url: str) -> tuple[list[str], str]:
    try:
        tree = ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        raise _failed("ResourceContainerListMiscError", url, "its list is not XML") from error
    names: list[str] = []
    for blob in tree.iterfind("./Blobs/Blob"):
        name = blob.find("Name")
        if name is None or not name.text:
            continue
        text = unquote(name.text) if name.get("Encoded") == "true" else name.text
        # Folders of hierarchical accounts, and the placeholders that tools make for folders.
        if blob.findtext("./Properties/ResourceType") != "directory" and not text.endswith("/"):
            names.append(text)
    return names, tree.findtext("NextMarker") or ""


def _failed(code: str, url: str, reason: str) -> TransferFailed:
    return TransferFailed(failure(code, ContainerUrl=without_secrets(url), Message=reason))
