"""One step between two neighbouring api-versions, as tables of changes to structures.

Which properties a version has stands in wire/models.json. A step says only what became of the
others: what was renamed, moved, spelled or meant differently. A change belongs to a structure, not
to an operation, so it reaches the structure wherever it occurs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shoal_controller.core.errors import invalid_property

Document = dict[str, Any]
Change = Callable[[Document], Document]


def as_it_is(document: Document) -> Document:
    """Change nothing."""
    return document


@dataclass(frozen=True, slots=True)
class Reshape:
    """How one structure differs from its newer shape.

    up    from this version to its newer neighbour; the document is a caller's and may hold anything
    down  from the newer neighbour to this version; neither changes the document it is given
    gone  properties that `up` leaves none of
    """

    up: Change = as_it_is
    down: Change = as_it_is
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """How an api-version differs from its newer neighbour.

    changes    by structure; they go up in the order given, and down in the opposite one
    fragments  of odata.metadata: the newer one and this version's
    """

    version: str
    changes: Mapping[str, Sequence[Reshape]] = field(default_factory=dict)
    fragments: Mapping[str, str] = field(default_factory=dict)


# --- the usual changes ----------------------------------------------------------------------------


def moved(old: str, new: str) -> Reshape:
    """Return the move of a property, `new` with a slash: into a structure beside it."""
    place, _, name = new.rpartition("/")

    def up(document: Document) -> Document:
        if old not in document:
            return document
        kept = without(document, old)
        if document[old] is None:
            return kept
        if not place:
            return kept | {name: document[old]}
        inner = kept.get(place)
        if inner is None:
            return kept | {place: {name: document[old]}}
        return kept | {place: inner | {name: document[old]}} if type(inner) is dict else kept

    def down(document: Document) -> Document:
        inner = document.get(place, {}) if place else document
        if name not in inner:
            return document
        kept = document if place else without(document, name)
        return kept | {old: inner[name]}

    return Reshape(up, down, frozenset({old}))


def spelled(name: str, spellings: Mapping[str, str]) -> Reshape:
    """Return another spelling of a property's values: from the newer ones to those here."""
    newer = {here.lower(): value for value, here in spellings.items()}

    def up(document: Document) -> Document:
        value = document.get(name)
        found = newer.get(value.lower()) if type(value) is str else None
        return document if found is None else document | {name: found}

    def down(document: Document) -> Document:
        found = spellings.get(document.get(name, ""))
        return document if found is None else document | {name: found}

    return Reshape(up, down)


def meant(**values: Any) -> Reshape:
    """Return what it meant here to leave properties out, where it came to mean something else."""

    def up(document: Document) -> Document:
        absent = {key: value for key, value in values.items() if document.get(key) is None}
        return document | absent if absent else document

    return Reshape(up)


def reserved(name: str, *values: int) -> Reshape:
    """Return that a property could not have values here that it can have since."""
    taken = {str(value) for value in values}

    def up(document: Document) -> Document:
        value = document.get(name)
        if str(value) in taken:  # numbers may come as text
            raise invalid_property(name, value, "The api-version of the request reserves it.")
        return document

    return Reshape(up)


def untold_if(name: str, value: Any) -> Reshape:
    """Return that a property was left out of answers here while it had that value."""

    def down(document: Document) -> Document:
        return without(document, name) if document.get(name) == value else document

    return Reshape(down=down)


def without(document: Document, *names: str) -> Document:
    """Return a document without some of its properties."""
    return {key: value for key, value in document.items() if key not in names}
