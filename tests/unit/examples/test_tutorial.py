"""What the tutorial does beside calling the service: choosing texts, counting, telling."""

import json
import re
from pathlib import Path

import pytest

from examples import progress
from examples.progress import Tally
from examples.settings import from_environment
from examples.tutorial import texts, words


def test_words_are_counted_without_case_and_ties_go_by_the_alphabet():
    text = "Shoal shoals SHOAL, shoals; apples 12345 a be über_größe"
    assert list(words.top_words(text, 10).items()) == [
        ("shoal", 2),
        ("shoals", 2),
        ("apples", 1),
        ("größe", 1),
    ]
    assert list(words.top_words(text, 1)) == ["shoal"]


def test_the_script_writes_its_result_as_json(tmp_path: Path):
    (tmp_path / "input.md").write_bytes(b"# Batch \xff batch tasks")
    words.main(str(tmp_path / "input.md"), str(tmp_path / "words.json"))
    assert json.loads((tmp_path / "words.json").read_text()) == {"batch": 2, "tasks": 1}


def test_markdown_files_are_found_at_every_depth_but_not_in_hidden_folders(tmp_path: Path):
    for name in ("b.md", "deep/er/a.md", ".venv/x.md", "build/y.md", "deep/z.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [str(file.relative_to(tmp_path)) for file in texts.markdown_files(tmp_path)]
    assert found == ["b.md", "deep/er/a.md"]


def test_a_task_id_is_one_the_service_takes_whatever_the_file_is_called():
    for stem in ("README", "ünï cödé..", "0001-statements-on-the-loop", "x" * 300):
        assert re.fullmatch(r"[A-Za-z0-9-]{1,64}", texts.task_id(7, Path(f"{stem}.md")))


def test_results_are_added_up_over_files(capsys: pytest.CaptureFixture[str]):
    results = {"a.json": b'{"batch": 3, "tasks": 1}', "b.json": b'{"batch": 2}'}
    occurrences, files = texts.merge(results)
    assert (occurrences["batch"], files["batch"]) == (5, 2)
    texts.print_table(results, 1)
    assert re.search(r"batch\s+5\s+2", capsys.readouterr().out)


def test_progress_is_told_in_plain_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
):
    assert progress.watch("words", 3, lambda: Tally(0, 0, 2, 1)).failed == 1
    assert capsys.readouterr().out == (
        "words: 3 of 3 done (0 waiting, 0 running, 2 succeeded, 1 failed)\n"
    )


def test_a_node_whose_start_task_failed_ends_the_wait():
    with pytest.raises(SystemExit, match="starttaskfailed"):
        progress.wait_for_nodes(2, lambda: ["idle", "starttaskfailed"])


def test_missing_settings_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AZURE_BATCH_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.delenv("AZURE_BATCH_ACCESS_KEY", raising=False)
    with pytest.raises(SystemExit, match="AZURE_BATCH_ACCESS_KEY"):
        from_environment()
