"""What an api-version does to documents: the steps up to the newest one, put together.

A walk goes through a document and changes each structure where it finds it. Most structures are the
same in most versions; a walk passes by what holds nothing to change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from shoal_controller.api.versions.step import Change, Document, Step, as_it_is
from shoal_controller.api.wire.models import ENUMERATIONS, STRUCTURES
from shoal_controller.api.wire.table import unknown_property
from shoal_controller.core.errors import invalid_property

Names = frozenset[str]


@dataclass(frozen=True, slots=True)
class Walk:
    """Changes by structure, done wherever a document holds the structure.

    ways        by structure: its properties that lead to a change, and the structures they hold
    from_inside what a structure holds is changed before itself
    """

    changes: Mapping[str, Sequence[Change]]
    ways: Mapping[str, Mapping[str, str]]
    from_inside: bool = False

    def through(self, structure: str, document: Document) -> Document:
        """Return the document, changed; the one given stays as it is."""
        if self.from_inside:
            document = self._inside(structure, document)
        for change in self.changes.get(structure, ()):
            document = change(document)
        return document if self.from_inside else self._inside(structure, document)

    def _inside(self, structure: str, document: Document) -> Document:
        ways = self.ways.get(structure)
        if ways is None or ways.keys().isdisjoint(document):
            return document
        changed = {
            name: self._each(inner, document[name])
            for name, inner in ways.items()
            if name in document
        }
        return document | changed

    def _each(self, structure: str, value: Any) -> Any:
        if type(value) is dict:
            return self.through(structure, value)
        if type(value) is list:
            through = self.through
            return [through(structure, item) if type(item) is dict else item for item in value]
        return value  # a caller's mistake, for whoever reads the document to refuse


@dataclass(frozen=True, slots=True)
class Plan:
    """The walks of one version.

    A request is checked as a whole before it is changed, and an answer is changed as a whole before
    what the version does not have is hidden: a step may move a property between structures.
    """

    check: Walk
    rise: Walk
    sink: Walk
    hide: Walk

    def take(self, structure: str, document: Document) -> Document:
        """Return a request's document in the newest shape, or raise Refused."""
        return self.rise.through(structure, self.check.through(structure, document))

    def show(self, structure: str, document: Document) -> Document:
        """Return an answer's document in the shape of this version."""
        return self.hide.through(structure, self.sink.through(structure, document))


def build(version: str, steps: Sequence[Step], older: Sequence[Step]) -> Plan:
    """Return the plan of a version.

    steps  from the newest version's elder neighbour down to this version; none for the newest
    older  the steps to still older versions: what only they have no answer holds
    """
    up, down = dict[str, list[Change]](), dict[str, list[Change]]()
    for step in steps:  # the newest first, as answers meet them
        for structure, changes in step.changes.items():
            _add(down, structure, [change.down for change in reversed(changes)])
    for step in reversed(steps):
        for structure, changes in step.changes.items():
            _add(up, structure, [change.up for change in changes])
    check, hide = dict[str, tuple[Change]](), dict[str, tuple[Change]]()
    gone = gone_by(older)
    for structure, members in STRUCTURES.items():
        absent = frozenset(name for name, member in members.items() if not member.is_in(version))
        young = {name: _young(member.type, version) for name, member in members.items()}
        young = {name: values for name, values in young.items() if values}
        if absent or young:
            check[structure] = (partial(_check, absent, young),)
        hidden = absent - gone.get(structure, frozenset())
        if hidden:
            hide[structure] = (partial(_hide, hidden),)
    return Plan(
        Walk(check, _ways_to(check)),
        Walk(up, _ways_to(up)),
        Walk(down, _ways_to(down), from_inside=True),
        Walk(hide, _ways_to(hide)),
    )


def gone_by(steps: Sequence[Step]) -> dict[str, Names]:
    """Return the properties that any of the steps moves away, by structure."""
    gone: dict[str, Names] = {}
    for step in steps:
        for structure, changes in step.changes.items():
            names = (change.gone for change in changes)
            gone[structure] = gone.get(structure, frozenset()).union(*names)
    return gone


def _add(to: dict[str, list[Change]], structure: str, changes: Sequence[Change]) -> None:
    wanted = [change for change in changes if change is not as_it_is]
    if wanted:
        to.setdefault(structure, []).extend(wanted)


def _check(absent: Names, young: Mapping[str, Names], document: Document) -> Document:
    """Raise Refused for what the version does not have; null is as if absent."""
    if not absent.isdisjoint(document):
        for name in absent & document.keys():
            if document[name] is not None:
                raise unknown_property(name)
    for name, values in young.items():
        value = document.get(name)
        if type(value) is str and value.lower() in values:
            raise invalid_property(name, value, "The api-version of the request does not have it.")
    return document


def _hide(hidden: Names, document: Document) -> Document:
    if hidden.isdisjoint(document):
        return document
    return {name: value for name, value in document.items() if name not in hidden}


def _young(enumeration: str, version: str) -> Names:
    """Return the values that came later than a version, in lower case."""
    values = ENUMERATIONS.get(enumeration, {})
    return frozenset(value.lower() for value, since in values.items() if since > version)


def _ways_to(wanted: Collection[str]) -> dict[str, dict[str, str]]:
    """Return, by structure, the properties that hold a wanted structure at any depth."""
    ways: dict[str, dict[str, str]] = {}
    ahead, reached = list(wanted), set(wanted)
    while ahead:
        structure = ahead.pop()
        for holder, name in _HOLDERS.get(structure, ()):
            ways.setdefault(holder, {})[name] = structure
            if holder not in reached:
                reached.add(holder)
                ahead.append(holder)
    return ways


def _holders() -> dict[str, list[tuple[str, str]]]:
    holders: dict[str, list[tuple[str, str]]] = {}
    for holder, members in STRUCTURES.items():
        for name, member in members.items():
            if member.structure in STRUCTURES:
                holders.setdefault(member.structure, []).append((holder, name))
    return holders


_HOLDERS = _holders()
"""By structure: which structures hold it, and as which property."""
