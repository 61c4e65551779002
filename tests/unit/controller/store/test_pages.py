"""Pages of filtered lists: every row that fits, once, whatever index it is found by."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal_controller.core.listing import ListQuery
from shoal_controller.core.odata.fields import TASKS
from shoal_controller.core.odata.parse import Filter, parse
from shoal_controller.core.odata.predicate import holds
from shoal_controller.store import pages
from shoal_controller.store.bounds import bounds
from shoal_controller.store.columns import time
from shoal_controller.store.database import Database, Row, Tx
from shoal_controller.store.filters import TASKS as COLUMNS
from shoal_controller.store.paths import every_way
from shoal_controller.store.walking import Walker

INSERT = (
    "INSERT INTO tasks (job_serial, id, definition, slots, created_at, modified_at, state,"
    " state_at, is_placed, node_id, started_at, ended_at, exit_code, result)"
    " VALUES (?, ?, x'00', 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_IDS = [f"{head}{tail}" for head in ("a", "A-b", "b", "Zz", "z_") for tail in ("", "1", "2", "x-")]


@dataclass(frozen=True, slots=True)
class Record:
    """A task as the service leaves one, with small numbers for times."""

    id: str
    created: int
    modified: int
    state: str
    at: int
    is_placed: bool = False
    node: str | None = None
    started: int | None = None
    ended: int | None = None
    exit_code: int | None = None
    result: str | None = None

    def value(self, path: str) -> Any:
        """Return its value of a property that can be filtered."""
        held = {
            "id": self.id,
            "state": self.state,
            "stateTransitionTime": self.at,
            "creationTime": self.created,
            "lastModified": self.modified,
            "lastModifiedTime": self.modified,
            "executionInfo/startTime": self.started,
            "executionInfo/endTime": self.ended,
            "executionInfo/exitCode": self.exit_code,
            "executionInfo/result": self.result,
        }[path]
        return time(held) if path.endswith(("Time", "Modified")) and held is not None else held

    def insert(self, tx: Tx, job: int) -> None:
        tx.execute(
            INSERT,
            (
                *(job, self.id, self.created, self.modified, self.state, self.at),
                *(self.is_placed, self.node, self.started, self.ended, self.exit_code),
                self.result,
            ),
        )


@st.composite
def _records(draw: st.DrawFn) -> Record:
    created = draw(st.integers(0, 4))
    modified = created + draw(st.sampled_from([0, 0, 0, 1, 3]))
    new = Record(draw(st.sampled_from(_IDS)), created, modified, "active", created)
    later = created + draw(st.integers(1, 4))
    node = draw(st.sampled_from(["n1", "n2", "n3"]))
    match draw(st.sampled_from(["new", "held", "again", "running", "ended", "failed", "killed"])):
        case "held":
            return replace(new, is_placed=True, node=node)
        case "again":
            started = draw(st.sampled_from([None, created]))
            return replace(new, at=later, node=node, started=started)
        case "running":
            state = draw(st.sampled_from(["running", "preparing"]))
            return replace(new, state=state, at=later, is_placed=True, node=node, started=later)
        case "ended":
            return replace(
                new, state="completed", at=later, ended=later, started=created, exit_code=0,
                result="success", node=node,
            )  # fmt: skip
        case "failed":
            return replace(
                new, state="completed", at=later, ended=later, started=created,
                exit_code=draw(st.sampled_from([-1, 0, 1, 2])), result="failure", node=node,
            )  # fmt: skip
        case "killed":
            return replace(new, state="completed", at=later, ended=later, result="failure")
        case _:
            return new


def _literal(path: str) -> st.SearchStrategy[str]:
    field = TASKS[path]
    if field.values:
        return st.sampled_from(field.values).map(lambda value: f"'{value.upper()}'")
    if path == "id":
        return st.sampled_from(["", *_IDS, "a-", "{"]).map(lambda value: f"'{value}'")
    if path.endswith("exitCode"):
        return st.integers(-2, 3).map(str)
    return st.integers(0, 8).map(lambda at: f"DateTime'1970-01-01T00:00:00.{at:06}Z'")


def _leaf(path: str) -> st.SearchStrategy[str]:
    operators = sorted(TASKS[path].operators - {"startswith"})
    leaf = st.tuples(st.just(path), st.sampled_from(operators), _literal(path)).map(" ".join)
    if path == "id":
        leaf |= st.sampled_from(["", "A", "a-", "z", "Zz1"]).map(
            lambda it: f"startswith(id,'{it}')"
        )
    return leaf


_FILTERS = st.recursive(
    st.sampled_from(sorted(TASKS)).flatmap(_leaf),
    lambda inner: (
        st.lists(inner, min_size=2, max_size=4).map(lambda some: f"({' and '.join(some)})")
        | st.lists(inner, min_size=2, max_size=12).map(lambda some: f"({' or '.join(some)})")
        | inner.map(lambda some: f"not ({some})")
    ),
    max_leaves=8,
)


async def _pages(store: Database, text: str, limit: int) -> list[list[Row]]:
    """Return every page of job 1; there are fewer than a thousand."""
    found: list[list[Row]] = []
    query = ListQuery(limit, "", parse(text) if text else None)
    for _ in range(1000):
        rows, after = await pages.page(store, pages.TASKS, (1,), query)
        found.append(rows)
        if after is None:
            return found
        query = replace(query, after=after)
    raise AssertionError("the list does not end")


@pytest.fixture
def small_rounds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pages that examine next to nothing, so that searches are broken off everywhere."""
    with monkeypatch.context() as patch:
        patch.setattr(pages, "ROUND_COST_MAX", 60)
        patch.setattr(pages, "ROUNDS_MAX", 2)
        patch.setattr(pages, "_WALK_COST_MIN", 20)
        yield


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "s.db", lambda tx: None, commit_inline=True)
    yield opened
    asyncio.run(opened.close())


