"""Packages over a real storage: what crashes and a storage that fails leave, and what mends it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from shoal_controller.blobgateway import BlobStore, pieces_of
from shoal_controller.blobs import AccountBlobs
from shoal_controller.core.application import BlobFacts
from shoal_controller.core.errors import Refused, Unavailable
from shoal_controller.loops.applications import LOOP
from shoal_controller.operations import applications, packages
from tests.unit.controller.operations.conftest import House


class FailingBlobs(AccountBlobs):
    """A storage that can be told to refuse deletions, or to change a blob while it is read."""

    is_down = False
    replacing: bytes | None = None
    store: BlobStore

    async def delete(self, container: str, blob: str | None) -> None:
        if self.is_down:
            raise Unavailable("the disk is full")
        await super().delete(container, blob)

    async def find(self, container: str, blob: str) -> BlobFacts | None:
        found = await super().find(container, blob)
        if self.replacing is not None:
            await self.store.put(container, blob, pieces_of(self.replacing))
        return found


@pytest.fixture
async def blobs(house: House, tmp_path: Path) -> AsyncIterator[FailingBlobs]:
    store = await BlobStore.open(tmp_path / "blobs", house.clock)
    made = FailingBlobs("a", store, "http://storage", lambda: b"key")
    made.store = store
    house.ctx.blobs = made
    yield made
    await store.close()


def a_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("run.sh", b"true")
    return buffer.getvalue()


async def upload(blobs: FailingBlobs, view: packages.PackageView, content: bytes) -> None:
    await blobs.store.put(view.application.container, view.package.blob, pieces_of(content))


async def stored(blobs: FailingBlobs) -> list[str]:
    """Return all that is in the storage."""
    found: list[str] = []
    for container in (await blobs.store.list_containers()).items:
        found.append(container.name)
        found += [item.name for item in (await blobs.store.list_blobs(container.name)).items]
    return found


async def test_what_a_deletion_could_not_remove_goes_in_a_later_round(
    house: House, blobs: FailingBlobs
) -> None:
    await applications.put_application(house.ctx, "app", {})
    view = await packages.put_package(house.ctx, "app", "1")
    await upload(blobs, view, a_zip())
    blobs.is_down = True
    assert await packages.delete_package(house.ctx, "app", "1")
    assert await applications.delete_application(house.ctx, "app")
    assert len(await stored(blobs)) == 2
    with pytest.raises(Unavailable):
        await LOOP.round(house.ctx)
    blobs.is_down = False
    await house.restart()
    house.ctx.blobs = blobs
    assert await LOOP.round(house.ctx) is False
    assert await stored(blobs) == []
    assert await house.ctx.store.read("SELECT * FROM doomed_blobs") == []
    assert await LOOP.round(house.ctx) is False


async def test_content_that_is_replaced_while_it_is_looked_at_is_not_activated(
    house: House, blobs: FailingBlobs
) -> None:
    await applications.put_application(house.ctx, "app", {})
    view = await packages.put_package(house.ctx, "app", "1")
    await upload(blobs, view, a_zip())
    blobs.replacing = b"something else"
    with pytest.raises(Refused, match="replaced while"):
        await packages.activate_package(house.ctx, "app", "1")
    assert (await packages.get_package(house.ctx, "app", "1")).package.format is None


async def test_a_package_that_was_replaced_by_a_namesake_meanwhile_is_not_activated(
    house: House, blobs: FailingBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await applications.put_application(house.ctx, "app", {})
    view = await packages.put_package(house.ctx, "app", "1")
    await upload(blobs, view, a_zip())

    async def look(*_: object) -> None:
        await packages.delete_package(house.ctx, "app", "1")
        await packages.put_package(house.ctx, "app", "1")

    monkeypatch.setattr(packages, "check_zip", look)
    with pytest.raises(Refused, match="ApplicationPackageNotFound"):
        await packages.activate_package(house.ctx, "app", "1")


async def test_a_url_is_good_from_a_little_before_now_for_four_hours(
    house: House, blobs: FailingBlobs
) -> None:
    await applications.put_application(house.ctx, "app", {})
    view = await packages.put_package(house.ctx, "app", "1.0-x")
    assert "st=2026-05-01T11%3A55%3A00Z" in view.url
    assert "se=2026-05-01T16%3A00%3A00Z" in view.url
    assert view.url_end == datetime.fromisoformat("2026-05-01T16:00:00+00:00")


async def test_an_account_without_a_storage_says_so(house: House) -> None:
    with pytest.raises(Unavailable, match="no storage"):
        await applications.put_application(house.ctx, "app", {})
    assert await LOOP.round(house.ctx) is False
