"""Draw the operations of docs/compatibility.md from the table that the API obeys.

`--check` only compares. What stands outside of the two marks is written by hand.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shoal_controller.api.offers import Kind, offer
from shoal_controller.api.routes import ROUTES, Route

PAGE: Final = Path(__file__).with_name("compatibility.md")
BEGIN: Final = "<!-- operations: drawn by make docs -->\n"
END: Final = "<!-- end of operations -->\n"
_LAST: Final = "~"


def table() -> str:
    """Return the counts and one line per operation, in the order of the reference."""
    counts = Counter(offer(route).kind for route in ROUTES)
    told = ", ".join(f"{counts[kind]} {kind}" for kind in Kind if counts[kind])
    lines = [f"{len(ROUTES)} operations: {told}.", "", *_rows()]
    return "\n".join(lines) + "\n"


def _rows() -> Iterator[str]:
    yield "| operation | request | api-versions | here | |"
    yield "|---|---|---|---|---|"
    for route in ROUTES:
        found = offer(route)
        name = route.name.replace("_", " ")
        request = f"`{route.method} {route.path}`"
        yield f"| {name} | {request} | {_versions(route)} | {found.kind} | {found.note} |"


def _versions(route: Route) -> str:
    if route.since and route.until != _LAST:
        return f"{route.since} to {route.until}"
    if route.since:
        return f"from {route.since}"
    return "all" if route.until == _LAST else f"until {route.until}"


def drawn(page: str) -> str:
    """Return a page with the part between the marks drawn anew."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE.name} has lost its marks: {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` return 1 when it is not current."""
    page = PAGE.read_text(encoding="utf-8")
    if drawn(page) == page:
        return 0
    if "--check" in arguments:
        print("docs/compatibility.md is older than the table of operations: run `make docs`")
        return 1
    PAGE.write_text(drawn(page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