@pytest.mark.usefixtures("small_rounds")
def test_pages_have_what_the_predicate_says_and_nothing_twice(store: Database) -> None:
    @settings(max_examples=300, deadline=None)
    @given(
        records=st.lists(_records(), max_size=20, unique_by=lambda record: record.id.lower()),
        text=_FILTERS,
        limit=st.integers(1, 5),
        foreign=st.booleans(),
    )
    def check(records: list[Record], text: str, limit: int, foreign: bool) -> None:
        def fill(tx: Tx) -> None:
            tx.execute("DELETE FROM tasks")
            for job in (1, 2) if foreign else (1,):
                for record in records:
                    record.insert(tx, job)

        asyncio.run(store.write(fill))
        found = asyncio.run(_pages(store, text, limit))
        assert all(len(page) <= limit for page in found)
        tree = parse(text)
        wanted = [record.id for record in records if holds(tree, TASKS, record.value)]
        assert sorted(row["id"] for page in found for row in page) == sorted(wanted)

    check()


def _fill(store: Database, records: list[Record], job: int = 1) -> None:
    asyncio.run(store.write(lambda tx: [record.insert(tx, job) for record in records] and None))


def _completed(name: str, at: int, code: int = 0) -> Record:
    result = "failure" if code else "success"
    return Record(name, 0, 0, "completed", at, False, "n", 0, at, code, result)


def _waiting(name: str, created: int) -> Record:
    return Record(name, created, created, "active", created)


MANY = [
    *[_waiting(f"w{number:04}", number) for number in range(3000)],
    *[_completed(f"c{number:04}", number) for number in range(3000)],
    *[_completed(f"f{number}", number, 7) for number in range(5)],
    replace(_waiting("running", 5), state="running", is_placed=True, node="n1", started=9, at=9),
]


@pytest.mark.parametrize(
    ("text", "index", "count"),
    [
        ("id eq 'RUNNING'", "tasks_by_id", 1),
        ("startswith(id,'f')", "tasks_by_id", 5),
        ("id ge 'w2999'", "tasks_by_id", 1),
        ("state eq 'running'", "tasks_placed", 1),
        ("state eq 'running' or state eq 'preparing'", "tasks_placed", 1),
        ("state eq 'active'", "tasks_active", 3000),
        ("executionInfo/exitCode ne 0", "tasks_failed", 5),
        ("executionInfo/exitCode eq 7 and state eq 'completed'", "tasks_failed", 5),
        ("executionInfo/result eq 'failure'", "tasks_ended", 5),
        ("executionInfo/result eq 'success'", "tasks_ended", 3000),
        ("executionInfo/endTime lt DateTime'1970-01-01T00:00:00.000003'", "tasks_ended", 6),
        ("creationTime ge DateTime'1970-01-01T00:00:00.002998'", "tasks_by_creation", 2),
        ("stateTransitionTime ge DateTime'1970-01-01T00:00:00.002998'", "tasks_ended", 4),
        ("lastModified ge DateTime'1970-01-01T00:00:00.002998'", "tasks_by_creation", 2),
        ("executionInfo/startTime gt DateTime'1970-01-01T00:00:00.000001'", "tasks_started", 1),
        ("startswith(id,'f') and state ne 'active'", "tasks_by_id", 5),
        ("not (state ne 'running')", "tasks_placed", 1),
        (" or ".join(f"id eq 'w{number:04}'" for number in range(200)), "tasks_by_id", 200),
    ],
)
def test_what_is_rare_is_found_by_an_index(
    store: Database, text: str, index: str, count: int
) -> None:
    _fill(store, MANY)
    seen: list[str] = []
    assert store._inline_reader is not None
    store._inline_reader.set_trace_callback(seen.append)
    (rows, *more) = asyncio.run(_pages(store, text, 10_000))
    assert len(rows) + sum(map(len, more)) == count
    assert any(f"INDEXED BY {index} " in sql for sql in seen if sql.startswith("WITH found"))


