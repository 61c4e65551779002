"""Tables, tab-separated values and JSON."""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shoal_cli.render import Output, fit
from shoal_cli.views import JOB, POOL, TASK, outcome

TASKS: list[dict[str, Any]] = [
    {
        "id": "a",
        "state": "completed",
        "commandLine": "sh -c 'echo\t\x1b[31mhello; " + "x" * 300 + "'",
        "executionInfo": {"exitCode": 3, "retryCount": 0, "startTime": "2026-01-01T00:00:00Z"},
        "nodeInfo": {"nodeId": "tvmps_1_d"},
    },
    {"id": "b", "state": "active", "commandLine": "true", "executionInfo": {"retryCount": 0}},
]


async def pages(*given: list[dict[str, Any]]) -> AsyncIterator[list[dict[str, Any]]]:
    for page in given:
        yield page


class Screen(io.StringIO):
    """A terminal, as far as the renderer asks."""

    def isatty(self) -> bool:
        return True


def output(stream: io.StringIO | None = None, **given: Any) -> Output:
    return Output(**given, stream=stream or io.StringIO(), notes=io.StringIO())


def text_of(out: Output) -> str:
    assert isinstance(out.stream, io.StringIO)
    return out.stream.getvalue()


async def test_a_table_fits_the_terminal_and_obeys_no_escape(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    monkeypatch.setenv("NO_COLOR", "1")
    out = output(Screen())
    await out.list(pages(TASKS), TASK)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in text_of(out).splitlines()]
    assert all(len(line) <= 72 for line in lines)
    assert lines[0].split()[:3] == ["ID", "STATE", "EXIT"]
    assert lines[1].split()[:4] == ["a", "completed", "3", "tvmps_1_d"]
    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize("width", range(4, 120, 5))
def test_columns_fit_every_width(width: int) -> None:
    kinds = ["id", "state", "outcome", "id", "number", "time", "time", "long"]
    widths = fit([12, 9, 4, 30, 3, 8, 8, 200], kinds, width)
    shown = [w for w in widths if w]
    assert sum(shown) + 2 * (len(shown) - 1) <= max(width, 3 * len(shown))
    assert widths[0] > 0


def test_a_wide_terminal_cuts_nothing() -> None:
    assert fit([3, 9], ["id", "long"], 14) == [3, 9]


async def test_a_table_in_a_pipe_is_not_cut() -> None:
    out = output()
    await out.list(pages(TASKS), TASK)
    head, first, second = text_of(out).splitlines()
    assert head.split()[:3] == ["ID", "STATE", "EXIT"]
    assert "x" * 300 in first
    assert "\x1b" not in first
    assert second.split() == ["b", "active", "0", "true"]


async def test_tsv_has_every_column_on_one_line_for_every_resource() -> None:
    out = output(format="tsv")
    await out.list(pages(TASKS[:1], TASKS[1:]), TASK)
    lines = text_of(out).splitlines()
    assert [line.count("\t") for line in lines] == [len(TASK) - 1] * 2
    assert lines[0].split("\t")[7].startswith("sh -c 'echo\\t\\x1b[31mhello")
    assert lines[0].split("\t")[5] == "2026-01-01T00:00:00Z"


async def test_tsv_begins_with_names_when_asked() -> None:
    out = output(format="tsv", header=True)
    await out.list(pages([]), JOB)
    assert text_of(out).startswith("id\tstate\tpool\t")


async def test_json_is_an_array_of_the_apis_own_objects() -> None:
    out = output(format="json")
    await out.list(pages(TASKS[:1], [], TASKS[1:]), TASK)
    assert json.loads(text_of(out)) == TASKS


async def test_an_empty_list_is_an_empty_array_and_a_note_to_people() -> None:
    out = output(format="json")
    await out.list(pages([]), TASK)
    assert json.loads(text_of(out)) == []
    out = output()
    await out.list(pages([]), TASK)
    assert text_of(out) == ""


async def test_quiet_lists_ids_alone() -> None:
    out = output(quiet=True)
    await out.list(pages(TASKS), TASK)
    assert text_of(out) == "a\nb\n"


def test_one_resource_is_shown_fact_by_fact() -> None:
    out = output()
    pool = {
        "id": "p",
        "state": "active",
        "currentDedicatedNodes": 1,
        "targetDedicatedNodes": 2,
        "virtualMachineConfiguration": {
            "imageReference": {"publisher": "canonical", "offer": "jammy", "sku": "22_04"}
        },
        "resizeErrors": [{"code": "AllocationFailed", "message": "no room"}],
    }
    out.show(pool, POOL)
    lines = [line.split(maxsplit=1) for line in text_of(out).splitlines()]
    assert ["image", "canonical:jammy:22_04"] in lines
    assert ["errors", "AllocationFailed: no room"] in lines


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ({"state": "running", "executionInfo": {}}, None),
        ({"state": "completed", "executionInfo": {"exitCode": 0}}, "0"),
        (
            {"state": "completed", "executionInfo": {"failureInfo": {"code": "DiskFull"}}},
            "DiskFull",
        ),
        ({"state": "active", "executionInfo": {"exitCode": 1}}, None),
    ],
)
def test_how_a_task_ended_is_one_word(task: dict[str, Any], expected: str | None) -> None:
    assert outcome(task) == expected
