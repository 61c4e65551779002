"""A PNG file from rows of pixels, by the standard library alone."""

from __future__ import annotations

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TRUE_COLOUR = 2
NO_FILTER = b"\0"


def encode(width: int, height: int, pixels: bytes) -> bytes:
    """Return a PNG file.

    pixels  three bytes (red, green, blue) for each pixel, row by row from the top
    raises  ValueError where their count is not width times height
    """
    stride = 3 * width
    if len(pixels) != stride * height:
        raise ValueError(f"{width}x{height} needs {stride * height} bytes, not {len(pixels)}")
    rows = b"".join(NO_FILTER + pixels[at : at + stride] for at in range(0, len(pixels), stride))
    header = struct.pack(">IIBBBBB", width, height, 8, TRUE_COLOUR, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
