"""Structures as tables: one row per property, used to read a document and to write it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shoal_controller.api.wire.values import Reader
from shoal_controller.core.errors import Refused, invalid_property, missing_property, not_built

Writer = Callable[[Any], Any]
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Property:
    """One property of a structure.

    attribute  of the record
    write      None: the value goes out as it is
    is_secret  never in an answer
    """

    name: str
    attribute: str
    read: Reader
    write: Writer | None = None
    is_required: bool = False
    is_secret: bool = False


@dataclass(frozen=True, slots=True)
class Structure:
    """The properties of a document, and what to do with others.

    not_built  properties of features that Shoal does not have: only their neutral values pass
    ignored    properties that the service fills in: clients send back what they were given
    """

    properties: Sequence[Property]
    not_built: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()
    _rows: dict[str, tuple[str, Reader]] = field(default_factory=dict, init=False)
    _required: tuple[tuple[str, str], ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        self._rows.update({row.name: (row.attribute, row.read) for row in self.properties})
        required = tuple((row.attribute, row.name) for row in self.properties if row.is_required)
        object.__setattr__(self, "_required", required)

    def read(self, document: Any, name: str, *, is_partial: bool = False) -> dict[str, Any]:
        """Return the attributes that a document gives; null is as if absent.

        name        of the property that holds it, for refusals
        is_partial  nothing is required (PATCH)
        raises      Refused
        """
        if type(document) is not dict:
            raise invalid_property(name, document, "It must be an object.")
        rows = self._rows
        values: dict[str, Any] = {}
        for key, value in document.items():
            if value is None:
                continue
            row = rows.get(key)
            if row is None:
                self._check_unknown(key, value)
            else:
                values[row[0]] = row[1](value, key)
        if not is_partial:
            for attribute, key in self._required:
                if attribute not in values:
                    raise missing_property(key)
        return values

    def write(self, record: Any) -> Document:
        """Return a record as a document; what is None or an empty list is left out."""
        document: Document = {}
        for row in self.properties:
            value = getattr(record, row.attribute)
            if value is None or value == () or row.is_secret:
                continue
            document[row.name] = value if row.write is None else row.write(value)
        return document

    def _check_unknown(self, key: str, value: Any) -> None:
        if key in self.not_built:
            if not is_neutral(value):
                raise not_built(key)
        elif key not in self.ignored and not is_annotation(key):
            raise unknown_property(key)


def record_of(structure: Structure, kind: Callable[..., Any]) -> Reader:
    """Return a reader of a nested document as a record of `kind`."""

    def read(value: Any, name: str) -> Any:
        return kind(**structure.read(value, name))

    return read


def list_of(read_item: Reader, items_max: int = 100_000) -> Reader:
    """Return a reader of a list as a tuple."""

    def read(value: Any, name: str) -> tuple[Any, ...]:
        if type(value) is not list:
            raise invalid_property(name, value, "It must be an array.")
        if len(value) > items_max:
            raise invalid_property(name, value, f"It has more than {items_max} items.")
        return tuple([read_item(item, name) for item in value])

    return read


def listed(write_item: Writer) -> Writer:
    """Return a writer of a tuple as a list."""
    return lambda values: [write_item(value) for value in values]


def is_neutral(value: Any) -> bool:
    """Return whether a value says no more than its absence: null, false, empty, or all of that."""
    if type(value) is dict:
        return all(is_neutral(item) for item in value.values())
    if type(value) is list:
        return not value
    return (
        value is None
        or value is False
        or (type(value) is str and value.strip().lower() in ("", "false"))
    )


def is_annotation(key: str) -> bool:
    """Return whether a property is OData's own, of no meaning here."""
    return key.startswith("odata.") or "@odata." in key


def unknown_property(name: str) -> Refused:
    """Return the refusal of a property that its structure does not have."""
    return Refused(
        "UnsupportedProperty",
        PropertyName=name[:256],
        Reason="The api-version of the request has no such property here.",
    )


# --- names and values, which many structures have -------------------------------------------------

PAIRS_MAX: Final = 10_000


def pairs(*, value_required: bool, names_filled: str) -> Reader:
    """Return a reader of a list of {name, value}.

    names_filled  the code of the refusal of an empty name
    """

    def read(value: Any, name: str) -> tuple[tuple[str, str], ...]:
        if type(value) is not list or len(value) > PAIRS_MAX:
            raise invalid_property(name, value, f"It must be an array of up to {PAIRS_MAX} items.")
        return tuple([_pair(item, name, value_required, names_filled) for item in value])

    return read


def _pair(item: Any, name: str, value_required: bool, names_filled: str) -> tuple[str, str]:
    if type(item) is not dict:
        raise invalid_property(name, item, "It must be an object with name and value.")
    key, value = item.get("name"), item.get("value")
    if key is None:
        raise missing_property("name")
    if value is None:
        if value_required:
            raise missing_property("value")
        value = ""
    if type(key) is not str or type(value) is not str or "\0" in key or "\0" in value:
        raise invalid_property(name, item, "Name and value must be strings without NUL.")
    if not key:
        raise Refused(names_filled, PropertyName=name, Reason="A name must not be empty.")
    if len(item) > 2:
        for extra in item:
            if extra not in ("name", "value") and not is_annotation(extra):
                raise unknown_property(extra)
    return key, value


def written_pairs(values: Sequence[tuple[str, str]]) -> list[Mapping[str, str]]:
    """Return names and values as a list of {name, value}."""
    return [{"name": name, "value": value} for name, value in values]
