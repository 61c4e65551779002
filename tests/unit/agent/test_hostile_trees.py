"""What tasks make of their directories: too deep, oddly named, full of links."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest

from shoal_agent.core.environment import Account
from shoal_agent.core.instructions import PrepareFiles
from shoal_agent.core.paths import NodePaths
from shoal_agent.fileserver import FileServer, answer
from shoal_agent.steps.cleanup import empty_trash
from shoal_agent.steps.resource_files import prepare_files
from shoal_agent.tree import make_tree
from shoal_protocol.codec import FRAME_BYTES_MAX, encode_message
from shoal_protocol.messages import FileAction, FileReply, FileRequest

WD = "workitems/j/job-1/t/wd"


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "root"
    make_tree(NodePaths(str(made)), is_for_users=False)
    (made / WD).mkdir(parents=True)
    yield made
    # Whatever a failed test leaves is deeper than pytest itself could remove.
    subprocess.run(["rm", "-rf", "--", str(made)], check=True)


def ask(root: Path, action: FileAction, path: str, **options: object) -> FileReply:
    reply = answer(str(root), FileRequest(1, action, path, **options))  # type: ignore[arg-type]
    encode_message(0, reply)  # whatever is answered can be sent
    return reply


def dig(folder: Path, depth: int) -> None:
    code = f"import os\nfor _ in range({depth}): os.mkdir('d'); os.chdir('d')"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)


def test_a_tree_deeper_than_any_path_is_deleted_on_request(root: Path) -> None:
    dig(root / WD, 3000)
    assert ask(root, FileAction.DELETE, WD, recursive=True).error == ""
    assert not (root / WD).exists()
    assert list((root / "volatile" / "removed").iterdir()) == []


def test_the_trash_is_emptied_of_deep_trees_and_of_what_lies_behind_them(root: Path) -> None:
    trash = root / "volatile" / "removed"
    for name in ("a", "b"):
        (trash / name).mkdir()
    dig(trash / "a", 3000)
    with ThreadPoolExecutor(1) as cleaner:  # it lowers the priority of the thread that calls it
        cleaner.submit(empty_trash, trash).result()
    assert list(trash.iterdir()) == []


def test_names_that_are_no_text_are_shown_and_paged_over(root: Path) -> None:
    for name in (b"good", b"bad\xff", b"bad\xfe", b"z"):
        (root / WD / os.fsdecode(name)).touch()
    shown: list[str] = []
    after = ""
    while True:
        reply = ask(root, FileAction.LIST, WD, recursive=True, after=after, entries_max=1)
        shown += [entry.name for entry in reply.entries]
        if not reply.more:
            break
        after = shown[-1]
    assert shown == ["bad\\xfe", "bad\\xff", "good", "z"]


def listed_in_pages(root: Path, path: str, entries_max: int) -> list[str]:
    shown: list[str] = []
    while True:
        after = shown[-1] if shown else ""
        reply = ask(
            root, FileAction.LIST, path, recursive=True, after=after, entries_max=entries_max
        )
        assert reply.error == ""
        shown += [entry.name for entry in reply.entries]
        if not reply.more:
            return shown


def test_a_recursive_list_goes_on_to_any_depth(root: Path) -> None:
    dig(root / WD, 1200)
    (root / WD / "e").touch()
    expected = ["/".join(["d"] * depth) for depth in range(1, 1201)]
    assert listed_in_pages(root, WD, 500) == [*expected, "e"]


def test_a_list_that_would_have_to_leave_something_out_says_so(root: Path) -> None:
    dig(root / WD, 3000)
    first = ask(root, FileAction.LIST, WD, recursive=True, entries_max=100)
    assert (len(first.entries), first.more) == (100, True)
    reply = first
    while reply.more:
        after = reply.entries[-1].name
        reply = ask(root, FileAction.LIST, WD, recursive=True, after=after)
    assert (reply.error, reply.entries) == ("too_deep", ())
    assert "d/d/d" in reply.reason
    deepest = f"{WD}/{'d/' * 2000}d"
    assert [entry.name for entry in ask(root, FileAction.LIST, deepest).entries] == ["d"]


def test_a_list_of_long_names_comes_in_pieces_that_can_be_sent(root: Path) -> None:
    names = [f"{number:04}{'é' * 120}" for number in range(5000)]
    for name in names:
        (root / WD / name).touch()
    reply = ask(root, FileAction.LIST, WD, entries_max=5000)
    assert reply.more
    assert len(encode_message(0, reply)) < FRAME_BYTES_MAX
    assert listed_in_pages(root, WD, 5000) == names


@pytest.mark.parametrize(
    ("seconds", "year"), [(-(10**11), 1), (10**12, 9999), (1 << 40, 9999), (-(1 << 40), 1)]
)
def test_a_file_of_a_time_that_has_no_date_is_listed(seconds: int, year: int) -> None:
    # A RAM disk keeps any time; other file systems change it to what they can.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as made:
        file = Path(made) / "workitems" / "file"
        file.parent.mkdir()
        file.touch()
        os.utime(file, (seconds, seconds))
        if int(file.stat().st_mtime) != seconds:
            pytest.skip("this file system cannot keep such a time")
        (entry,) = ask(Path(made), FileAction.LIST, "workitems").entries
        assert entry.modified_at.year == year
        assert (
            ask(Path(made), FileAction.STAT, "workitems/file").entries[0].modified_at.year == year
        )


@pytest.mark.parametrize("target", ["workitems", "shared", "workitems/j"])
def test_nothing_is_deleted_through_a_link(root: Path, target: str) -> None:
    (root / WD / "rt").symlink_to(root)
    (root / "shared" / "kept").touch()
    assert ask(root, FileAction.DELETE, f"{WD}/rt/{target}", recursive=True).error == "refused"
    assert (root / WD).is_dir()
    assert (root / "shared" / "kept").exists()
    assert ask(root, FileAction.DELETE, f"{WD}/rt").error == ""
    assert not (root / WD / "rt").is_symlink()
    assert root.is_dir()


@pytest.mark.parametrize("secret", ["startup/certs", "workitems/j/job-1/t/certs"])
def test_what_is_hidden_stays_hidden_behind_links(root: Path, secret: str) -> None:
    (root / secret).mkdir()
    (root / secret / "key.pem").write_text("private")
    (root / WD / "rt").symlink_to(root)
    (root / WD / "near").symlink_to(os.path.relpath(root / secret, root / WD))
    for path in (f"{WD}/rt/{secret}", f"{WD}/near", f"{WD}/rt/volatile/removed"):
        assert ask(root, FileAction.STAT, path).error == "not_found"
        assert ask(root, FileAction.LIST, path).error == "not_found"
    for path in (f"{WD}/rt/{secret}/key.pem", f"{WD}/near/key.pem"):
        assert ask(root, FileAction.READ, path, length=10).error == "not_found"
    above = str(Path(secret).parent)
    listed = ask(root, FileAction.LIST, f"{WD}/rt/{above}", recursive=True)
    assert not [entry.name for entry in listed.entries if "certs" in entry.name]
    assert "near" not in [entry.name for entry in ask(root, FileAction.LIST, WD).entries]


def test_a_tasks_own_directory_may_be_called_like_a_hidden_one(root: Path) -> None:
    (root / WD / "certs").mkdir()
    assert [entry.name for entry in ask(root, FileAction.LIST, WD).entries] == ["certs"]


def test_a_root_that_is_itself_a_link_is_served(root: Path) -> None:
    (root / WD / "file").touch()
    other = root.parent / "other"
    other.symlink_to(root)
    assert ask(other, FileAction.DELETE, f"{WD}/file").error == ""
    assert not (root / WD / "file").exists()


def test_a_file_is_read_and_deleted_by_the_name_it_is_shown_under(root: Path) -> None:
    folder = root / WD / os.fsdecode(b"dir\xfe")
    folder.mkdir()
    (folder / os.fsdecode(b"\xc3\xa9\xff")).write_bytes(b"bytes")
    path = f"{WD}/dir\\xfe/\u00e9\\xff"
    assert ask(root, FileAction.STAT, path).entries[0].name == "\u00e9\\xff"
    assert ask(root, FileAction.READ, path, length=10).data == b"bytes"
    assert len(ask(root, FileAction.LIST, f"{WD}/dir\\xfe").entries) == 1
    assert ask(root, FileAction.DELETE, path).error == ""
    assert list(folder.iterdir()) == []
    assert ask(root, FileAction.DELETE, f"{WD}/dir\\xfe", recursive=True).error == ""


def test_a_file_that_is_spelled_like_a_shown_name_goes_first(root: Path) -> None:
    (root / WD / "bad\\xff").write_bytes(b"spelled")
    (root / WD / os.fsdecode(b"bad\xff")).write_bytes(b"shown")
    assert ask(root, FileAction.READ, f"{WD}/bad\\xff", length=10).data == b"spelled"


@pytest.mark.parametrize("label", ["\\x2e\\x2e", "a\\x2fb", "\\xc3\\xa9", "\\xFF"])
def test_only_what_a_list_shows_stands_for_other_bytes(root: Path, label: str) -> None:
    (root / WD / "\u00e9").touch()
    (root / WD / os.fsdecode(b"\xff")).touch()
    assert ask(root, FileAction.STAT, f"{WD}/{label}").error == "not_found"


async def test_an_answer_that_cannot_be_sent_is_still_answered(root: Path) -> None:
    sent: asyncio.Queue[FileReply] = asyncio.Queue()

    def send(reply: FileReply) -> None:
        if not reply.error:
            raise UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed")
        sent.put_nowait(reply)

    FileServer(str(root), send).serve(FileRequest(7, FileAction.STAT, WD))
    reply = await asyncio.wait_for(sent.get(), 5)
    assert (reply.request_id, reply.error) == (7, "failed")


async def test_a_run_that_begins_anew_removes_what_an_earlier_one_dug(root: Path) -> None:
    wd = root / "startup" / "wd"
    wd.mkdir()
    dig(wd, 3000)
    step = PrepareFiles(str(wd), ((str(wd), 0o755),), (), None, fresh=str(wd))
    async with aiohttp.ClientSession() as session:
        room = asyncio.Semaphore(1)
        assert await prepare_files(step, Account("me"), str(root), session, room) is None
    assert list(wd.iterdir()) == []
