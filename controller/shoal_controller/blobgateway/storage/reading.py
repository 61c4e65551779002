"""Reading one version of a blob, whole or in part, while others replace it."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from shoal_controller.blobgateway.records import Blob
from shoal_controller.blobgateway.storage import blobs
from shoal_controller.blobgateway.storage.catalogue import Catalogue
from shoal_controller.blobgateway.storage.files import BUFFER_BYTES, ChunkFiles


@dataclass(slots=True)
class BlobReader:
    """Bytes `first` to `first + count - 1` of `blob`, as it was when it was opened.

    Close it (async with) so that the space of a version replaced meanwhile can be reused.
    small  the whole of the wanted bytes when they came along with the properties
    """

    blob: Blob
    first: int
    count: int
    small: bytes | None
    _layout: blobs.Layout
    _catalogue: Catalogue
    _files: ChunkFiles
    _release: Callable[[], None]

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes in pieces of at most BUFFER_BYTES; can be run again from the start."""
        if self.small is not None:
            if self.small:
                yield self.small
            return
        position, end = self.first, self.first + self.count
        starts = self._layout.starts
        while position < end:
            at = bisect_right(starts, position) - 1
            offset = position - starts[at]
            count = min(end - position, self._layout.lengths[at] - offset, BUFFER_BYTES)
            chunk = self._layout.chunks[at]
            data = await self._catalogue.read(lambda db, chunk=chunk: blobs.chunk_data(db, chunk))
            if data is None:
                while count > 0:
                    piece = await asyncio.to_thread(self._files.read, chunk, offset, count)
                    yield piece
                    position += len(piece)
                    offset += len(piece)
                    left = self._layout.lengths[at] - offset
                    count = min(end - position, left, BUFFER_BYTES)
            else:
                yield data[offset : offset + count]
                position += count

    async def __aenter__(self) -> "BlobReader":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._release()
