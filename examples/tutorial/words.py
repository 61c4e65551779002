"""Count the words of a text: the program that the start task installs on every node.

    python3 words.py TEXT RESULT [TOP]

writes the TOP (default 100) most frequent words of five letters or more, with their counts, to
RESULT as JSON. Standard library only: a node needs nothing but Python.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

WORD = re.compile(r"[^\W\d_]{5,}")


def top_words(text: str, limit: int) -> dict[str, int]:
    """Return the `limit` most frequent words and their counts; ties go by the alphabet."""
    counts = Counter(word.lower() for word in WORD.findall(text))
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return dict(ranked[:limit])


def main(text_file: str, result_file: str, limit: str = "100") -> None:
    text = Path(text_file).read_text(encoding="utf-8", errors="replace")
    words = top_words(text, int(limit))
    Path(result_file).write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")
    print(f"{len(words)} words kept, the first is {next(iter(words), 'none')!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
