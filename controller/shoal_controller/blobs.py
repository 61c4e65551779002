"""An account's own storage, as operations see it: the blob gateway's folder behind three verbs."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import quote

from shoal_controller.blobgateway import BlobStore, StorageError, sign_blob_sas
from shoal_controller.blobgateway.conditions import Conditions, format_etag
from shoal_controller.blobgateway.ranges import ByteRange
from shoal_controller.core.application import BlobFacts
from shoal_controller.core.errors import Unavailable

_GONE: Final = frozenset({"BlobNotFound", "ContainerNotFound"})
_TOKEN_BYTES: Final = 16


class AccountBlobs:
    """operations.context.Blobs over the store of one account."""

    def __init__(self, account: str, store: BlobStore, url: str, key: Callable[[], bytes]) -> None:
        """url   of the gateway as clients reach it, without a trailing slash

        key      returns the key to sign with, base64 undone: it may be another one the next time
        """
        self._account = account
        self._store = store
        self._url = url
        self._key = key

    async def create_container(self, name: str) -> None:
        try:
            await self._store.create_container(name)
        except StorageError as err:
            if err.code != "ContainerAlreadyExists":
                raise Unavailable(err.message) from err

    async def find(self, container: str, blob: str) -> BlobFacts | None:
        try:
            found = await self._store.get(container, blob)
        except StorageError as err:
            if err.code in _GONE:
                return None
            raise Unavailable(err.message) from err
        return BlobFacts(found.length, format_etag(found.etag))

    async def read(
        self, container: str, blob: str, tag: str, offset: int, length: int
    ) -> bytes | None:
        wanted = ByteRange(offset, offset + length - 1)
        try:
            reader = await self._store.open_blob(container, blob, wanted, Conditions(if_match=tag))
            async with reader:
                return b"".join([piece async for piece in reader.pieces()])
        except StorageError as err:
            if err.code in _GONE or err.code == "ConditionNotMet":
                return None
            raise Unavailable(err.message) from err

    async def delete(self, container: str, blob: str | None) -> None:
        try:
            if blob is None:
                await self._store.delete_container(container)
            else:
                await self._store.delete(container, blob)
        except StorageError as err:
            if err.code not in _GONE:
                raise Unavailable(err.message) from err

    def signed_url(
        self, container: str, blob: str, permissions: str, begin: datetime, end: datetime
    ) -> str:
        token = sign_blob_sas(self._account, self._key(), container, blob, permissions, end, begin)
        return f"{self._url}/{self._account}/{container}/{quote(blob)}?{token}"

    def new_token(self) -> str:
        return secrets.token_hex(_TOKEN_BYTES)
