"""Draw the tables of docs/compatibility.md from those that the API obeys: operations, properties.

`--check` only compares. What stands outside of the marks is written by hand.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shoal_controller.api.offers import Kind, offer
from shoal_controller.api.routes import ROUTES
from shoal_controller.api.routing import Route
from shoal_controller.api.wire import common, job, pool, task
from shoal_controller.api.wire.table import Structure

PAGE: Final = Path(__file__).with_name("compatibility.md")
_LAST: Final = "~"
_NOUNS: Final = {
    "pools": pool,
    "jobs and job schedules": job,
    "tasks": task,
    "start tasks, files and users": common,
}


def operations() -> str:
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


def properties() -> str:
    """Return which properties are refused, by what they are properties of."""
    lines = ["| of | refused properties |", "|---|---|"]
    for noun, module in _NOUNS.items():
        names = set[str](getattr(module, "MACHINE_NOT_BUILT", ()))
        for value in vars(module).values():
            if isinstance(value, Structure):
                names |= value.not_built
        lines.append(f"| {noun} | {', '.join(f'`{name}`' for name in sorted(names))} |")
    return "\n".join(lines) + "\n"


def drawn(page: str) -> str:
    """Return a page with the parts between its marks drawn anew."""
    for name, draw in (("operations", operations), ("properties", properties)):
        begin, end = f"<!-- {name}: drawn by make docs -->\n", f"<!-- end of {name} -->\n"
        before, has_begin, rest = page.partition(begin)
        _, has_end, after = rest.partition(end)
        if not has_begin or not has_end:
            raise SystemExit(f"{PAGE.name} has lost a mark: {begin.strip()} or {end.strip()}")
        page = f"{before}{begin}\n{draw()}\n{end}{after}"
    return page


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
