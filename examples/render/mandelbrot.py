"""Render some rows of a deep zoom into the Mandelbrot set: the program that runs on the nodes.

    python3 mandelbrot.py WIDTH HEIGHT FIRST_ROW END_ROW RESULT

writes the rows as raw RGB to RESULT. Standard library only.

The view is 1e-11 wide: neighbouring pixels are closer together than a double near their
coordinates can tell apart, and every point takes some 370 iterations before the picture begins to
differ at all. So the orbit of the centre is computed once, with long integers, and with it a
polynomial that carries every pixel over those iterations in one step. From there the points are
far enough apart for ordinary complex numbers.
"""

import sys
from cmath import rect
from dataclasses import dataclass
from math import log, log2, pi, sqrt
from pathlib import Path

CENTRE = ("-0.775682131528175163690967667237806", "0.136467640566730650237858959076587")
VIEW_WIDTH = 1e-11
ITERATIONS_MAX = 3000
CALM_DISTANCE = 4.0
"""A pixel this far (in pixels) from the set is one point; a nearer one the mean of SUBPIXELS."""
SUBPIXELS = (-0.25 - 0.25j, 0.25 - 0.25j, -0.25 + 0.25j, 0.25 + 0.25j)

PRECISION_BITS = 160
ORDER = 12
"""Of the polynomial; more terms carry it over more iterations, and cost more for every point."""
SERIES_ERROR_MAX = 1e-7
"""How big the polynomial's last two terms may be, against its first."""
ESCAPE_RADIUS = 1e3

PALETTE = (  # position, red, green, blue
    (0.00, 6, 10, 40),
    (0.18, 20, 80, 160),
    (0.40, 150, 220, 235),
    (0.58, 255, 250, 225),
    (0.72, 250, 175, 60),
    (0.86, 140, 30, 60),
    (1.00, 6, 10, 40),
)
PALETTE_TURNS = 0.8
PALETTE_START = 0.88
ITERATIONS_SHARED = 350
"""Where the counting of colours begins: just below the smallest count in the view."""
LIGHT = rect(1.0, 0.75 * pi)
"""Direction of the light: from the upper left."""


@dataclass(frozen=True)
class Series:
    """A polynomial in a point's distance from the centre that jumps over iterations.

    count         iterations it stands for
    radius        the distance that counts as 1
    coefficients  of z after these iterations, constant term first
    """

    count: int
    radius: float
    coefficients: tuple[complex, ...]


def make_series(radius: float) -> Series:
    """Follow the centre's orbit for as long as the polynomial is exact within `radius`."""
    one = 1 << PRECISION_BITS
    centre_x, centre_y = (_fixed_point(text) for text in CENTRE)
    x = y = 0
    terms = [0j] * (ORDER + 1)
    for count in range(ITERATIONS_MAX):
        z = complex(x / one, y / one)
        # (z + s)² + c, s being the polynomial without its constant term.
        squared = [2 * z * term for term in terms]
        for power in range(2, ORDER + 1):
            squared[power] += sum(terms[k] * terms[power - k] for k in range(1, power))
        squared[1] += radius
        if abs(squared[-1]) + abs(squared[-2]) > SERIES_ERROR_MAX * abs(squared[1]):
            return Series(count, radius, (z, *terms[1:]))
        terms = squared
        x, y = (
            ((x * x - y * y) >> PRECISION_BITS) + centre_x,
            ((2 * x * y) >> PRECISION_BITS) + centre_y,
        )
    raise ValueError("the polynomial never breaks down: the centre is not where detail is")


def _fixed_point(text: str) -> int:
    """Return a decimal fraction as an integer in units of 2**-PRECISION_BITS."""
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("-0.")
    places = len(text.partition(".")[2])
    return sign * (int(digits) << PRECISION_BITS) // 10**places


Colour = tuple[float, float, float]


def look_at(offset: complex, pixel_size: float, series: Series) -> tuple[float, Colour]:
    """Return how far in pixels the point at `offset` is from the set, and its colour (0 to 255)."""
    distance = offset / series.radius
    z = slope = 0j
    for term in reversed(series.coefficients):
        slope = slope * distance + z
        z = z * distance + term
    # The slope: how far z moves when the point moves by one pixel.
    slope *= pixel_size / series.radius
    step = complex(pixel_size)
    c = complex(float(CENTRE[0]), float(CENTRE[1])) + offset
    count = series.count
    # Four iterations for one look at the size: it may grow far beyond the radius meanwhile, which
    # the smooth count below takes into account.
    while abs(z) < ESCAPE_RADIUS:
        if count >= ITERATIONS_MAX:
            return 0.0, (0.0, 0.0, 0.0)
        slope = (z + z) * slope + step
        z = z * z + c
        slope = (z + z) * slope + step
        z = z * z + c
        slope = (z + z) * slope + step
        z = z * z + c
        slope = (z + z) * slope + step
        z = z * z + c
        count += 4
    size = abs(z)
    smooth_count = count + 1 - log2(log(size) / log(ESCAPE_RADIUS))
    edge_distance = 2 * size * log(size) / abs(slope)
    return edge_distance, _shade(smooth_count, edge_distance, z / slope)


def _shade(smooth_count: float, edge_distance: float, normal: complex) -> Colour:
    """Colour by the count, light as if the picture were a relief, darken the finest threads."""
    facing = (normal * LIGHT.conjugate()).real / abs(normal)
    brightness = 0.45 + 0.30 * max(0.0, facing + 1.4)
    if edge_distance < 1:
        brightness *= 0.25 + 0.75 * sqrt(edge_distance)
    depth = log(max(1.0, smooth_count - ITERATIONS_SHARED))
    red, green, blue = _palette_colour((PALETTE_START + PALETTE_TURNS * depth) % 1.0)
    return (
        min(255.0, red * brightness),
        min(255.0, green * brightness),
        min(255.0, blue * brightness),
    )


def _palette_colour(position: float) -> Colour:
    upper = next(index for index, stop in enumerate(PALETTE) if stop[0] > position)
    start, *first = PALETTE[upper - 1]
    end, *second = PALETTE[upper]
    part = (position - start) / (end - start)
    part *= part * (3 - 2 * part)
    red, green, blue = (a + (b - a) * part for a, b in zip(first, second, strict=True))
    return red, green, blue


def render_rows(width: int, height: int, first_row: int, end_row: int) -> bytes:
    """Return three bytes a pixel for the rows from `first_row` up to, not including, `end_row`."""
    pixel_size = VIEW_WIDTH / width
    series = make_series(pixel_size * abs(complex(width, height)) / 2)
    pixels = bytearray()
    for row in range(first_row, end_row):
        for column in range(width):
            middle = complex(column + 0.5 - width / 2, height / 2 - row - 0.5)
            distance, colour = look_at(middle * pixel_size, pixel_size, series)
            if distance < CALM_DISTANCE:
                points = [
                    look_at((middle + shift) * pixel_size, pixel_size, series)[1]
                    for shift in SUBPIXELS
                ]
                colour = (sum(part) / len(points) for part in zip(*points, strict=True))
            pixels += bytes(map(round, colour))
    return bytes(pixels)


def main(width: str, height: str, first_row: str, end_row: str, result_file: str) -> None:
    pixels = render_rows(int(width), int(height), int(first_row), int(end_row))
    Path(result_file).write_bytes(pixels)


if __name__ == "__main__":
    main(*sys.argv[1:])
