"""The picture: tiles that fit together, a PNG that decoders take, points where they belong."""

import struct
import zlib
from math import log, log2

import pytest

from examples.render import mandelbrot, png
from examples.render.__main__ import cut


@pytest.mark.parametrize(("height", "tile_count"), [(900, 30), (7, 3), (2, 30), (1, 1)])
def test_tiles_cover_every_row_once(height: int, tile_count: int):
    tiles = cut(height, tile_count)
    assert [row for rows in tiles for row in rows] == list(range(height))
    assert len({len(rows) for rows in tiles}) <= 2


def test_a_png_holds_the_pixels_that_went_in():
    pixels = bytes(range(3 * 2 * 3))
    data = png.encode(3, 2, pixels)
    assert data.startswith(png.SIGNATURE)
    at, chunks = len(png.SIGNATURE), {}
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length) == (zlib.crc32(kind + body),)
        chunks[kind] = body
        at += 12 + length
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (3, 2, 8, 2, 0, 0, 0)
    rows = zlib.decompress(chunks[b"IDAT"])
    assert rows == b"\0" + pixels[:9] + b"\0" + pixels[9:]


def test_pixels_that_do_not_fill_the_picture_are_refused():
    with pytest.raises(ValueError, match="3x2 needs 18 bytes"):
        png.encode(3, 2, b"\0" * 17)


@pytest.mark.parametrize("place", [-0.31 + 0.1j, 0.05 - 0.2j, 0.004 + 0.001j, 0.44 + 0.24j])
def test_the_polynomial_leads_to_the_same_count_as_exact_arithmetic(
    place: complex, monkeypatch: pytest.MonkeyPatch
):
    seen: list[float] = []
    monkeypatch.setattr(mandelbrot, "_shade", lambda count, _edge, _normal: seen.append(count))
    offset = place * mandelbrot.VIEW_WIDTH
    mandelbrot.look_at(offset, 1e-14, mandelbrot.make_series(0.574 * mandelbrot.VIEW_WIDTH))
    assert seen == [pytest.approx(_exact_count(offset), abs=1e-3)]


def test_the_same_rows_come_out_whichever_tile_they_are_in():
    whole = mandelbrot.render_rows(16, 9, 0, 9)
    assert len(whole) == 3 * 16 * 9
    assert mandelbrot.render_rows(16, 9, 0, 4) + mandelbrot.render_rows(16, 9, 4, 9) == whole


def _exact_count(offset: complex) -> float:
    """Return the smooth count of iterations by integers alone, at twice the precision."""
    bits = 2 * mandelbrot.PRECISION_BITS
    shift = bits - mandelbrot.PRECISION_BITS
    c_x = (mandelbrot._fixed_point(mandelbrot.CENTRE[0]) << shift) + int(offset.real * 2**bits)
    c_y = (mandelbrot._fixed_point(mandelbrot.CENTRE[1]) << shift) + int(offset.imag * 2**bits)
    x = y = count = 0
    # Far beyond the radius the smooth count depends on neither: it settles.
    while x * x + y * y < 10**24 << (2 * bits):
        x, y = ((x * x - y * y) >> bits) + c_x, ((2 * x * y) >> bits) + c_y
        count += 1
    size = abs(complex(x / 2**bits, y / 2**bits))
    return count + 1 - log2(log(size) / log(mandelbrot.ESCAPE_RADIUS))
