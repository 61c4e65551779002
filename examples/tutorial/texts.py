"""What goes into the tutorial and what comes out: Markdown files, and a table of words."""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from azure.storage.blob import ContainerClient

from examples import storage

REPOSITORY = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("words.py")


def parse_arguments() -> argparse.Namespace:
    """Return what was asked for on the command line."""
    parser = argparse.ArgumentParser(description="Count words with a task per Markdown file.")
    parser.add_argument("folder", nargs="?", type=Path, default=REPOSITORY)
    parser.add_argument("--nodes", type=int, default=2, help="size of the pool")
    parser.add_argument("--top", type=int, default=15, help="words to show")
    return parser.parse_args()


def upload(container: ContainerClient, folder: Path) -> tuple[str, dict[str, str]]:
    """Upload the script and every Markdown file of `folder`; return URLs that nodes can read.

    returns  the script's URL, and the files' URLs by the id of the task that is to read it
    """
    script_url = storage.upload(container, SCRIPT, SCRIPT.name)
    file_urls = {
        task_id(number, file): storage.upload(container, file, str(file.relative_to(folder)))
        for number, file in enumerate(markdown_files(folder), start=1)
    }
    print(f"uploaded {SCRIPT.name} and {len(file_urls)} Markdown files", flush=True)
    return script_url, file_urls


def markdown_files(folder: Path) -> Iterator[Path]:
    """Yield every Markdown file below `folder`, those in hidden and build folders left out."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name in ("build", "dist", "node_modules"):
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from markdown_files(entry)
        elif entry.suffix == ".md" and entry.is_file():
            yield entry


def task_id(number: int, file: Path) -> str:
    """Return an id of at most 64 letters, digits and dashes that tells which file it is."""
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{number:03d} {file.stem}").strip("-")[:64]


def merge(results: Mapping[str, bytes]) -> tuple[Counter[str], Counter[str]]:
    """Return how often each word stands in all results together, and in how many of them."""
    occurrences: Counter[str] = Counter()
    files: Counter[str] = Counter()
    for content in results.values():
        words = json.loads(content)
        occurrences.update(words)
        files.update(words.keys())
    return occurrences, files


def print_table(results: Mapping[str, bytes], limit: int) -> None:
    """Print the `limit` most frequent words of all results."""
    occurrences, files = merge(results)
    if not occurrences:
        print("no words found")
        return
    shown = occurrences.most_common(limit)
    width = max(len(word) for word, _ in shown)
    most = shown[0][1]
    print(f"\n{'word':<{width}}  count  files")
    for word, count in shown:
        bar = "█" * max(1, round(30 * count / most))
        print(f"{word:<{width}}  {count:>5}  {files[word]:>5}  {bar}")
    print(f"{len(occurrences)} different words kept from {len(results)} files\n")
