"""What can go wrong, as a person is told: what failed, where, why, and how to mend it.

One exception, one exit code each. Nothing here prints; main.py does. No secret ever enters a fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shoal_cli.text import clean

EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
EXIT_BUG: Final = 70  # EX_SOFTWARE of sysexits.h


class Fault(Exception):
    """A failure to show as one block.

    what   what could not be done: "cannot create pool 'p1'"; empty until the command names it
    where  method, path and status of the request; None if no request was involved
    why    one line per reason
    mend   what the reader can do; None if nothing is known
    """

    exit_code: int = EXIT_REFUSED

    def __init__(
        self, why: str | Sequence[str], *, where: str | None = None, mend: str | None = None
    ) -> None:
        self.what = ""
        self.where = where
        self.why = [why] if isinstance(why, str) else list(why)
        self.mend = mend
        super().__init__("; ".join(self.why))

    def block(self) -> str:
        """Return the text for the error stream, without a trailing newline."""
        lines = [f"shoal: {self.what or 'it did not work'}"]
        if self.where:
            lines.append(f"  where: {self.where}")
        label = "  why:   "
        for reason in self.why:
            lines.append(label + reason)
            label = "         "
        label = "  mend:  "
        for hint in (self.mend or "").splitlines():
            lines.append(label + hint)
            label = "         "
        return "\n".join(clean(line) for line in lines)


class UsageFault(Fault):
    """The command line or the settings are wrong; no request was sent."""

    exit_code = EXIT_USAGE


class Unreachable(Fault):
    """The service did not answer."""

    exit_code = EXIT_UNREACHABLE


class ServiceFault(Fault):
    """The service answered, and the answer was no.

    code       the service's error code; empty if the answer was not in its format
    status     the HTTP status
    is_repeat  an earlier try got no answer, or one that said to try again
    """

    def __init__(
        self,
        status: int,
        code: str,
        why: Sequence[str],
        *,
        where: str,
        mend: str | None = None,
    ) -> None:
        super().__init__(why, where=where, mend=mend)
        self.status = status
        self.code = code
        self.is_repeat = False


class Failed(Fault):
    """The service did what was asked, and it ended badly: a task failed, a pool got no nodes."""


class NobodyReads(Exception):
    """Who read our output has gone (`shoal task list j | head`): nothing to tell, nobody to tell.

    Not a BrokenPipeError, which the command-line library would answer in a way of its own.
    """
