"""$select: which properties of a record a caller wants.

`executionInfo/exitCode` is a property of a property; of a list it is a property of each item.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from shoal_controller.core.errors import Refused

Structures = Mapping[str, Mapping[str, str]]
"""The properties of each structure, each with the name of its own structure, empty for none."""

Selection = dict[str, "Selection"]
"""The wanted properties; for each those wanted of it, none meaning all."""

TEXT_CHARACTERS_MAX: Final = 8192


def parse_select(text: str, structure: str, structures: Structures) -> Selection | None:
    """Return what a $select list wants; None means everything: it names nothing.

    structure   what the record is
    raises      Refused for a property that no api-version has there
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        raise _refusal(text, f"It has at most {TEXT_CHARACTERS_MAX} characters.")
    selection: Selection = {}
    for path in text.split(","):
        names = [name.strip() for name in path.split("/")]
        if names == [""]:
            continue
        _check(text, names, structure, structures)
        _add(selection, names)
    return selection or None


Document = dict[str, Any]


def select(record: Document, selection: Selection | None) -> Document:
    """Return `record` with only the wanted properties, in their usual order."""
    if selection is None:
        return record
    return {
        name: _selected(value, selection[name])
        for name, value in record.items()
        if name in selection
    }


def _selected(value: Any, selection: Selection) -> Any:
    if not selection:
        return value
    if type(value) is dict:
        return select(cast(Document, value), selection)
    if type(value) is list:
        return [_selected(item, selection) for item in cast(list[Any], value)]
    return value


def _check(text: str, names: list[str], structure: str, structures: Structures) -> None:
    known = structures[structure]
    for number, name in enumerate(names):
        if name not in known:
            place = f"of {'/'.join(names[:number])} " if number else ""
            raise _refusal(
                text,
                f"No property {place}is called {name[:64]!r}; "
                + (f"there are: {', '.join(known)}." if known else "it has no properties."),
            )
        known = structures.get(known[name], {})


def _add(selection: Selection, names: list[str]) -> None:
    for number, name in enumerate(names):
        is_known = name in selection
        inside = selection.setdefault(name, {})
        if number == len(names) - 1:
            inside.clear()  # all of it
        elif is_known and not inside:
            return  # all of it is wanted already
        selection = inside


def _refusal(text: str, reason: str) -> Refused:
    return Refused(
        "InvalidQueryParameterValue",
        QueryParameterName="$select",
        QueryParameterValue=text[:256],
        Reason=reason,
    )
