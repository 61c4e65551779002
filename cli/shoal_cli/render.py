"""How answers look: tables that fit the terminal, the API's own JSON, tab-separated values.

Everything a service or a user wrote passes `clean` before a terminal sees it.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TextIO

from shoal_cli.text import clean, plain_duration, short_node, short_time, size
from shoal_cli.views import Column

Json = dict[str, Any]

STYLES: Final = {
    "active": "cyan",
    "steady": "",
    "idle": "green",
    "enabled": "",
    "running": "bold blue",
    "completed": "green",
    "success": "green",
    "verified": "green",
    "failure": "red",
    "resizing": "yellow",
    "stopping": "yellow",
    "deleting": "magenta",
    "terminating": "magenta",
    "disabling": "yellow",
    "disabled": "yellow",
    "enabling": "yellow",
    "unusable": "bold red",
    "unknown": "red",
    "starttaskfailed": "bold red",
}
"""Colours of states, by the wire's word in lower case; others are plain."""
GAP: Final = 2
"""Blanks between two columns."""
RIGHT: Final = frozenset({"number", "size"})
_TEXT_WIDTH_MIN: Final = 16
_TABLE_COLUMNS_MAX: Final = 1_000_000  # no terminal: nothing is cut


@dataclass(frozen=True, slots=True)
class Output:
    """Where and how a command writes.

    format   table, json or tsv
    header   tsv: a first line with the columns' names
    quiet    only ids of what is listed or made; nothing else
    stream   where answers go; notes go to `notes`
    """

    format: str = "table"
    header: bool = False
    quiet: bool = False
    stream: TextIO = field(default_factory=lambda: sys.stdout)
    notes: TextIO = field(default_factory=lambda: sys.stderr)

    def note(self, text: str) -> None:
        """Tell a person something that is not the answer."""
        if not self.quiet:
            print(clean(text), file=self.notes, flush=True)

    def done(self, text: str) -> None:
        """Tell that an action was done: for people only, scripts have the exit code."""
        if not self.quiet and self.format == "table":
            print(clean(text), file=self.stream, flush=True)

    async def list(self, pages: AsyncIterator[list[Json]], columns: Sequence[Column]) -> None:
        """Write a list, page by page where the format allows it."""
        if self.quiet:
            async for page in pages:
                for resource in page:
                    print(_flat(columns[0].get(resource)), file=self.stream)
        elif self.format == "json":
            await self._json_list(pages)
        elif self.format == "tsv":
            if self.header:
                print(*(c.title.replace(" ", "_") for c in columns), sep="\t", file=self.stream)
            async for page in pages:
                for resource in page:
                    print(tsv_line(resource, columns), file=self.stream)
        else:
            rows = [resource async for page in pages for resource in page]
            if rows:
                self._table(rows, columns)
            else:
                self.note("none")

    def show(self, resource: Json, columns: Sequence[Column]) -> None:
        """Write one resource: all its facts, one a line, or the whole JSON, or one tsv line."""
        if self.quiet:
            print(_flat(columns[0].get(resource)), file=self.stream)
        elif self.format == "json":
            print(json.dumps(resource, indent=2, ensure_ascii=False), file=self.stream)
        elif self.format == "tsv":
            if self.header:
                print(*(c.title.replace(" ", "_") for c in columns), sep="\t", file=self.stream)
            print(tsv_line(resource, columns), file=self.stream)
        else:
            self._facts(resource, columns)

    async def _json_list(self, pages: AsyncIterator[list[Json]]) -> None:
        separator = "[\n"
        async for page in pages:
            for resource in page:
                text = json.dumps(resource, indent=2, ensure_ascii=False)
                self.stream.write(separator + "  " + text.replace("\n", "\n  "))
                separator = ",\n"
        self.stream.write("[]\n" if separator == "[\n" else "\n]\n")

    def _table(self, rows: Sequence[Json], columns: Sequence[Column]) -> None:
        from rich.cells import cell_len

        now = datetime.now().astimezone()
        shown = [c for c in columns if not c.wide]
        cells = {c.title: [for_people(row, c, now, is_short=True) for row in rows] for c in shown}
        # A column that no row fills takes space from those that say something.
        shown = [c for c in shown if c is columns[0] or any(cells[c.title])]
        natural = [max(map(cell_len, (c.title, *cells[c.title]))) for c in shown]
        fitting = fit(natural, [c.kind for c in shown], self._width)
        kept = [(c, width) for c, width in zip(shown, fitting, strict=True) if width]
        if self.stream.isatty():
            self._coloured(rows, cells, kept)
            return
        # Nothing to colour or to fold: much faster for lists of thousands.
        heads = [c.title.upper() for c, _ in kept]
        for line in (heads, *zip(*(cells[c.title] for c, _ in kept), strict=True)):
            padded = [
                " " * (width - cell_len(text)) + text
                if c.kind in RIGHT
                else text + " " * (width - cell_len(text))
                for text, (c, width) in zip(line, kept, strict=True)
            ]
            print((" " * GAP).join(padded).rstrip(), file=self.stream)

    def _coloured(
        self, rows: Sequence[Json], cells: dict[str, list[str]], kept: Sequence[tuple[Column, int]]
    ) -> None:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, GAP, 0, 0))
        for column, width in kept:
            table.add_column(
                column.title.upper(),
                justify="right" if column.kind in RIGHT else "left",
                width=width,
                no_wrap=column.kind == "long",
                overflow="ellipsis" if column.kind == "long" else "fold",
            )
        for at, row in enumerate(rows):
            table.add_row(*(Text(cells[c.title][at], style=style_of(row, c)) for c, _ in kept))
        self._print(table)

    def _facts(self, resource: Json, columns: Sequence[Column]) -> None:
        from rich.table import Table
        from rich.text import Text

        now = datetime.now().astimezone()
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for column in columns:
            text = for_people(resource, column, now)
            if text:
                table.add_row(column.title, Text(text, style=style_of(resource, column)))
        self._print(table)

    @property
    def _width(self) -> int:
        """How many characters a line may have."""
        if self.stream.isatty():
            return shutil.get_terminal_size().columns
        return _TABLE_COLUMNS_MAX

    def _print(self, table: Any) -> None:
        from rich.console import Console

        console = Console(
            file=self.stream, width=self._width, highlight=False, markup=False, emoji=False
        )
        with console.capture() as captured:
            console.print(table)
        # Cells are padded to the column's width: nobody wants the blanks of the last one.
        for line in captured.get().splitlines():
            print(line.rstrip(), file=self.stream)


