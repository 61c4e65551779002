"""Tables: whatever a record holds is found again in its row."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from enum import Enum
from types import ModuleType, NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal_controller.core.application import Application, Package
from shoal_controller.core.certificate import Certificate
from shoal_controller.core.job import Job
from shoal_controller.core.jobschedule import JobSchedule
from shoal_controller.core.node import Node
from shoal_controller.core.pool import Pool
from shoal_controller.store import applications, certificates, jobs, jobschedules, nodes, pools
from shoal_controller.store.database import Tx, schemas
from tests.builders import NOON

KINDS = (
    (Application, applications, "applications", ""),
    (Package, applications, "packages", "_package"),
    (Certificate, certificates, "certificates", ""),
    (Job, jobs, "jobs", ""),
    (JobSchedule, jobschedules, "job_schedules", ""),
    (Node, nodes, "nodes", ""),
    (Pool, pools, "pools", ""),
)
SPANS = st.timedeltas(timedelta(0), timedelta(days=9000))
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    NoneType: st.none(),
    Any: st.integers(0, 9),
    bool: st.booleans(),
    bytes: st.binary(max_size=4),
    str: st.text(st.characters(codec="utf-8"), max_size=4),
    int: st.integers(0, 1 << 40),
    float: st.integers(0, 1 << 20).map(float),
    datetime: SPANS.map(lambda span: NOON + span),
    timedelta: SPANS,
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Return values of a type, records of records included."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    inner = get_args(kind)
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return st.one_of([values(one) for one in inner])
    if origin is tuple and Ellipsis in inner:
        return st.lists(values(inner[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values, inner))
    if origin is not None and issubclass(origin, Mapping):
        return st.dictionaries(values(inner[0]), values(inner[1]), max_size=2)
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    return st.builds(kind, **{name: values(hint) for name, hint in get_type_hints(kind).items()})


def fresh() -> Tx:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    for script in schemas():
        connection.executescript(script)
    return Tx(connection)


@pytest.mark.parametrize(("kind", "module", "name", "suffix"), KINDS, ids=[k[2] for k in KINDS])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_record_is_read_as_it_was_written(
    data: st.DataObject, kind: Any, module: ModuleType, name: str, suffix: str
) -> None:
    tx = fresh()
    hints = get_type_hints(kind)
    drawn = [
        kind(**{one.name: data.draw(values(hints[one.name]), one.name) for one in fields(kind)})
        for _ in range(2)
    ]
    serial = getattr(module, f"insert{suffix}")(tx, drawn[0])
    read = getattr(module, suffix[1:] or name.removesuffix("s"))
    (row,) = tx.rows(f"SELECT * FROM {name}")
    assert read(row) == replace(drawn[0], serial=serial)
    changed = replace(drawn[1], serial=serial)
    getattr(module, f"update{suffix}")(tx, changed)
    (row,) = tx.rows(f"SELECT * FROM {name}")
    assert read(row) == changed
    getattr(module, f"delete{suffix}")(tx, serial)
    assert not tx.rows(f"SELECT * FROM {name}")
    tx.connection.close()
