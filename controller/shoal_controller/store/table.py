"""A kind of record in rows: its columns are said once, and what reads and writes rows follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

from shoal_controller.store.columns import (
    decoder,
    encode,
    span,
    ticks,
    ticks_or_none,
    time,
    time_or_none,
)
from shoal_controller.store.columns import duration as read_duration
from shoal_controller.store.database import Row, Tx

T = TypeVar("T")


class Column(NamedTuple):
    """A column of a table.

    value  what of a record it holds
    read   makes the record's attribute of the same name from it; None: that is not made from it
    """

    name: str
    value: Callable[[Any], Any]
    read: Callable[[Any], Any] | None


@dataclass(frozen=True, slots=True)
class Table(Generic[T]):
    """Records of one kind, each with a serial number of its own that is never used again."""

    record: Callable[[Row], T]
    _by_serial: str
    _insert: str
    _update: str
    _delete: str
    _columns: Sequence[Column]

    def one(self, tx: Tx, sql: str, parameters: Sequence[Any]) -> T | None:
        """Return the record that a statement finds, or None."""
        row = tx.row(sql, parameters)
        return None if row is None else self.record(row)

    def all(self, tx: Tx, sql: str, parameters: Sequence[Any]) -> list[T]:
        """Return the records that a statement finds."""
        return [self.record(row) for row in tx.rows(sql, parameters)]

    def by_serial(self, tx: Tx, serial: int) -> T | None:
        """Return the record of that serial number, or None."""
        return self.one(tx, self._by_serial, (serial,))

    def insert(self, tx: Tx, new: T) -> int:
        """Store a new record, return its serial number; sqlite3.IntegrityError for a namesake."""
        return tx.execute(self._insert, self._values(new)).lastrowid or 0

    def update(self, tx: Tx, changed: Any) -> None:
        """Store a record as it is now."""
        tx.execute(self._update, (*self._values(changed), changed.serial))

    def delete(self, tx: Tx, serial: int) -> None:
        """Forget a record; its serial number stays used."""
        tx.execute(self._delete, (serial,))

    def _values(self, record: T) -> list[Any]:
        return [column.value(record) for column in self._columns]


def table(name: str, make: Callable[..., T], *columns: Column) -> Table[T]:
    """Return the table of that name.

    make   makes a record from its attributes, serial included
    """
    names = ", ".join(column.name for column in columns)
    marks = ", ".join("?" * len(columns))
    read = [(column.name, column.read) for column in columns if column.read is not None]

    def record(row: Row) -> T:
        return make(serial=row["serial"], **{name: read(row[name]) for name, read in read})

    return Table(
        record,
        f"SELECT * FROM {name} WHERE serial = ?",
        f"INSERT INTO {name} ({names}) VALUES ({marks})",
        f"UPDATE {name} SET ({names}) = ({marks}) WHERE serial = ?",
        f"DELETE FROM {name} WHERE serial = ?",
        columns,
    )


# --- kinds of columns -----------------------------------------------------------------------------


def plain(*names: str) -> list[Column]:
    """Texts, numbers and bytes, as they are; None is NULL."""
    return [Column(name, attrgetter(name), _same) for name in names]


def truth(name: str) -> Column:
    """True or false, as 1 or 0."""
    return _column(name, int, bool)


def moment(name: str) -> Column:
    """A time."""
    return _column(name, ticks, time)


def moment_or_none(name: str) -> Column:
    """A time, or NULL."""
    return _column(name, ticks_or_none, time_or_none)


def duration(name: str) -> Column:
    """A duration."""
    return _column(name, span, read_duration)


def choice(name: str, kind: Callable[[str], Any]) -> Column:
    """A member of an enumeration of texts."""
    return Column(name, attrgetter(name), kind)


def choice_or_none(name: str, kind: Callable[[str], Any]) -> Column:
    """A member of an enumeration of texts, or NULL."""
    return Column(name, attrgetter(name), lambda value: None if value is None else kind(value))


def nested(name: str, shape: Any) -> Column:
    """A nested value as JSON."""
    return _column(name, encode, decoder(shape))


def nested_or_none(name: str, shape: Any) -> Column:
    """A nested value as JSON, or NULL."""
    decode = decoder(shape)
    return _column(
        name,
        lambda value: None if value is None else encode(value),
        lambda value: None if value is None else decode(value),
    )


def derived(name: str, value: Callable[[Any], Any]) -> Column:
    """A value that statements look at and that the record holds elsewhere."""
    return Column(name, value, None)


def _column(name: str, write: Callable[[Any], Any], read: Callable[[Any], Any]) -> Column:
    get = attrgetter(name)
    return Column(name, lambda record: write(get(record)), read)


def _same(value: Any) -> Any:
    return value