def fit(natural: Sequence[int], kinds: Sequence[str], width: int) -> list[int]:
    """Return the columns' widths so that a line fits into `width`; 0 leaves a column out.

    Texts shrink first; then times and numbers go, the last ones first; what is left, the ids and
    states, is folded rather than cut, because people type it again.
    """
    widths = list(natural)

    def excess() -> int:
        shown = [w for w in widths if w]
        return sum(shown) + GAP * (len(shown) - 1) - width

    flexible = [at for at, kind in enumerate(kinds) if kind in ("long", "text")]
    for at in reversed(flexible):
        widths[at] = max(min(widths[at], _TEXT_WIDTH_MIN), widths[at] - max(excess(), 0))
    for kind in ("time", "number", "size", "text", "outcome"):
        for at in reversed(range(1, len(widths))):
            if excess() > 0 and kinds[at] == kind:
                widths[at] = 0
    while excess() > 0 and max(widths) > 1:
        widths[widths.index(max(widths))] -= 1
    return widths


def for_people(resource: Json, column: Column, now: datetime, *, is_short: bool = False) -> str:
    """Return one fact as people read it; empty where the resource does not have it.

    is_short  for a cell of a table: long ids of nodes by their beginning
    """
    value = column.get(resource)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if column.kind == "time":
        return short_time(str(value), now)
    if column.kind == "duration":
        return plain_duration(str(value))
    if column.kind == "size":
        return size(int(value))
    if column.kind == "node" and is_short:
        return clean(short_node(str(value)))
    return clean(str(value))


def style_of(resource: Json, column: Column) -> str:
    """Return the colour of one fact, as rich names it."""
    value = column.get(resource)
    if column.kind == "state":
        return STYLES.get(str(value).lower(), "")
    if column.kind == "outcome":
        return "" if value in (None, "0") else "red"
    if column.title in ("errors", "error", "failure", "start failure"):
        return "red"
    return "bold" if column.title == "id" else ""


def tsv_line(resource: Json, columns: Sequence[Column]) -> str:
    """Return a resource as tab-separated values: the API's own, always the same columns.

    Backslashes and control characters inside a value are written as \\\\, \\t, \\n, \\x1b...
    """
    return "\t".join(_flat(column.get(resource)) for column in columns)


def _flat(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return clean(str(value).replace("\\", "\\\\"))
