"""What a bench returns, and the parts that benches share: where to work, and how to compare."""

from __future__ import annotations

import contextlib
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
RAM_DISK = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number.

    ratio    of the value to what the same work did `against` something, in the same run; None: the
             value itself is what counts
    target   the least ratio that is promised (without a ratio: see at_most)
    at_most  the target is a limit from above, on the value; a ratio is then only told
    """

    name: str
    value: float
    unit: str
    ratio: float | None = None
    against: str | None = None
    target: float | None = None
    at_most: bool = False

    @property
    def is_ok(self) -> bool:
        """Whether the promise is kept; a figure without a target always is."""
        if self.target is None:
            return True
        if self.at_most:
            return self.value <= self.target
        return (self.value if self.ratio is None else self.ratio) >= self.target

    def __str__(self) -> str:
        words = ["bench", self.name, f"{self.value:.1f}", self.unit]
        if self.ratio is not None:
            words.append(f"ratio={self.ratio:.2f}")
        if self.against is not None:
            words.append(f"against={self.against}")
        if self.target is not None:
            words += [f"target={self.target:.2f}", "ok" if self.is_ok else "short"]
        return " ".join(words)


@contextlib.contextmanager
def workplace(*, is_durable: bool = False) -> Iterator[Path]:
    """A folder on a RAM disk where there is one, or where files are durable, on a real one.

    It is deleted when all measuring is over, because some file systems make directories slowly for
    minutes after others were deleted.
    """
    base = RAM_DISK if RAM_DISK.is_dir() and not is_durable else None
    folder = Path(tempfile.mkdtemp(prefix="shoal-bench-", dir=base))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def compile_c(source: str, folder: Path) -> Path:
    """Build tests/bench/SOURCE with gcc -O2 and return the program."""
    program = folder / Path(source).stem
    command = ["gcc", "-O2", "-Wall", "-Werror", "-o", str(program), str(HERE / source)]
    subprocess.run(command, check=True)
    return program


def alternate(
    ours: Callable[[int], float], theirs: Callable[[int], float], rounds: int
) -> tuple[float, float, float]:
    """Measure both in turn, each once more before to warm up; return (ours, theirs, ratio).

    The two are medians, the ratio is the median of the rounds' ratios: what disturbs the machine
    for some seconds disturbs both sides of a round.
    """
    pairs = []
    for number in range(-1, rounds):
        first, second = (ours, theirs) if number % 2 else (theirs, ours)
        one, other = first(number + 1), second(number + 1)
        if number >= 0:
            pairs.append((one, other) if first is ours else (other, one))
    ratio = statistics.median(mine / its for mine, its in pairs)
    return (
        statistics.median(mine for mine, _ in pairs),
        statistics.median(its for _, its in pairs),
        ratio,
    )
