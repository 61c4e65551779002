"""Output file patterns: what they match, what they refuse, and that none takes long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal_agent.core.paths import PathRefused
from shoal_agent.core.patterns import Pattern, parse

WD = ("workitems", "j", "job-1", "t", "wd")


def find(text: str, *files: str) -> list[str]:
    """Return which of `files` (relative to the node's root) a pattern means."""
    pattern = parse(text, WD, "/root")
    return [file for file in files if means(pattern, tuple(file.split("/")))]


def means(pattern: Pattern, parts: tuple[str, ...]) -> bool:
    if parts[: len(pattern.base)] != pattern.base or len(parts) == len(pattern.base):
        return False
    places = pattern.start()
    *folders, name = parts[len(pattern.base) :]
    for folder in folders:
        places = pattern.enter(places, folder)
    return pattern.takes(places, name)


def in_wd(*names: str) -> list[str]:
    return ["/".join((*WD, name)) for name in names]


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("a.txt", ["a.txt"], ["b.txt", "d/a.txt"]),
        ("*.txt", ["a.txt"], ["a.bin", ".a.txt", "d/a.txt"]),
        (".*.txt", [".a.txt"], ["a.txt"]),
        ("**/*.txt", ["a.txt", "d/a.txt", "d/e/a.txt"], ["d/.e/a.txt", "a.bin"]),
        ("**", ["a", "d/a"], [".a", "d/.a", ".d/a"]),
        ("d/**", ["d/a", "d/e/a"], ["a", "e/a"]),
        ("**/d/*", ["d/a", "e/d/a", "d/d/a"], ["d/e/a", "a"]),
        ("a?c", ["abc"], ["ac", "abbc"]),
        ("a[bd]c", ["abc", "adc"], ["acc"]),
        ("a[b-d]c", ["abc", "acc"], ["aec"]),
        ("a[!b]c", ["axc"], ["abc"]),
        ("abc[*]", ["abc*"], ["abcd"]),
        ("a[", ["a["], ["a"]),
        ("[]]", ["]"], ["["]),
        ("./a//b", ["a/b"], []),
    ],
)
def test_a_pattern_means_what_is_documented(pattern: str, yes: list[str], no: list[str]) -> None:
    assert find(pattern, *in_wd(*yes, *no)) == in_wd(*yes)


def test_patterns_may_leave_the_working_directory_but_not_the_node() -> None:
    assert find("../std*.txt", "workitems/j/job-1/t/stdout.txt") != []
    assert find("/root/shared/x", "shared/x") == ["shared/x"]
    refused = ["../" * 6 + "x", "/etc/passwd", "/rootx/a", "*/../x", "", ".", "/root", "..", "a\0"]
    for text in refused:
        with pytest.raises(PathRefused):
            parse(text, WD, "/root")


def test_only_real_wildcards_count_as_such() -> None:
    assert not parse("abc[*]", WD, "/root").has_wildcard
    assert not parse("d/a.txt", WD, "/root").has_wildcard
    assert parse("d/a*", WD, "/root").has_wildcard


def test_patterns_that_would_stall_a_backtracking_matcher_are_answered() -> None:
    assert find("*a" * 120 + "b", *in_wd("a" * 250)) == []
    assert find("**/a/" * 40 + "b", *in_wd("a/" * 90 + "c")) == []


@given(st.text(max_size=40))
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    try:
        pattern = parse(text, WD, "/root")
    except PathRefused:
        return
    assert ".." not in pattern.base
    means(pattern, ("a", "b"))


@given(st.text("ab*?[]!-.", min_size=1, max_size=8), st.text("ab.", min_size=1, max_size=6))
def test_one_name_matches_as_in_fnmatch_but_for_dots(text: str, name: str) -> None:
    import fnmatch

    if text in (".", "..") or name in (".", "..") or text.startswith("**") or "**" in text:
        return
    if name.startswith(".") or any(f"{a}-{b}" in text for a in "ba!-.[]*?" for b in "ba!-.[]*?"):
        return  # dots have rules of their own, and so have ranges that run backwards
    assert (find(text, *in_wd(name)) != []) == fnmatch.fnmatchcase(name, text)