@pytest.mark.parametrize(
    "text",
    [
        "stateTransitionTime lt DateTime'2030-01-01'",
        "lastModified lt DateTime'2030-01-01' and id ne 'w0000'",
        "state eq 'active' and creationTime gt DateTime'1970-01-01T00:00:00.003'",
        "executionInfo/exitCode eq 0 and stateTransitionTime lt DateTime'1969-01-01'",
        "not (executionInfo/exitCode lt 9) and state eq 'completed'",
        "id ge 'a' and not startswith(id,'c') and state ne 'active'",
        " or ".join(f"startswith(id,'c{number:02}x')" for number in range(8)),
        " and ".join(f"id ne 'x{number}'" for number in range(200)) + " and state eq 'preparing'",
        " or ".join(f"id eq 'no{number}'" for number in range(250)),
    ],
)
def test_no_visit_to_a_reader_takes_long(
    store: Database, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(pages, "ROUND_COST_MAX", 4_000)
    monkeypatch.setattr(pages, "_LENGTHS", (50, 200))
    _fill(store, [*MANY, *(replace(_waiting(f"m{n}", 0), modified=9) for n in range(2000))])
    reader = store._inline_reader
    assert reader is not None
    steps: list[int] = []
    query = store.query

    async def counted(ask: Any) -> Any:
        steps.append(0)
        return await query(ask)

    def step() -> None:
        steps[-1] += 1

    monkeypatch.setattr(store, "query", counted)
    reader.set_progress_handler(step, 100)
    asyncio.run(_pages(store, text, 100))
    assert max(steps) < 400  # hundreds of the steps of SQLite; to read all is more


def test_every_index_can_be_walked_from_either_side_without_a_sort(store: Database) -> None:
    connection = store._inline_reader
    assert connection is not None
    for text in (
        *(f"{path} ge DateTime'1970-01-01'" for path in TASKS if path.endswith("Time")),
        *(f"{path} lt DateTime'1970-01-02'" for path in TASKS if path.endswith("Time")),
        *("id gt 'a'", "startswith(id,'x')", "executionInfo/exitCode ne 0"),
        *(f"state eq '{state}'" for state in TASKS["state"].values),
    ):
        for sql in _statements(connection, text):
            steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
            assert not any("TEMP B-TREE" in step for step in steps), (text, steps)
            (walk,) = [step for step in steps if "USING" in step and "INTEGER" not in step]
            if "tasks_placed" not in walk:
                assert walk.startswith("SEARCH tasks USING"), (text, walk)
                assert "job_serial=?" in walk, (text, walk)


def _statements(connection: sqlite3.Connection, text: str) -> Iterator[str]:
    """Yield what is executed for rows of a filter behind some entry, up to another."""
    tree: Filter = parse(text)
    source = pages.TASKS
    found = bounds(tree, TASKS, COLUMNS, source.filled)
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    walker = Walker(connection, source, (1,), source.where(tree))
    for way in every_way(found, source.ways, source.bounds):
        for walk in way:
            key: Any = "a" if walk.key in ("id", "node_id") else 1
            low, high = pages.Entry(key, 1), pages.Entry(key, 9)
            list(walker.fitting(walk, low, high, 5))
            list(walker.fitting(walk, None, None, 5))
    connection.set_trace_callback(None)
    yield from seen


def test_a_page_of_an_index_survives_what_happens_between_pages(store: Database) -> None:
    _fill(store, [_completed(f"c{number}", number // 3) for number in range(12)])
    _fill(store, [_waiting(f"w{number}", 0) for number in range(12)])

    async def scenario() -> list[str]:
        query = ListQuery(4, "", parse("state eq 'completed'"))
        found, after = await pages.page(store, pages.TASKS, (1,), query)
        names = [row["id"] for row in found]

        def change(tx: Tx) -> None:
            tx.execute("DELETE FROM tasks WHERE id IN ('c0', 'c3', 'c4')")
            _completed("new-before", 0).insert(tx, 1)
            _completed("new-behind", 9).insert(tx, 1)

        await store.write(change)
        while after is not None:
            found, after = await pages.page(store, pages.TASKS, (1,), replace(query, after=after))
            names += [row["id"] for row in found]
        return names

    names = asyncio.run(scenario())
    assert names == [
        *(f"c{number}" for number in (0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11)),
        "new-behind",
    ]


def test_a_page_ends_early_where_items_are_big(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE_BYTES_MAX", 0)
    _fill(store, [_waiting(f"w{number}", number) for number in range(3)])
    assert [len(page) for page in asyncio.run(_pages(store, "", 10))] == [1, 1, 1]


def test_times_compare_as_they_are_shown() -> None:
    assert time(1) == datetime.fromisoformat("1970-01-01T00:00:00.000001+00:00")
