"""$filter: reading it, refusing it, and that its two meanings are one."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal_controller.core.errors import Refused
from shoal_controller.core.job import JobState
from shoal_controller.core.node import NodeState
from shoal_controller.core.odata.fields import JOBS, NODES, POOLS, TASKS, Fields, Kind, read
from shoal_controller.core.odata.parse import And, Compare, Filter, Not, Or, StartsWith, parse
from shoal_controller.core.odata.predicate import holds
from shoal_controller.core.pool import AllocationState, PoolState
from shoal_controller.core.task import TaskResult, TaskState
from shoal_controller.store import filters
from shoal_controller.store.columns import ticks

AT = datetime(2026, 5, 1, tzinfo=UTC)


def test_and_binds_stronger_than_or() -> None:
    tree = parse("state eq 'active' or id eq 'a' and id ne 'b'")
    assert isinstance(tree, Or)
    assert isinstance(tree.parts[1], And)


def test_parentheses_and_not_group() -> None:
    tree = parse("not (state eq 'active' or startswith(id,'it''s'))")
    assert isinstance(tree, Not)
    assert tree.inside == Or((Compare("state", "eq", "active", 5), StartsWith("id", "it's", 37)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a gt DateTime'2026-05-01T00:00:00Z'", AT),
        ("a gt datetime'2026-05-01'", AT),
        ("a gt DateTimeOffset'2026-05-01T01:00:00+01:00'", AT),
        ("a gt DateTime'2026-05-01T02:00:00.0000000+02:00'", AT),
        ("a gt -5", -5),
        ("a gt true", True),
    ],
)
def test_literals(text: str, value: object) -> None:
    tree = parse(text)
    assert isinstance(tree, Compare)
    assert tree.value == value
    assert type(tree.value) is type(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "At the end: a property"),
        ("id", "At the end: an operator"),
        ("id like 'a'", "At position 4: an operator"),
        ("id eq", "At the end: a value"),
        ("id eq 'a", "At position 7: cannot read"),
        ("id eq 'a' id", "At position 11: 'and', 'or'"),
        ("(id eq 'a'", "At the end: ')'"),
        ("created eq DateTime'yesterday'", "At position 12: a value"),
        ("(" * 60 + "id eq 'a'", "parentheses deep"),
        ("id eq 'a' ; drop", "At position 11: cannot read"),
        ("a" * 9000, "at most 8192 characters"),
        ("n eq 99999999999999999999", "At position 6: a value"),
        (f"startswith(id,{'9' * 5000})", f"is expected, found '{'9' * 64}'."),
    ],
)
def test_what_is_no_filter_is_refused_with_its_position(text: str, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(text)
    assert caught.value.code == "InvalidQueryParameterValue"
    assert reason in caught.value.details["Reason"]


@pytest.mark.parametrize(
    ("text", "name", "reason"),
    [
        ("commandLine eq 'x'", "commandLine", "At position 1: 'commandLine' cannot be filtered"),
        ("id eq 'a' or nothing eq 1", "nothing", "At position 14: 'nothing' cannot be filtered"),
        ("state gt 'active'", "state", "does not know 'gt'"),
        ("startswith(state,'a')", "state", "At position 12: 'state' does not know 'startswith'"),
        ("id eq 5", "id", "a name in quotes"),
        ("executionInfo/exitCode eq '0'", "executionInfo/exitCode", "a whole number"),
        ("not executionInfo/exitCode eq true", "executionInfo/exitCode", "At position 5: "),
        ("state eq 'bogus'", "state", "only one of active, preparing, running, completed."),
        ("executionInfo/result ne ''", "executionInfo/result", "is never '', only one of success"),
    ],
)
def test_what_a_list_does_not_know_is_refused(text: str, name: str, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        read(text, TASKS)
    details = caught.value.details
    assert reason in details["Reason"]
    assert details["PropertyName"] == name
    assert details["QueryParameterValue"] == text


@pytest.mark.parametrize(
    ("path", "fields", "states"),
    [
        ("state", POOLS, PoolState),
        ("allocationState", POOLS, AllocationState),
        ("state", JOBS, JobState),
        ("state", TASKS, TaskState),
        ("executionInfo/result", TASKS, TaskResult),
        ("state", NODES, NodeState),
        ("startTaskInfo/result", NODES, TaskResult),
    ],
)
def test_whatever_a_record_can_be_can_be_asked_for(
    path: str, fields: Fields, states: type[StrEnum]
) -> None:
    for state in states:
        assert read(f"{path} eq '{state}'", fields)
        assert read(f"{path} ne '{state.upper()}'", fields)


@pytest.mark.parametrize(
    "text",
    [
        " and ".join(["id eq ''"] * 600),
        " or ".join(["id eq ''"] * 600),
        "not " * 15 + "id eq 'a'",
        "(" * 15 + "id eq 'a'" + ")" * 15,
        "not (id eq 'a' or (id eq 'b' and " * 5 + "id eq 'a'" + "))" * 5,
    ],
)
def test_the_longest_and_the_deepest_filter_is_nothing_to_the_database(text: str) -> None:
    tree = read(text, TASKS)
    assert holds(tree, TASKS, {"id": "a"}.get) in (True, False)
    sql, parameters = filters.where(tree, TASKS, filters.TASKS)
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (id TEXT)")
    connection.execute(f"SELECT * FROM t WHERE {sql}", parameters)
    connection.close()


# --- two meanings, one truth ---

_WORDS = st.sampled_from(["a", "A", "ab", "B", "it's", "a%", "a_", "ACTIVE", "active", ""])
_TIMES = st.integers(-3, 3).map(lambda days: AT + timedelta(days=days, microseconds=days))
_NUMBERS = st.integers(-2, 2)
_VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: _WORDS,
    Kind.NAME: _WORDS,
    Kind.TIME: _TIMES,
    Kind.NUMBER: _NUMBERS,
    Kind.TRUTH: st.booleans(),
}


def _leaf(path: str) -> st.SearchStrategy[Filter]:
    field = TASKS[path]
    operators = sorted(field.operators - {"startswith"})
    leaf: st.SearchStrategy[Filter] = st.builds(
        Compare, st.just(path), st.sampled_from(operators), _VALUES[field.kind], st.just(0)
    )
    if "startswith" in field.operators:
        leaf |= st.builds(StartsWith, st.just(path), _WORDS, st.just(0))
    return leaf


_TREES = st.recursive(
    st.sampled_from(sorted(TASKS)).flatmap(_leaf),
    lambda inner: (
        st.builds(And, st.tuples(inner, inner))
        | st.builds(Or, st.tuples(inner, inner, inner))
        | st.builds(Not, inner)
    ),
    max_leaves=8,
)
_RECORDS = st.lists(
    st.fixed_dictionaries({path: st.none() | _VALUES[field.kind] for path, field in TASKS.items()}),
    max_size=8,
)


@settings(max_examples=300, deadline=None)
@given(tree=_TREES, records=_RECORDS)
def test_sql_and_predicate_pick_the_same_records(
    tree: Filter, records: list[dict[str, Any]]
) -> None:
    for record in records:  # two names for one column
        record["lastModifiedTime"] = record["lastModified"]
    columns = sorted(set(filters.TASKS.values()))
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE t (n, {', '.join(columns)})")
    for number, record in enumerate(records):
        row = {filters.TASKS[path]: value for path, value in record.items()}
        values = [
            ticks(value) if isinstance(value, datetime) else value
            for value in (row[column] for column in columns)
        ]
        marks = ", ".join("?" * (len(columns) + 1))
        connection.execute(f"INSERT INTO t VALUES ({marks})", [number, *values])
    sql, parameters = filters.where(tree, TASKS, filters.TASKS)
    picked = {n for (n,) in connection.execute(f"SELECT n FROM t WHERE {sql}", parameters)}
    connection.close()
    assert picked == {n for n, record in enumerate(records) if holds(tree, TASKS, record.get)}
